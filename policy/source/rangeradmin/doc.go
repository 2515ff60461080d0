// Package rangeradmin downloads a service's policies, roles, user store and tags from Ranger Admin, whole or as changes of
// those that are in force. In go the documents in force, out come the next ones; what does not look like the document that
// was asked for (a login page, another service's, a truncated answer) is an error. Package source calls it, and decides what
// comes into force.
package rangeradmin
