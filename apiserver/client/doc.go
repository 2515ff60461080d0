// Package client calls the REST API of a running ucwarden. [New] makes a [Client] from a base URL and a bearer token;
// its methods submit, get, list, cancel, retry and follow tasks, and return them as package ondemand defines them.
// An answer of 300 or more is an [*Error] with its status and problem document; a server that cannot be reached is an
// [*UnreachableError]. [Client.API] has every call
// of the API's document, from which it is generated. The package imports none of the server, so that others may import it: the task commands do.
// A token goes to the server named and nowhere else: redirects are not followed.
package client
