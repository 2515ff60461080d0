package connector_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/ranger"
)

// readsOf makes f record the containers whose grants are read, sorted; the function returned empties the record.
func readsOf(f *fake) (take func() []string) {
	var mu sync.Mutex
	var list []string
	f.grants = func(s policy.Securable) error {
		mu.Lock()
		defer mu.Unlock()
		if s.Type.IsContainer() {
			list = append(list, s.String())
		}
		return nil
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		got := slices.Sorted(slices.Values(list))
		list = nil
		return got
	}
}

// planned spells the changes of a plan: "WAVE SECURABLE +principal PRIVILEGE -principal PRIVILEGE".
func planned(r *connector.Result) []string {
	var list []string
	for _, c := range r.Plan.Changes {
		var b strings.Builder
		fmt.Fprintf(&b, "%d %s", c.Wave, c.Securable)
		for _, a := range c.Add {
			fmt.Fprintf(&b, " +%s %s", a.Principal, a.Privilege)
		}
		for _, a := range c.Remove {
			fmt.Fprintf(&b, " -%s %s", a.Principal, a.Privilege)
		}
		list = append(list, b.String())
	}
	return list
}

// scopeWith makes a scope of options.
func scopeWith(t *testing.T, o policy.ScopeOptions) policy.Scope {
	t.Helper()
	s, err := policy.NewScope(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Of the containers above a root only those are read on which the policies grant something, that are in scope, and
// that no container synced as a whole covers.
func TestAncestorsThatAreRead(t *testing.T) {
	for _, test := range []struct {
		name  string
		root  string
		scope policy.ScopeOptions
		want  []string
	}{
		{name: "nobody is granted anything inside", root: "table:sales.apac.leads"},
		{name: "the catalog is not in scope", root: "table:hr.core.staff",
			scope: policy.ScopeOptions{Objects: map[policy.SecurableType]policy.Filter{policy.Catalog: {Exclude: []string{"hr"}}}}},
		// Both at once as ancestors, of which the outer one lacks USE_CATALOG; then that as a root with the schema inside.
		{name: "the catalog is synced as a whole", root: "table:hr.core.staff", want: []string{"CATALOG:hr", "CATALOG:hr", "SCHEMA:hr.core", "SCHEMA:hr.core"}},
		{name: "a root without ancestors", root: "external_location:lake"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{}
			r := newRig(t, rigOptions{wrap: through(f), syncer: connector.Options{Scope: scopeWith(t, test.scope)}}, usual()...)
			reads := readsOf(f)
			r.sync(test.root)
			if diff := cmp.Diff(test.want, reads()); diff != "" {
				t.Errorf("containers read (-want +got):\n%s", diff)
			}
		})
	}
}

// What an earlier sync of the same process saw above a root is read again by each: somebody else may have taken it away
// meanwhile, and who is granted something on the object would have no access.
func TestAncestorsAreReadAnew(t *testing.T) {
	for lost, on := range map[policy.Privilege]string{policy.UseCatalog: "catalog:hr", policy.UseSchema: "schema:hr.core"} {
		f := &fake{}
		r := newRig(t, rigOptions{wrap: through(f)}, usual()...)
		r.sync()
		reads := readsOf(f)
		r.sync("table:hr.core.staff")
		if diff := cmp.Diff([]string{"CATALOG:hr", "SCHEMA:hr.core"}, reads()); diff != "" {
			t.Errorf("all in sync: containers read (-want +got):\n%s", diff)
		}
		r.revoke(on, "eve@example.com", lost)
		r.revoke("table:hr.core.staff", "eve@example.com", "SELECT")
		if result := r.sync("table:hr.core.staff"); !slices.Contains(result.AlsoSynced, sec(t, on)) {
			t.Errorf("somebody revoked %s: synced too: %v", lost, spell(result.AlsoSynced))
		}
		if !reaches(r.server.Grants(), []policy.Principal{policy.PrincipalByShape("eve@example.com")}, policy.Select, sec(t, "table:hr.core.staff")) {
			t.Errorf("somebody revoked %s: the sync of the table ended without access: %v", lost, managed(r))
		}
	}
}

// everywhere are policies that become grants on whole catalogs.
func everywhere() []ranger.Policy {
	return []ranger.Policy{
		allow("table:sales.*.*", "analysts", "select modify"), allow("table:hr.*.*", "analysts", "select modify"),
		allow("volume:sales.*.*", "analysts", "read_volume"), allow("volume:hr.*.*", "analysts", "read_volume"),
	}
}

// What the policies grant on a container above a root is granted when what was read inherits it; what only other objects
// inherit waits for their sync.
func TestGrantsOnAncestors(t *testing.T) {
	for _, test := range []struct {
		roots []string
		want  []string
	}{
		{[]string{"table:sales.apac.leads"}, []string{"1 CATALOG:sales +analysts MODIFY +analysts SELECT"}},
		{[]string{"table:sales.emea.orders_v"}, []string{"1 CATALOG:sales +analysts SELECT"}}, // nobody modifies a view
		{[]string{"volume:sales.emea.landing"}, []string{"1 CATALOG:sales +analysts READ_VOLUME"}},
		{[]string{"function:sales.emea.net"}, nil},
		{[]string{"table:hr.core.staff", "volume:sales.emea.landing"}, // each by what was read inside it
			[]string{"1 CATALOG:hr +analysts MODIFY +analysts SELECT", "1 CATALOG:sales +analysts READ_VOLUME"}},
		// Together with the changes of the roots.
		{[]string{"table:sales.emea.orders", "connection:pg"},
			[]string{"1 CONNECTION:pg +bob@example.com USE_CONNECTION", "1 CATALOG:sales +analysts MODIFY +analysts SELECT"}},
	} {
		t.Run(strings.Join(test.roots, " "), func(t *testing.T) {
			r := newRig(t, rigOptions{}, append(everywhere(), allow("connection:pg", "bob@example.com", "use_connection"))...)
			for _, catalog := range []string{"catalog:sales", "catalog:hr"} {
				r.grant(catalog, "analysts", "USE_CATALOG", "USE_SCHEMA")
				r.grant(catalog, "eve@example.com", "SELECT") // of no policy; not for a sync of an object to revoke
			}
			result := r.sync(test.roots...)
			if diff := cmp.Diff(test.want, planned(result)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			adds := 0
			for _, c := range result.Plan.Changes {
				adds += len(c.Add)
			}
			if totals := result.Plan.Totals; totals.Adds != adds || totals.Changed != len(test.want) || totals.Removes != 0 {
				t.Errorf("totals %+v of %q", totals, test.want)
			}
			if len(result.AlsoSynced) > 0 {
				t.Errorf("%v synced too, although no USE_* is lacking", result.AlsoSynced)
			}
			if !r.server.Grants().Has(policy.Grant{Securable: sec(t, "catalog:sales"), Principal: policy.PrincipalByShape("eve@example.com"), Privilege: "SELECT"}) {
				t.Error("a grant on a container that was not synced is gone")
			}
		})
	}
}

// Whom the scope leaves alone is granted nothing above a root either, whatever the compiler was told.
func TestAncestorsStayInScope(t *testing.T) {
	r := newRig(t, rigOptions{syncer: connector.Options{
		Scope:   scopeWith(t, policy.ScopeOptions{Protected: []string{"eve@example.com"}}),
		Compile: compile.Options{Manages: func(policy.Principal) bool { return true }},
	}}, allow("table:hr.core.staff", "eve@example.com", "select"), allow("table:hr.*.*", "eve@example.com", "modify"))
	before := lines(r.server.Grants())
	if result := r.sync("table:hr.core.staff"); !result.Plan.Empty() || len(result.AlsoSynced) > 0 {
		t.Errorf("plan %q, %v synced too", planned(result), result.AlsoSynced)
	}
	if diff := cmp.Diff(before, lines(r.server.Grants())); diff != "" {
		t.Errorf("grants (-before +after):\n%s", diff)
	}
}

// A principal that the workspace does not know lacks USE_* for ever; that is no reason to sync its containers again.
func TestUnknownPrincipalsLackNothing(t *testing.T) {
	r := newRig(t, rigOptions{}, allow("table:hr.core.staff", "ghost@example.com eve@example.com", "select"))
	if result := r.sync("table:hr.core.staff"); len(result.AlsoSynced) != 1 || !slices.Contains(result.Outcomes[0].Unknown, policy.PrincipalByShape("ghost@example.com")) {
		t.Fatalf("%v synced too, outcomes %+v", result.AlsoSynced, result.Outcomes)
	}
	r.server.ResetTrace()
	if result := r.sync("table:hr.core.staff"); !result.Plan.Empty() || len(result.AlsoSynced) > 0 || r.patches() > 0 {
		t.Errorf("plan %q, %v synced too, %d PATCHes", planned(result), result.AlsoSynced, r.patches())
	}
}

// A container that is gone by the time it is looked at requires nothing; one that may not be read is named, and the
// object inside is synced all the same; a workspace that does not answer fails the sync.
func TestAncestorsThatCannotBeRead(t *testing.T) {
	for code, wantErr := range map[policy.Code]bool{policy.CodeNotFound: false, policy.CodeUnavailable: true, policy.CodeForbidden: false} {
		f := &fake{}
		r := newRig(t, rigOptions{wrap: through(f)}, usual()...)
		f.grants = func(s policy.Securable) error {
			if s == sec(t, "catalog:hr") {
				return policy.Errorf(code, "no answer for the catalog")
			}
			return nil
		}
		if code == policy.CodeNotFound {
			f.get = f.grants
		}
		r.grant("schema:hr.core", "eve@example.com", "USE_SCHEMA")
		r.server.ResetTrace()
		result, err := r.Sync(t.Context(), r.roots("table:hr.core.staff"))
		if wantErr {
			if policy.CodeOf(err) != code || r.patches() > 0 {
				t.Errorf("%s: error %v, %d PATCHes", code, err, r.patches())
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"1 TABLE:hr.core.staff +eve@example.com SELECT"}, planned(result)); diff != "" {
			t.Errorf("%s: plan (-want +got):\n%s", code, diff)
		}
		if named := len(result.Unread) == 1 && result.Unread[0].Securable == sec(t, "catalog:hr"); named != (code == policy.CodeForbidden) {
			t.Errorf("%s: left out %v", code, result.Unread)
		}
	}
}

// Anybody may hold USE_* on a container whose grants cannot be read, so what is revoked inside is revoked before USE_* is added
// there.
func TestOrderBelowAncestorThatCannotBeRead(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, allow("schema:hr.core", "eve@example.com", "use_schema"))
	f.grants = func(s policy.Securable) error {
		if s == sec(t, "catalog:hr") {
			return policy.Errorf(policy.CodeForbidden, "not yours")
		}
		return nil
	}
	r.grant("table:hr.core.staff", "eve@example.com", "SELECT")
	result := r.sync("schema:hr.core")
	if diff := cmp.Diff([]string{"1 TABLE:hr.core.staff -eve@example.com SELECT", "2 SCHEMA:hr.core +eve@example.com USE_SCHEMA"}, planned(result)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// Where none of the roots exists any more, nothing is changed: neither inside them nor elsewhere.
func TestRootsThatAreGone(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, usual()...)
	f.grants = func(s policy.Securable) error {
		if s == sec(t, "catalog:hr") {
			return policy.Errorf(policy.CodeNotFound, "dropped") // after it was listed, and what is inside too
		}
		return nil
	}
	f.get = f.grants
	result := r.sync("catalog:hr")
	if diff := cmp.Diff([]string{"CATALOG:hr"}, spell(result.Missing)); diff != "" || !result.Plan.Empty() {
		t.Errorf("missing %q, plan %q", spell(result.Missing), planned(result))
	}
	if whole := r.sync(); len(whole.Missing) > 0 { // nobody asked for it by name
		t.Errorf("missing %q of everything", spell(whole.Missing))
	}
}

// USE_* that an object requires would wake a grant on the container above that the policies do not want: that container is
// synced too, and the grant is gone before.
func TestDormantGrantsAboveAreRevokedFirst(t *testing.T) {
	r := newRig(t, rigOptions{}, allow("table:hr.core.staff", "bob@example.com", "select"))
	r.grant("catalog:hr", "bob@example.com", "USE_CATALOG", "MODIFY")
	result := r.sync("table:hr.core.staff")
	if got := strings.Join(spell(result.AlsoSynced), " "); !strings.Contains(got, "CATALOG:hr") {
		t.Errorf("synced too: %s", got)
	}
	revoked, opened := -1, -1
	for i, line := range planned(result) {
		if strings.Contains(line, "-bob@example.com MODIFY") {
			revoked = i
		}
		if strings.Contains(line, "+bob@example.com USE_SCHEMA") {
			opened = i
		}
	}
	if revoked < 0 || opened < revoked {
		t.Errorf("the grant that USE_SCHEMA wakes is not revoked before: %q", planned(result))
	}
}

// What somebody granted on the container above since the last sync would wake, too.
func TestDormantGrantsAboveAreSeenAnew(t *testing.T) {
	r := newRig(t, rigOptions{}, allow("table:hr.core.staff", "bob@example.com", "select"))
	r.sync()
	r.revoke("schema:hr.core", "bob@example.com", "USE_SCHEMA")
	r.grant("catalog:hr", "bob@example.com", "MODIFY")
	want := []string{"1 CATALOG:hr -bob@example.com MODIFY", "2 SCHEMA:hr.core +bob@example.com USE_SCHEMA"}
	if diff := cmp.Diff(want, planned(r.sync("schema:hr.core"))); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}
