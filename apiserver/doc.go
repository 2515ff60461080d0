// Package apiserver serves the REST API of on-demand tasks: [New] returns a [Server] made from [Options], and
// [Server.Run] serves it until its context ends. In: HTTP requests. Out: calls of the task queue ([Tasks]), and answers
// in JSON, errors as RFC 9457 problem+json ([Problem]). Only the verified token (package keys) decides who may do what.
// The serve command calls it.
//
// # Who may do what
//
// A token needs the scope tasks:write to submit, cancel and retry, and tasks:read to read; admin implies both, and it
// alone may approve a plan that a guard refused (requestInfo.approve). A token with a catalogs claim allows only
// RESOURCE_SYNC tasks all of whose resources lie in catalogs that a pattern of the claim matches: others it can
// neither submit, cancel, retry nor read, and a list leaves them out. A PIPELINE_UPDATE needs, to be submitted, cancelled or
// retried, a token whose pipelines claim has a pattern for the pipeline's id or name, whatever its scopes; one that has a catalogs
// claim too knows of no other pipeline. What lies in no catalog (the metastore, external
// locations, credentials, connections, shares), resources of unknown type, and tasks of any other type such as
// FULL_SYNC need a token without that claim.
//
// # Errors
//
// The class of an error (policy.Code) decides the status, by one table. The text of an error of the caller is sent; the
// text of an internal or unavailable error is logged under the request's id and not sent.
package apiserver
