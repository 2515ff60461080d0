package source

import "ucwarden/policy"

// ReadInput reads policy files as a source of files does, without verifying what they say, for tools that report
// everything that is wrong with them. paths are files or folders; service picks the policies of one service, "" wants
// there to be one only; maxBytes bounds all files together, 0 means [DefaultMaxBytes]. Errors say which file cannot be
// read, or is no policy document.
func ReadInput(paths []string, service string, maxBytes int64) (policy.SnapshotInput, error) {
	if maxBytes == 0 {
		maxBytes = DefaultMaxBytes
	}
	t, err := readTree(paths, maxBytes)
	if err != nil {
		return policy.SnapshotInput{}, err
	}
	c, _, err := merge(t.files, service)
	if err != nil {
		return policy.SnapshotInput{}, err
	}
	return policy.SnapshotInput{Policies: c.Policies, Roles: c.Roles, Users: c.Users, Tags: c.Tags}, nil
}
