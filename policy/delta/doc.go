// Package delta applies the changes of policies that Ranger Admin sends instead of whole versions. In go the policies in force
// and a document with changes, out come the policies after them. Packages rangeradmin and suite call it.
package delta
