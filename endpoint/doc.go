// Package endpoint makes every HTTP client of this module ([NewClient], [NewTransport]): for one server, without
// redirects, and not in plain text beyond this machine. It also answers what the settings and clients of a server must
// agree on: whether a host is this machine ([IsLoopback]), when a server wants to be called again ([RetryAfter]), and
// how a URL is printed without its password ([MaskURLs]).
//
// It is a package of its own, below all others, because a client made elsewhere would send its credential wherever the
// server says.
package endpoint
