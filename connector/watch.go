package connector

import (
	"context"
	"time"

	"ucwarden/connector/identity"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/directory"
	"ucwarden/policy/rules"
)

// refreshDirectory reads the principals of the workspace where it is time to: once per interval, and for a sync that a
// person started also when somebody was unknown. Where they could not be read, every full sync, and every one that a person
// started, tries again. Whoever is listed now is tried again.
func (s *Syncer) refreshDirectory(ctx context.Context, byPerson, full bool) error {
	age := s.DirectoryInterval
	if byPerson && s.whoIsMissing() != (missing{}) {
		age = min(age, s.principals.Fresh())
	}
	changed, err := s.principals.Refresh(ctx, age, byPerson || full)
	if err == nil && !s.principals.Current().Read() {
		changed = s.recallDirectory(ctx)
	}
	if err != nil || !changed {
		return err
	}
	s.tryListed(ctx, s.principals.Current())
	return nil
}

// recallDirectory takes the directory of an earlier run where none could be read in this one.
func (s *Syncer) recallDirectory(ctx context.Context) bool {
	if _, err := s.principals.Problem(); err == nil {
		return false // there is none to read
	}
	id, err := s.metastore(ctx)
	if err != nil {
		return false // then nothing can be synced either
	}
	found, err := s.principals.Recall(s.memory.Shared(), id)
	if err != nil {
		s.Logger.WarnContext(ctx, "cannot use the principals of the workspace that an earlier run kept", "error", err)
	}
	return found
}

// tryListed forgets that the workspace did not know those whom a directory lists.
func (s *Syncer) tryListed(ctx context.Context, d *directory.Directory) {
	if err := s.unknown.Remove(func(p policy.Principal) bool { return d.Resolve(p).Listed }); err != nil {
		s.Logger.WarnContext(ctx, "cannot save who is unknown", "error", err)
	}
}

// missing tells, by comparison, whether somebody else is missing than before; the zero missing is nobody.
type missing struct {
	compiler *compile.Compiler
	unknown  int
}

// whoIsMissing returns whom policies name and the workspace did not know or list.
func (s *Syncer) whoIsMissing() missing {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := missing{unknown: s.unknown.Len()}
	if s.now.compiler != nil && s.now.compiler.Missing() > 0 {
		m.compiler = s.now.compiler
	}
	return m
}

// sameResolutions reports whether two directories resolve alike everybody whom policies, the user store or roles name, and have the same in
// the groups that those are, as far as that decides grants.
func (s *Syncer) sameResolutions(set *rules.RuleSet, a, b *directory.Directory) bool {
	for id := range rules.SubjectID(set.Subjects.Len()) {
		p := set.Subjects.Principal(id)
		if x, y := a.Resolve(p), b.Resolve(p); x != y || a.Spelling(x.Principal) != b.Spelling(y.Principal) {
			return false
		}
	}
	before := s.now.compiler
	if s.now.rules != set || s.now.identities.Directory != a {
		before = s.compilerAt(set, a, s.now.at)
	}
	return before.Fingerprint("") == s.compilerAt(set, b, s.now.at).Fingerprint("")
}

// WatchPrincipals keeps the directory of principals up to date until ctx ends: it is read once per interval, and more often, with
// backoff, while policies name somebody whom the workspace does not know or list. It calls changed when the directory says
// something else of those whom policies name, and again, with the catalogs and other roots concerned, when it is time to try
// again whom the workspace did not know. Both must return soon.
func (s *Syncer) WatchPrincipals(ctx context.Context, changed func(), again func(roots []policy.Securable)) {
	seen := s.principals.Current()
	var who missing
	wait := identity.FirstRetry
	for {
		if now := s.whoIsMissing(); now != who {
			wait, who = identity.FirstRetry, now
		}
		age := s.DirectoryInterval
		if who != (missing{}) {
			age = min(age, wait)
		}
		due := s.principals.DueIn(age)
		if next := s.unknown.Next(); !next.IsZero() {
			due = min(due, time.Until(next))
		}
		timer := time.NewTimer(max(due, time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.unknown.Added():
			timer.Stop()
			continue
		case <-timer.C:
		}
		if s.principals.Due(age) {
			if _, err := s.principals.Refresh(ctx, age, false); err != nil {
				return
			}
			wait = min(2*wait, s.DirectoryInterval)
		}
		now := s.principals.Current()
		if now != seen {
			s.tryListed(ctx, now)
			seen = now
		}
		if s.plannedOtherwise(now) {
			changed()
		}
		if roots := s.unknown.TakeDue(time.Now(), s.names); len(roots) > 0 {
			again(roots)
		}
	}
}

// plannedOtherwise reports whether a directory says something else of those whom the policies in force name than the one that
// syncs were planned by, be it none, since this was last asked. What is asked about from now on is the given one: whoever asks
// has everything synced by it.
func (s *Syncer) plannedOtherwise(now *directory.Directory) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.plannedBy
	if before == nil || before == now {
		return false
	}
	s.plannedBy = now
	return s.now.rules != nil && !s.sameResolutions(s.now.rules, before, now)
}

// names reports whether the policies in force, or groups and roles that they know of, name a principal.
func (s *Syncer) names(p policy.Principal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.compiler == nil || s.now.compiler.Names(p)
}
