// Package unitycatalog reads and changes a Databricks Unity Catalog over its REST API 2.1. In: [Options] with a
// workspace and credentials, and the securables and changes of a sync. Out: objects, grants and classified errors.
// [Client] implements connector.Workspace; package connector calls it, cmd/ucwarden creates it. It is the only importer
// of the client library.
//
// The library is used for its credentials and its errors. Requests are built here, because the library puts names
// into paths unescaped (a name with '#' or '?' would reach another object) and drops fields that are needed. They
// go through a transport of our own ([Pacing]), because the library's limiter has a fixed rate, ignores Retry-After and
// retries only some of what is safe.
//
// # Number of calls
//
// A listing costs one call per page, and pages as large as the server allows are asked for: 10,000 objects. Tables and
// views of a whole catalog come from one table-summaries listing where the server serves it. Functions, models and
// volumes can be listed by schema only: to list them in a catalog, [Client.List] must list the schemas first, so a
// caller that has the schemas saves that call by asking for each. Functions cost two listings per schema, because
// registered models, which carry FUNCTION grants, are listed apart. Reading or changing grants costs one call.
package unitycatalog
