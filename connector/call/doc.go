// Package call says of the calls of one context how they are to be made: in the background, at most so many, with the id of the
// request noted. A context goes in and a context comes out. Packages connector and tasks make them; package unitycatalog, which
// sends the requests, asks.
package call
