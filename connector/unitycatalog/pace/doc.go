// Package pace finds the rate of calls that a server takes, where nothing but its refusals (429) shows its limit.
//
// In go the times at which calls started, and whether they were accepted or refused; out come the present rate and the time
// before which no call may start. It is called by the limiter of connector/unitycatalog. It starts no goroutine, reads no
// clock and locks nothing.
package pace
