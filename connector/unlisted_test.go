package connector_test

import (
	"context"
	"slices"
	"testing"

	"ucwarden/connector"
	"ucwarden/connector/load"
	"ucwarden/policy"
)

// What policies name and the very first listing does not show is asked for, whatever its type: it is in sync afterwards, or
// the sync fails. Nothing is lost where it does not exist, or where we are refused to look.
func TestNamedAndUnlisted(t *testing.T) {
	for _, tc := range []struct {
		hidden, allowed string // what no listing shows, and what is allowed on it or in it
		privilege       policy.Privilege
		on              string
		scope           policy.ScopeOptions
	}{
		{hidden: "catalog:sales", allowed: "table:sales.emea.orders", privilege: "SELECT", on: "table:sales.emea.orders"},
		{hidden: "catalog:sales", allowed: "table:sal*.emea.orders", privilege: "SELECT", on: "table:sales.emea.orders",
			scope: policy.ScopeOptions{Objects: map[policy.SecurableType]policy.Filter{policy.Catalog: {Include: []string{"Sales"}}}}},
		{hidden: "schema:sales.emea", allowed: "schema:sales.emea", privilege: "SELECT", on: "schema:sales.emea"},
		{hidden: "table:sales.emea.orders", allowed: "table:sales.emea.orders", privilege: "SELECT", on: "table:sales.emea.orders"},
		{hidden: "volume:sales.emea.landing", allowed: "volume:sales.emea.landing", privilege: "READ_VOLUME", on: "volume:sales.emea.landing"},
		{hidden: "function:sales.emea.net", allowed: "function:sales.emea.net", privilege: "EXECUTE", on: "function:sales.emea.net"},
		{hidden: "external_location:lake", allowed: "external_location:lake", privilege: "READ_FILES", on: "external_location:lake"},
		{hidden: "connection:pg", allowed: "connection:pg", privilege: "USE_CONNECTION", on: "connection:pg"},
	} {
		t.Run(tc.hidden+" "+tc.allowed, func(t *testing.T) {
			f, hidden := &fake{}, sec(t, tc.hidden)
			f.list = func(_ policy.Securable, _ policy.SecurableType, found []policy.Object, err error) ([]policy.Object, error) {
				return slices.DeleteFunc(found, func(o policy.Object) bool { return o.Securable == hidden }), err
			}
			access := map[policy.Privilege]string{"SELECT": "select", "READ_VOLUME": "read_volume", "EXECUTE": "execute", "READ_FILES": "read_files", "USE_CONNECTION": "use_connection"}[tc.privilege]
			r := newRig(t, rigOptions{wrap: through(f), syncer: connector.Options{Scope: scopeWith(t, tc.scope)}}, allow(tc.allowed, "analysts", access))
			for code, refused := range map[policy.Code]bool{policy.CodeNotFound: true, policy.CodeForbidden: true} {
				f.get = func(s policy.Securable) error {
					if refused && s == hidden {
						return policy.Errorf(code, "no")
					}
					return nil
				}
				result, err := r.Sync(t.Context(), connector.Request{})
				if err != nil || slices.ContainsFunc(result.Unread, func(l load.LeftOut) bool { return !l.Hidden || l.Securable != hidden }) ||
					len(result.Unread) == 0 && code == policy.CodeForbidden && hidden.Type != policy.Catalog {
					t.Fatalf("answered %v for what no listing showed: %v, unread %v", code, err, result.Unread)
				}
			}
			f.get = nil
			r.sync()
			if !slices.ContainsFunc(r.server.Grants().Of(sec(t, tc.on)), func(a policy.Assignment) bool { return a.Name == "analysts" && a.Privilege == tc.privilege }) {
				t.Errorf("%s is not granted: %v", tc.privilege, lines(r.server.Grants()))
			}
			shards, err := r.Shards(context.Background())
			if hidden.Type == policy.Catalog && (err != nil || !slices.Contains(shards, hidden)) {
				t.Errorf("shards %v, %v", shards, err)
			}
		})
	}
}
