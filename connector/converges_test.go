package connector_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// TestConverges disturbs syncs at random. As soon as the disturbance ends, one sync reaches what the policies say and
// a second changes nothing; and after each PATCH on the way nobody had access that they had neither before nor
// afterwards.
func TestConverges(t *testing.T) {
	runs, failed := 0, false
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > 20 && !failed {
			return // each takes a server: fewer than of other properties are enough
		}
		defer func() { failed = failed || rt.Failed() }()
		expands := rapid.Bool().Draw(rt, "ALL_PRIVILEGES is shown written out")
		r := newRig(t, rigOptions{size: drawGrants(rt, t), attempts: 2, emulator: emulator.Options{RandomSeed: rapid.Uint64().Draw(rt, "seed"), PageSize: 3, ExpandAllPrivileges: expands},
			syncer: connector.Options{State: &inMemory{}}}, drawPolicies(rt)...)
		defer r.stop()
		before, after := r.server.Grants(), r.desired()
		for s := range before.All() { // what is not ours stays
			if s.Securable.Names()[0] == "system" || s.Privilege.Set()&policy.DefaultPrivilegeSet == 0 {
				after.Add(s)
			}
		}
		r.server.ResetTrace()
		r.fault(rapid.SliceOfN(rapid.Custom(drawFault), 1, 3).Draw(rt, "faults")...)
		for range rapid.IntRange(1, 3).Draw(rt, "disturbed syncs") {
			root := rapid.SampledFrom([]string{"", "", "catalog:sales", "schema:sales.emea", "table:sales.emea.orders", "table:sales.apac.leads"}).Draw(rt, "root")
			request := connector.Request{}
			if root != "" {
				request = r.roots(root)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, err := r.Sync(ctx, request); err != nil && policy.CodeOf(err) == policy.CodeInternal {
				rt.Fatalf("an error of no class: %v", err)
			}
		}
		r.server.ClearFaults()
		if _, err := r.Sync(t.Context(), connector.Request{ByPerson: true}); err != nil { // which also reads the directory again
			rt.Fatal(err)
		}
		reached := r.server.Grants()
		if expands { // what nobody can tell from ALL_PRIVILEGES, and is not ours, stays with those who lose that
			after, reached = known(after), r.asShown(rt, known(before), known(after), known(reached))
		}
		if diff := gocmp.Diff(lines(after), lines(reached)); diff != "" {
			rt.Fatalf("grants (-want +got):\n%s", diff)
		}
		checkTrace(rt, before, after, r.server.Trace())
		r.server.ResetTrace()
		if result := r.sync(); r.patches() > 0 || !result.Plan.Empty() {
			rt.Fatalf("a second sync sends %d PATCHes for %v", r.patches(), result.Plan.Changes)
		}
	})
}

// A server that says 429 is waited for, and no change is lost. (Not in the property above: it takes real time.)
func TestRateLimited(t *testing.T) {
	r := newRig(t, rigOptions{attempts: 8}, usual()...)
	r.fault(emulator.Fault{Status: 429, Every: 4, Count: 5}, emulator.Fault{Method: "PATCH", Status: 429, Count: 2})
	r.sync("catalog:hr")
	if got := r.server.Grants().Of(sec(t, "table:hr.core.staff")); len(got) != 1 {
		t.Errorf("grants %v", got)
	}
}

var (
	faultyPaths = []string{"*", "*/permissions/*", "*/permissions/table/*", "*/permissions/schema/*", "*/permissions/catalog/*", "*/table-summaries", "*/schemas", "*/volumes"}
	people      = []string{"ann@example.com", "bob@example.com", "analysts", "engineers"}
	objects     = []string{"catalog:sales", "schema:sales.emea", "schema:sales.apac", "table:sales.emea.orders", "table:sales.emea.customers", "table:sales.apac.orders", "table:sales.apac.leads"}
)

func drawFault(t *rapid.T) emulator.Fault {
	f := emulator.Fault{Path: rapid.SampledFrom(faultyPaths).Draw(t, "path"), Probability: rapid.SampledFrom([]float64{0.1, 0.3, 0.6}).Draw(t, "probability")}
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		f.Status = rapid.SampledFrom([]int{409, 500, 502, 503, 504}).Draw(t, "status")
	case 1:
		f.Method, f.Status, f.After = "PATCH", 504, true
	case 2:
		f.Drop, f.After = true, rapid.Bool().Draw(t, "after")
	case 3:
		f.Truncate = true
	case 4:
		f.Garble = true
	case 5:
		f.Method, f.StaleVersions = "GET", 1
	}
	return f
}

func drawPolicies(t *rapid.T) []ranger.Policy {
	var list []ranger.Policy
	for range rapid.IntRange(1, 5).Draw(t, "policies") {
		resource := rapid.SampledFrom([]string{"table:sales.emea.*", "table:sales.*.orders", "table:sales.apac.leads", "table:*.*.*", "schema:sales.*", "table:sales.emea.cust*"}).Draw(t, "resource")
		accesses := rapid.SampledFrom([]string{"select", "modify", "all_privileges"}).Draw(t, "accesses")
		if strings.HasPrefix(resource, "schema") && accesses != "all_privileges" {
			accesses = "create_table"
		}
		list = append(list, allow(resource, rapid.SampledFrom(people).Draw(t, "who"), accesses))
	}
	return list
}

