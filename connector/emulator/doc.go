// Package emulator is an in-memory Unity Catalog 2.1 server over HTTP, for demos, tests, fault and scale experiments.
//
// [New] makes a [Server], an http.Handler that holds one metastore, or several, with everything in them; [Seed] says
// what it holds at first and [Generate] makes a large one. Server.Start listens. The server is strict: what Unity
// Catalog refuses it refuses, with the same status and error code, and a refused request changes nothing. It records
// every request (Server.Trace, Server.Stats) and fails on demand ([Fault]).
//
// Rules come from the Unity Catalog REST API 2.1 specification; where that is silent the public client library's
// shapes and comments decide. The deliberate choices between the two:
//
//   - Every list pages, also when max_results is absent, so that a client that forgets next_page_token is found out.
//     Permissions are the exception: the API documents that all are returned when max_results is absent.
//   - Objects carry the fields that the specification names. Unknown fields of an object are ignored, as the real
//     server ignores them; unknown fields of a permissions diff are refused, since a misspelt one changes access.
//   - A principal may manage grants on an object when it is metastore admin, owns the object or a container of it, or
//     holds MANAGE on either.
//   - Effective permissions list every privilege of the containers, also those that say nothing about the object.
//
// Besides the API there are, without authentication, for whoever watches or disturbs: GET and DELETE
// /_emulator/trace, GET /_emulator/stats, GET, POST and DELETE /_emulator/faults, GET /_emulator/state, and
// POST and DELETE /_emulator/principals.
package emulator
