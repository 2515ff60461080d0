package connector

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ucwarden/connector/apply"
	"ucwarden/connector/identity"
	"ucwarden/connector/load"
	"ucwarden/connector/unread"
	"ucwarden/policy"
)

// grants returns the direct grants on s with the principals that the directory knows.
func (r *run) grants(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	return apply.Resolved(r.Workspace, r.identities).Grants(ctx, s)
}

// Settle finds out what became of changes of which the journal does not know it, also where there are no policies yet. What
// fails is tried again by the next sync.
func (s *Syncer) Settle(ctx context.Context) {
	if err := s.refreshDirectory(ctx, false, false); err == nil {
		s.Journal.Settle(ctx, apply.Resolved(s.Workspace, identity.NewNames(s.principals.Current())), s.tables())
	}
}

// tables returns what reads the row filters and masks of tables; nil where nothing enforces any.
func (s *Syncer) tables() apply.Tables {
	if s.Protection == nil {
		return nil
	}
	return s.Protection.Reader
}

// keepOwn returns the scope in which what gives us our own access, be it by groups, is kept. Where our groups are not known, any
// may be ours; where we are not known ourselves, anybody may be us.
func (r *run) keepOwn(scope policy.Scope) policy.Scope {
	if r.Directory == nil {
		return scope
	}
	return scope.KeepOwn(func(p policy.Principal) bool {
		if r.dir.Read() {
			return r.dir.Own(p)
		}
		return p.Kind == policy.Group || r.UnknownSelf
	})
}

// sharing returns whether somebody may have the grants of two principals, ourselves aside. Where the members of a group are not
// known, anybody may be in it.
func (r *run) sharing() func(p, q policy.Principal) bool {
	type members struct {
		names map[string]bool
		all   bool
	}
	known := make(map[policy.Principal]members)
	of := func(p policy.Principal) members {
		m, ok := known[p]
		if ok {
			return m
		}
		names, all := []string{p.Name}, true
		if !unread.IsPerson(p) {
			names, all = r.dir.UsersIn(p)
		}
		m = members{names: make(map[string]bool, len(names)), all: all && p.Kind != policy.UnknownKind && !p.IsEveryone()}
		for _, name := range names {
			if !r.dir.Own(policy.NewPrincipal(policy.User, name)) && !r.dir.Own(policy.NewPrincipal(policy.ServicePrincipal, name)) {
				m.names[policy.FoldPrincipal(name)] = true
			}
		}
		known[p] = m
		return m
	}
	return func(p, q policy.Principal) bool {
		if unread.IsPerson(p) && unread.IsPerson(q) {
			return p == q
		}
		a, b := of(p), of(q)
		if !a.all || !b.all {
			return true
		}
		for name := range a.names {
			if b.names[name] {
				return true
			}
		}
		return false
	}
}

// noteTried takes what a plan grants to principals that the workspace does not list out of the count of its grants: it is tried,
// since the account may know them, and mostly left out. A finding for each of them says so.
func (r *run) noteTried(plan *policy.Plan) {
	if !r.dir.Read() {
		return
	}
	adds := make(map[policy.Principal]int)
	for _, c := range plan.Changes {
		for _, a := range c.Add {
			adds[a.Principal]++
		}
	}
	maps.DeleteFunc(adds, func(p policy.Principal, _ int) bool { return r.dir.Resolve(p).Listed })
	for _, p := range slices.SortedFunc(maps.Keys(adds), policy.ComparePrincipals) {
		plan.Totals.Adds -= adds[p]
		plan.Totals.Tried += adds[p]
		plan.Report.Findings = append(plan.Report.Findings, policy.Finding{Effect: policy.EffectNarrower, Principal: p, Message: fmt.Sprintf(
			"%s is probably not granted what the policies give it (%d here): the workspace does not list it, and what the account does not know is left out", p, adds[p])})
	}
}

// directoryFindings says what is not known of principals, which grants are kept for our own access, and which are left alone
// because nobody can tell whose they are.
func (r *run) directoryFindings(found *load.Found, kept []policy.Grant) []policy.Finding {
	var list []policy.Finding
	_, err := r.principals.Problem()
	if err != nil && r.dir.Read() {
		list = append(list, policy.Finding{Effect: policy.EffectNone, Message: fmt.Sprintf(
			"the principals of the workspace could not be read again; they are taken to be those of %s (%v)", r.principals.ReadAt().UTC().Format(time.RFC3339), err)})
	} else if err != nil {
		from := "no group"
		if r.UnknownSelf {
			from = "nobody"
		}
		list = append(list, policy.Finding{Effect: policy.EffectNone, Message: fmt.Sprintf(
			"the principals of the workspace could not be read, so the shape of names tells users from groups, and MANAGE, USE_* and ALL_PRIVILEGES, by which we may have our own access, are revoked from %s (%v)", from, err)})
	}
	list = append(list, onePerPrincipal(kept, func(g policy.Grant) policy.Finding {
		why := "we are in it, directly or through other groups"
		switch {
		case g.Principal.Kind != policy.Group && r.dir.Read():
			why = "that is us"
		case g.Principal.Kind != policy.Group:
			why = "that may be us"
		case !r.dir.Read():
			why = "we may be in it"
		}
		return policy.Finding{Effect: policy.EffectWider, Securable: g.Securable, Principal: g.Principal, Message: fmt.Sprintf(
			"%s %s keeps %s on %s, which no policy grants: %s, and our own access is never revoked",
			strings.ReplaceAll(g.Principal.Kind.String(), "_", " "), g.Principal, g.Privilege, g.Securable, why)}
	})...)
	for _, g := range r.identities.Shared(found.Current, found.Read) {
		if g.Principal.Deleted() {
			list = append(list, policy.Finding{Effect: policy.EffectNone, Securable: g.Securable, Principal: g.Principal, Privilege: g.Privilege, Message: fmt.Sprintf(
				"%s holds %s, which is left as it is: it has no name any more by which to revoke it, and nobody has access by it", g.Principal, g.Privilege)})
			continue
		}
		list = append(list, policy.Finding{Effect: policy.EffectWider, Securable: g.Securable, Principal: g.Principal, Message: fmt.Sprintf(
			"the grants to %q are left as they are: several principals of the workspace have this name, and a grant does not tell them apart", g.Principal)})
	}
	return list
}
