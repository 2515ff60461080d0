package source

import (
	"ucwarden/policy/ranger"
	"ucwarden/policy/source/content"
)

// ReadInput reads policy files as [Files] does, but does not verify their content, for tools that report everything
// that is wrong with it. paths are files or folders; service selects the policies of one service, "" requires that there
// is only one; maxBytes bounds the size of all files together, 0 means 256 MiB. What cannot be understood in a policy is among its
// faults, and Problems names the fields that have no meaning. The error names the file that cannot be read or is not a policy
// document.
func ReadInput(paths []string, service string, maxBytes int64) (ranger.SnapshotInput, error) {
	if maxBytes == 0 {
		maxBytes = defaultMaxBytes
	}
	t, err := content.ReadTree(paths, maxBytes)
	if err != nil {
		return ranger.SnapshotInput{}, err
	}
	c, err := content.Merge(t.Files, service, nil)
	if err != nil {
		return ranger.SnapshotInput{}, err
	}
	return ranger.SnapshotInput{Policies: c.Policies, Roles: c.Roles, Users: c.Users, Tags: c.Tags, Problems: c.Problems}, nil
}
