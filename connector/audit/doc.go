// Package audit keeps the trail of every change made to Unity Catalog, in a file of JSON lines. [Open] returns a [Log],
// which the connector tells of each change before it is sent and after: in go a policy.Change and what became of it, out
// come an intent, on disk before the request is sent, and one [Change] for each grant added or removed. [Read] returns
// those that a [Query] selects, for the command "audit". The composition root passes the Log to the connector.
//
// # The file
//
// Each line is a JSON object. An intent has the field "change", with what is about to be sent; many intents share one
// fsync. The lines of the changes follow when the request has ended; they are written at once and reach the disk with the
// next intent. An intent without them is open: the request was sent or not, nobody knows. Open intents, found at start or
// left by a request that had no answer, are closed by reading the grants of the object again ([Log.Settle]).
//
// A file that has grown to its limit is renamed to PATH.1, the ones before it to PATH.2 and so on. The new file begins
// with the intents that are still open, so that a start reads no more than two files.
package audit
