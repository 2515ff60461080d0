// Package document reads the OpenAPI 3.1 document of the API, which is written in YAML and is the source of everything that is
// said and checked about a call. In: the document. Out: the same as JSON ([Document.JSON]), as a page of HTML that loads nothing
// ([Document.Page]), and its calls, compiled ([Document.Operations]): which parameters and bodies ([Schema]) they allow. The
// package apiserver serves these, and refuses what they do not allow.
package document
