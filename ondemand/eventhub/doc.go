// Package eventhub reads tasks from an Azure event hub. In go the events of every partition, out come durable tasks of
// the queue: one for each document, none for a repeated one, and a SKIPPED one for what cannot be read or may not be
// asked for. The tasks of a batch and the position after it are stored in one transaction, so that a crash at any
// instant loses nothing and repeats nothing. It alone imports the client of the Azure SDK.
package eventhub
