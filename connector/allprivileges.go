package connector

import (
	"context"

	"ucwarden/policy"
)

// readBack returns the current grants with ALL_PRIVILEGES read back; the same set where there is nothing to.
func (r *run) readBack(current, desired *policy.GrantSet) *policy.GrantSet {
	read := current
	for _, s := range r.expansions.On() {
		if have := read.Of(s); len(have) > 0 {
			if read == current {
				read = current.Clone()
			}
			read.Set(s, r.expansions.ReadBack(s, have, desired.Of(s)))
		}
	}
	return read
}

// recallExpansions takes what earlier runs learned of how the workspace shows ALL_PRIVILEGES.
func (s *Syncer) recallExpansions(ctx context.Context) {
	if err := s.expansions.Recall(func() (string, error) { return s.metastore(ctx) }); err != nil {
		s.Logger.WarnContext(ctx, "cannot use what an earlier run learned of how the workspace shows ALL_PRIVILEGES", "error", err)
	}
}

// saveExpansions keeps what was learned of how the workspace shows ALL_PRIVILEGES.
func (s *Syncer) saveExpansions(ctx context.Context) {
	if err := s.expansions.Save(func() (string, error) { return s.metastore(ctx) }); err != nil {
		s.Logger.WarnContext(ctx, "cannot keep how the workspace shows ALL_PRIVILEGES; it will be learned anew", "error", err)
	}
}