// drawGrants makes a metastore with grants that somebody left, long enough ago for no stale read to miss them.
func drawGrants(t *rapid.T, tb testing.TB) *emulator.Seed {
	r := newRig(tb, rigOptions{})
	defer r.stop()
	for range rapid.IntRange(0, 8).Draw(t, "grants") {
		object := rapid.SampledFrom(objects).Draw(t, "object")
		list := []policy.Privilege{"SELECT", "MODIFY", "ALL_PRIVILEGES", "INSERT"}
		switch sec(r.t, object).Type {
		case policy.Catalog:
			list = append(list, "USE_CATALOG", "USE_SCHEMA")
		case policy.Schema:
			list = append(list, "USE_SCHEMA")
		}
		r.grant(object, rapid.SampledFrom(people).Draw(t, "principal"), rapid.SampledFrom(list).Draw(t, "privilege"))
	}
	return r.server.State()
}

// checkTrace replays the changes that took effect and holds every state on the way within before ∪ after.
func checkTrace(t *rapid.T, before, after *policy.GrantSet, trace []emulator.TraceEntry) {
	state := before.Clone()
	persons := map[string][]policy.Principal{"ann": {policy.PrincipalByShape("ann@example.com"), policy.PrincipalByShape("analysts")}, "bob": {policy.PrincipalByShape("bob@example.com")}, "an engineer": {policy.PrincipalByShape("engineers")}}
	var path strings.Builder
	slices.SortFunc(trace, func(a, b emulator.TraceEntry) int { return cmp.Compare(a.Applied, b.Applied) })
	for _, e := range trace {
		if e.Method != "PATCH" || e.Applied == 0 {
			continue
		}
		c := changeOf(t, e)
		fmt.Fprintf(&path, "%s\n", c)
		state.Set(c.Securable, c.AppliedTo(state.Of(c.Securable)))
		for name, who := range persons {
			for _, object := range objects {
				o, err := policy.ParseSecurable(object)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range []policy.Privilege{"SELECT", "MODIFY"} {
					if o.Type == policy.Table && reaches(state, who, p, o) && !reaches(before, who, p, o) && !reaches(after, who, p, o) {
						t.Fatalf("wider on the way: %s has %s on %s after\n%s\nbefore\n%s", name, p, o, path.String(), strings.Join(lines(before), "\n"))
					}
				}
			}
		}
	}
}

// known returns the grants of privileges that this version knows.
func known(g *policy.GrantSet) *policy.GrantSet {
	rest := &policy.GrantSet{}
	for x := range g.All() {
		if x.Privilege.Set()&policy.DefaultPrivilegeSet != 0 {
			rest.Add(x)
		}
	}
	return rest
}

// asShown returns reached with what is wanted in place of an ALL_PRIVILEGES that stood there before, is not wanted, and is
// shown as just what is wanted: nobody can tell the two apart.
func (r *rig) asShown(t *rapid.T, before, wanted, reached *policy.GrantSet) *policy.GrantSet {
	rest := reached.Clone()
	for x := range reached.All() {
		if x.Privilege != policy.AllPrivileges || !before.Has(x) || wanted.Has(x) {
			continue
		}
		shown, err := r.client.Grants(r.t.Context(), x.Securable)
		if err != nil {
			t.Fatal(err)
		}
		others := func(a policy.Assignment) bool { return a.Name != x.Principal.Name }
		shown = slices.DeleteFunc(shown, func(a policy.Assignment) bool {
			return others(a) || a.Privilege.Set()&policy.DefaultPrivilegeSet == 0
		})
		want := slices.DeleteFunc(slices.Clone(wanted.Of(x.Securable)), others)
		if slices.EqualFunc(shown, want, func(a, b policy.Assignment) bool { return a.Privilege == b.Privilege }) {
			list := slices.DeleteFunc(slices.Clone(reached.Of(x.Securable)), func(a policy.Assignment) bool { return !others(a) })
			rest.Set(x.Securable, append(list, want...))
		}
	}
	return rest
}

func changeOf(t *rapid.T, e emulator.TraceEntry) policy.Change {
	parts := strings.Split(e.Path, "/")
	name, err := url.PathUnescape(parts[len(parts)-1])
	if err != nil {
		t.Fatal(err)
	}
	s, err := policy.ParseSecurable(parts[len(parts)-2] + ":" + name)
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Changes []struct {
			Principal   string
			Add, Remove []policy.Privilege
		}
	}
	if err := json.Unmarshal([]byte(e.Body), &body); err != nil {
		t.Fatal(err)
	}
	c := policy.Change{Securable: s}
	for _, d := range body.Changes {
		for _, p := range d.Add {
			c.Add = append(c.Add, policy.Assignment{Principal: policy.PrincipalByShape(d.Principal), Privilege: p})
		}
		for _, p := range d.Remove {
			c.Remove = append(c.Remove, policy.Assignment{Principal: policy.PrincipalByShape(d.Principal), Privilege: p})
		}
	}
	return c
}

// reaches tells whether somebody with the given names has the privilege on a table: granted on it or above, with the
// way to it open.
func reaches(g *policy.GrantSet, who []policy.Principal, p policy.Privilege, table policy.Securable) bool {
	holds := func(s policy.Securable, p policy.Privilege) bool {
		for ok := true; ok; s, ok = s.Parent() {
			for _, name := range who {
				if g.Has(policy.Grant{Securable: s, Principal: name, Privilege: p}) || g.Has(policy.Grant{Securable: s, Principal: name, Privilege: policy.AllPrivileges}) {
					return true
				}
			}
		}
		return false
	}
	schema, _ := table.Parent()
	catalog, _ := schema.Parent()
	return holds(table, p) && holds(schema, policy.UseSchema) && holds(catalog, policy.UseCatalog)
}
