// Package emulator is an in-memory Unity Catalog 2.1 server over HTTP, for demos, tests, fault and scale experiments.
// In: a [Seed] (or [Generate] for a large one), HTTP requests, and faults to inject ([Fault]). Out: HTTP answers, the
// state (Server.State, Server.Grants), who can do what (Server.Access), and a record of every request (Server.Trace,
// Server.Stats), from which [Replay] returns every state on the way. Tests and the
// emulator command call it; no other package of the product does. It imports none: its table of privileges and its rules
// are written down apart from the product's, so that one mistake is not made on both sides.
//
// [New] returns a [Server], an http.Handler; Server.Start listens. The server is strict: what Unity Catalog rejects it
// rejects, with the same status and error code, and a rejected request changes nothing.
//
// Rules come from the Unity Catalog REST API 2.1 specification; where that is silent the public client library's
// shapes and comments decide. They are kept as data: each collection is a resource with the fields that its calls read,
// in a file of its own, and authorization.go says who may do what. API.md has the table of what is served. The deliberate choices between the two sources:
//
//   - Every list is paged, also when max_results is absent, so that a client that ignores next_page_token is detected.
//     Permissions are the exception: the API documents that all are returned when max_results is absent.
//   - Fields that a call does not know are ignored, as the real server ignores them, in permissions too.
//   - The workspace's own groups, admins and users, are granted nothing and own nothing. Members of admins are workspace
//     admins.
//   - A caller who may not change an object is told that, whatever is wrong with the body.
//   - A principal may manage grants on an object when it is metastore admin, owns the object or a container of it, or
//     holds MANAGE on either.
//   - Revoking ALL_PRIVILEGES takes everything that it confers from the principal, however that was granted; what the same
//     change adds is added afterwards. One principal twice in a diff is an error.
//   - Users and service principals are found in any case of their names, and answered as the directory spells them;
//     groups by their exact name only. A principal must exist to be granted anything: see [Seed].
//   - What a call does not define in its query is ignored; HEAD works where GET does.
//   - Effective permissions list every privilege of the containers, also those that do not apply to the object.
//
// Besides the API there are admin calls, without authentication: GET and DELETE /_emulator/trace, GET
// /_emulator/stats, GET, POST and DELETE /_emulator/faults, GET /_emulator/state, and POST and DELETE
// /_emulator/principals.
package emulator
