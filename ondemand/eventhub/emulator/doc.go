// Package emulator serves one Azure event hub in memory over AMQP 1.0, as its clients need it: SASL, claims-based
// security ($cbs), $management, producers with batches and partition keys, consumers with start positions and owner
// levels, and faults on demand. In go connections of clients, out come the events they sent. It imports no package of
// the product; `ucwarden emulator eventhub` and tests call it.
//
// Rules that are not visible in the code come from the AMQP 1.0 specification (OASIS, 2012) and from what the clients
// of the Azure SDK were seen to insist on.
package emulator
