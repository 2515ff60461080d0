package connector

import (
	"ucwarden/connector/apply"
	"ucwarden/connector/load"
)

// Workspace is what a sync needs of Unity Catalog.
type Workspace interface {
	load.Lister
	apply.Permissions
}
