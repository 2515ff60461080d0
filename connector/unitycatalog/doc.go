// Package unitycatalog reads and changes a Databricks Unity Catalog over its REST API 2.1: [Client] is the
// connector.Workspace of a real workspace, made from [Options]. It is the only importer of the client library.
//
// The library is used for its credentials and its errors. Requests are built here, because the library puts names
// into paths unescaped (a name with '#' or '?' would reach another object) and drops fields that are needed; and they
// go through a transport of our own ([Pacing]), because the library's limiter has a fixed rate, does not heed
// Retry-After and retries only some of what is safe.
//
// # Number of calls
//
// A listing costs one call per page, and pages as large as the server allows are asked for: 10,000 objects. Tables and
// views of a whole catalog come from one table-summaries listing where the server serves it. Functions, models and
// volumes can be listed by schema only: asked for them in a catalog, [Client.List] must list the schemas first, so a
// caller that has the schemas saves that call by asking for each. Functions cost two listings per schema, because
// registered models, which carry FUNCTION grants, are listed apart. Reading or changing grants costs one call.
package unitycatalog
