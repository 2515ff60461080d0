package connector

import (
	"context"
	"slices"
	"strings"

	"ucwarden/connector/apply"
	"ucwarden/connector/load"
	"ucwarden/connector/named"
	"ucwarden/policy"
)

// Shards lists what a full sync is made of: each catalog that may hold something in scope, and a METASTORE without a name
// for the metastore with its other root objects. Catalogs that the last listing held and this one does not are asked for.
func (s *Syncer) Shards(ctx context.Context) ([]policy.Securable, error) {
	if err := s.refreshDirectory(ctx, false, true); err != nil {
		return nil, apply.GivenUp(err)
	}
	shards, catalogs, err := s.shards(ctx)
	if err == nil {
		s.warnOfScope(ctx)
		s.warnOfSuccesses(ctx, s.Successes.Seen(shards))
		err = s.memory.SaveCatalogs(catalogs)
	}
	return shards, err
}

// warnOfScope logs, once each, the principals that the scope names and the workspace does not list. Plans have them among
// their findings.
func (s *Syncer) warnOfScope(ctx context.Context) {
	for _, f := range named.ScopePrincipals(s.Scope, s.principals.Current()) {
		s.mu.Lock()
		known := s.warnedOfScope[f.Message]
		s.warnedOfScope[f.Message] = true
		s.mu.Unlock()
		if !known {
			s.Logger.WarnContext(ctx, f.Message)
		}
	}
}

func (s *Syncer) shards(ctx context.Context) (shards, catalogs []policy.Securable, err error) {
	found, err := s.Workspace.List(ctx, policy.Securable{}, policy.Catalog)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range found {
		catalogs = append(catalogs, c.Securable)
	}
	last, err := s.memory.Catalogs()
	if err != nil {
		return nil, nil, err
	}
	for i, c := range slices.Concat(last, s.namedCatalogs()) {
		if slices.Contains(catalogs, c) {
			continue
		}
		seen := i < len(last) // else we may be refused to say whether it exists
		switch _, err := s.Workspace.Get(ctx, c); {
		case err == nil || seen && load.FailsSmall(err) && policy.CodeOf(err) != policy.CodeNotFound:
			s.Logger.WarnContext(ctx, "the listing of catalogs did not show one that exists", "catalog", c.FullName)
			catalogs = append(catalogs, c)
		case !load.FailsSmall(err):
			return nil, nil, err
		}
	}
	if root := (policy.Securable{Type: policy.Metastore}); s.Scope.Reaches(root) {
		shards = append(shards, root)
	}
	for _, c := range catalogs {
		if !load.BuiltIn(c) && s.Scope.Reaches(c) {
			shards = append(shards, c)
		}
	}
	slices.SortFunc(shards, policy.Securable.Compare)
	slices.SortFunc(catalogs, policy.Securable.Compare)
	return shards, catalogs, nil
}

// Concerned returns those of the shards that a change of the policies concerns: all but those that are in sync by policies
// and settings that mean the same there.
func (s *Syncer) Concerned(shards []policy.Securable) ([]policy.Securable, error) {
	g, err := s.current()
	if err != nil {
		return nil, err
	}
	last, err := s.memory.LastSyncs()
	if err != nil {
		return nil, err
	}
	r := s.runOf(g, Request{})
	return slices.DeleteFunc(slices.Clone(shards), func(shard policy.Securable) bool { return last[shard.String()].Basis == r.basis(shard) }), nil
}

// maxNamedCatalogs bounds how many catalogs that policies or the scope name are asked for.
const maxNamedCatalogs = 1000

// namedCatalogs lists the catalogs in scope that policies or the scope name exactly.
func (s *Syncer) namedCatalogs() []policy.Securable {
	var list []policy.Securable
	if g, err := s.current(); err == nil {
		seen := make(map[policy.Securable]bool)
		for _, o := range g.compiler.NamedCatalogs(maxNamedCatalogs) {
			if !seen[o.Securable] && len(list) < maxNamedCatalogs {
				seen[o.Securable] = true
				list = append(list, o.Securable)
			}
		}
	}
	for _, name := range s.Scope.Options().Objects[policy.Catalog].Include {
		if c, err := policy.NewSecurable(policy.Catalog, name); err == nil && !strings.Contains(name, "*") {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, policy.Securable.Compare)
	return slices.DeleteFunc(slices.Compact(list), func(c policy.Securable) bool { return load.BuiltIn(c) || !s.Scope.Reaches(c) })
}
