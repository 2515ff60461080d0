// Package endpoint answers what an HTTP client asks about the server it talks to: whether a host is this machine
// ([IsLoopback]), so that plain text crosses no network, and when the server wants to be called again ([RetryAfter]).
// Hosts and headers come in, plain values go out; it does no I/O. It is a package of its own, below all others,
// because the configuration, the policy source, the client of Unity Catalog and the REST API must agree on both.
package endpoint
