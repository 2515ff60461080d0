// Package content reads what policies, roles, users and tags are written in: it takes files and folders ([ReadTree], then [Merge]) or
// the documents of a download, and returns a [Content], from which a verified snapshot is made ([Content.Snapshot]). What is not
// ours in a folder, and policies of other services, are left out and named among the problems; a file that cannot be read keeps
// what was last read from it. Package source calls it for each load.
package content
