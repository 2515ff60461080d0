package connector_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/ranger"
)

// USE_* above a root that is to be revoked is revoked before something is granted behind it, although the root alone was
// asked for.
func TestWayAboveThatCloses(t *testing.T) {
	denied := allow("schema:hr.core", "nobody@example.com", "browse")
	denied.DenyPolicyItems = []ranger.PolicyItem{{Users: []string{"eve@example.com"}, Accesses: []ranger.ItemAccess{{Type: "use_schema"}}}}
	r := newRig(t, rigOptions{}, allow("table:hr.core.staff", "eve@example.com", "select"), denied)
	r.grant("catalog:hr", "eve@example.com", "USE_CATALOG")
	r.grant("schema:hr.core", "eve@example.com", "USE_SCHEMA")
	result := r.sync("table:hr.core.staff")
	if diff := cmp.Diff([]string{"SCHEMA:hr.core"}, spell(result.AlsoSynced)); diff != "" {
		t.Errorf("synced too (-want +got):\n%s", diff)
	}
	want := []string{"1 SCHEMA:hr.core -eve@example.com USE_SCHEMA", "2 TABLE:hr.core.staff +eve@example.com SELECT"}
	if diff := cmp.Diff(want, planned(result)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	r.server.ResetTrace()
	if again := r.sync("table:hr.core.staff"); !again.Plan.Empty() || len(again.AlsoSynced) > 0 {
		t.Errorf("a second sync has %v, and syncs %v too", planned(again), again.AlsoSynced)
	}
}

// ALL_PRIVILEGES on a container confers the USE_* that what is inside requires: what was granted there by hand is revoked first.
func TestAllPrivilegesOpenTheWay(t *testing.T) {
	r := newRig(t, rigOptions{}, allow("catalog:hr", "eve@example.com", "all_privileges"))
	r.grant("table:hr.core.staff", "eve@example.com", "MANAGE")
	result := r.sync("schema:hr.core")
	if diff := cmp.Diff([]string{"1 TABLE:hr.core.staff -eve@example.com MANAGE", "2 CATALOG:hr +eve@example.com ALL_PRIVILEGES"}, planned(result)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// Where not all objects of a schema are known, ALL_PRIVILEGES that no policy gives goes, and the USE_* that it conferred stay.
func TestAllPrivilegesAboveWhatIsUnknown(t *testing.T) {
	r := newRig(t, rigOptions{attempts: 2})
	r.grant("schema:sales.apac", "analysts", "ALL_PRIVILEGES")
	r.fault(emulator.Fault{Path: "/api/2.1/unity-catalog/volumes", Status: 404, ErrorCode: "SCHEMA_DOES_NOT_EXIST"})
	if _, err := r.Sync(t.Context(), r.roots("catalog:sales")); err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(r.server.Grants().Of(sec(t, "schema:sales.apac")), func(a policy.Assignment) bool { return a.Name != "analysts" })
	if len(got) != 1 || got[0].Privilege != policy.UseSchema {
		t.Errorf("granted %v", got)
	}
	r.server.ClearFaults()
	r.sync("catalog:sales")
	if got := r.server.Grants().Of(sec(t, "schema:sales.apac")); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}

// The plan shows USE_* that stands in for ALL_PRIVILEGES while it is applied, and nobody is left with it.
func TestTemporaryUse(t *testing.T) {
	r := newRig(t, rigOptions{syncer: connector.Options{Compile: compile.Options{SkipUse: true}}}, allow("catalog:sales", "analysts", "select"),
		allow("catalog:sales", "engineers", "all_privileges"), allow("schema:sales.emea", "ann@example.com", "all_privileges"), allow("volume:sales.emea.landing", "ann@example.com", "manage"))
	r.grant("catalog:sales", "analysts", "ALL_PRIVILEGES")
	r.grant("catalog:sales", "engineers", "MANAGE")
	result := r.sync("catalog:sales")
	var temporary []string
	for _, c := range result.Plan.Changes {
		for _, a := range c.AddTemporary {
			temporary = append(temporary, "+"+c.Securable.String()+" "+a.String())
		}
		for _, a := range c.RemoveTemporary {
			temporary = append(temporary, "-"+c.Securable.String()+" "+a.String())
		}
	}
	if diff := cmp.Diff([]string{"+CATALOG:sales analysts USE_SCHEMA", "-CATALOG:sales analysts USE_SCHEMA"}, temporary); diff != "" {
		t.Errorf("temporary (-want +got):\n%s", diff)
	}
	for _, o := range result.Outcomes {
		if o.Err != nil {
			t.Errorf("%s: %v", o.Change, o.Err)
		}
	}
	if diff := cmp.Diff(lines(r.desired()), managed(r)); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
}

// No USE_* is added above an object whose grants the workspace does not find although it exists: what was granted
// there may be to be revoked. Once it is found, that is revoked first. What we may not read is not ours, and holds nothing
// back.
func TestNoUseAboveWhatCannotBeRead(t *testing.T) {
	staff := sec(t, "table:hr.core.staff")
	for name, test := range map[string]struct {
		code  policy.Code
		times int
		held  bool
	}{
		"not found for a moment": {policy.CodeNotFound, 1, false},
		"never found":            {policy.CodeNotFound, 1000, true},
		"not answered":           {policy.CodeUnavailable, 1000, true},
		"forbidden":              {policy.CodeForbidden, 1000, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			r := newRig(t, rigOptions{wrap: through(f)}, allow("schema:hr.core", "eve@example.com", "use_schema"))
			r.grant("table:hr.core.staff", "eve@example.com", "SELECT")
			r.grant("catalog:hr", "eve@example.com", "USE_CATALOG")
			r.grant("schema:sales.emea", "analysts", "SELECT")
			left := test.times
			f.grants = func(s policy.Securable) error {
				if s != staff || left == 0 {
					return nil
				}
				left--
				return policy.Errorf(test.code, "not now")
			}
			result, err := r.Sync(t.Context(), connector.Request{})
			if err != nil {
				t.Fatal(err)
			}
			opened := len(r.server.Grants().Of(sec(t, "schema:hr.core"))) > 0
			named := slices.ContainsFunc(result.Plan.Report.Findings, func(f policy.Finding) bool {
				return f.Securable == sec(t, "schema:hr.core") && f.Effect == policy.EffectNarrower && f.Privilege == policy.UseSchema
			})
			if opened == test.held || named != test.held {
				t.Errorf("opened %t, named %t: %v", opened, named, result.Plan.Report.Findings)
			}
			if got := r.server.Grants().Of(sec(t, "schema:sales.emea")); len(got) > 0 {
				t.Errorf("elsewhere: %v", got)
			}
			left = 0
			r.sync()
			if diff := cmp.Diff(lines(r.desired()), managed(r)); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
		})
	}
}

// USE_* that is to be revoked counts wherever it stands: held by a group above the root, inside a container that the root is
// in, on a container that cannot be read, or kept because not all is known. And USE_* wakes nothing that is to be revoked.
func TestNothingIsGrantedBehindUseThatIsToGo(t *testing.T) {
	unlisted := func(schema policy.Securable) func(*fake) {
		return func(f *fake) {
			f.list = func(parent policy.Securable, typ policy.SecurableType, found []policy.Object, err error) ([]policy.Object, error) {
				if parent == schema && typ == policy.Volume {
					return nil, policy.Errorf(policy.CodeForbidden, "not now")
				}
				return found, err
			}
		}
	}
	unread := func(s policy.Securable, code policy.Code) func(*fake) {
		return func(f *fake) {
			f.grants = func(of policy.Securable) error {
				if of == s {
					return policy.Errorf(code, "not now")
				}
				return nil
			}
		}
	}
	for _, test := range []struct {
		name     string
		fault    func(*fake)
		policies []ranger.Policy
		grants   [][3]string
		root     string
		want     []string // of the plan
	}{
		{
			name:     "held by a group above",
			policies: []ranger.Policy{allow("table:hr.core.staff", "eve@example.com", "select"), deny("schema:hr.core", "eve@example.com", "use_schema")},
			grants:   [][3]string{{"catalog:hr", "eve@example.com", "USE_CATALOG"}, {"schema:hr.core", "analysts", "USE_SCHEMA"}},
			root:     "table:hr.core.staff",
			want:     []string{"1 SCHEMA:hr.core -analysts USE_SCHEMA", "2 TABLE:hr.core.staff +eve@example.com SELECT"},
		},
		{
			name:     "inside the container above",
			policies: []ranger.Policy{allow("table:sales.*.*", "eve@example.com", "modify select"), deny("schema:sales.*", "eve@example.com", "use_schema")},
			grants:   [][3]string{{"catalog:sales", "eve@example.com", "USE_CATALOG"}, {"schema:sales.emea", "eve@example.com", "USE_SCHEMA"}},
			root:     "table:sales.apac.leads",
			want:     []string{"1 SCHEMA:sales.emea -eve@example.com USE_SCHEMA", "2 CATALOG:sales +eve@example.com MODIFY +eve@example.com SELECT"},
		},
		{
			name:     "a sleeping grant below what cannot be read",
			fault:    unread(policy.Securable{Type: policy.Catalog, FullName: "hr"}, policy.CodeForbidden),
			policies: []ranger.Policy{allow("schema:hr.core", "eve@example.com", "use_schema")},
			grants:   [][3]string{{"table:hr.core.staff", "eve@example.com", "SELECT"}},
			root:     "catalog:hr",
			want:     []string{"1 TABLE:hr.core.staff -eve@example.com SELECT", "2 SCHEMA:hr.core +eve@example.com USE_SCHEMA"},
		},
		{
			name:     "a grant that may sleep on what does not answer",
			fault:    unread(policy.Securable{Type: policy.Catalog, FullName: "hr"}, policy.CodeUnavailable),
			policies: []ranger.Policy{allow("schema:hr.core", "eve@example.com", "use_schema")},
			grants:   [][3]string{{"catalog:hr", "eve@example.com", "SELECT"}, {"catalog:hr", "eve@example.com", "USE_CATALOG"}},
			root:     "catalog:hr",
		},
		{
			name:     "kept because not all is listed",
			fault:    unlisted(policy.Securable{Type: policy.Schema, FullName: "sales.emea"}),
			policies: []ranger.Policy{allow("table:sales.emea.orders", "eve@example.com", "select"), deny("schema:sales.emea", "eve@example.com", "use_schema")},
			grants:   [][3]string{{"catalog:sales", "eve@example.com", "USE_CATALOG"}, {"schema:sales.emea", "eve@example.com", "USE_SCHEMA"}},
			root:     "catalog:sales",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{}
			if test.fault != nil {
				test.fault(f)
			}
			r := newRig(t, rigOptions{wrap: through(f)}, test.policies...)
			for _, g := range test.grants {
				r.grant(g[0], g[1], policy.Privilege(g[2]))
			}
			result := r.sync(test.root)
			if diff := cmp.Diff(test.want, planned(result)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			f.grants, f.list = nil, nil
			r.sync()
			if diff := cmp.Diff(lines(r.desired()), managed(r)); diff != "" {
				t.Errorf("grants in the end (-want +got):\n%s", diff)
			}
		})
	}
}

// What goes on as a grant above is not revoked while that grant waits for what could not be read.
func TestWhatIsReplacedWaits(t *testing.T) {
	f := &fake{}
	r := newRig(t, rigOptions{wrap: through(f)}, allow("table:hr.*.*", "eve@example.com", "select"))
	r.grant("catalog:hr", "eve@example.com", "USE_CATALOG")
	r.grant("schema:hr.core", "eve@example.com", "USE_SCHEMA", "SELECT", "MODIFY")
	f.grants = func(s policy.Securable) error {
		if s == sec(t, "table:hr.core.staff") {
			return policy.Errorf(policy.CodeUnavailable, "not now")
		}
		return nil
	}
	want := []string{"1 CATALOG:hr +eve@example.com SELECT", "2 SCHEMA:hr.core -eve@example.com MODIFY -eve@example.com SELECT"}
	if diff := cmp.Diff(want, planned(r.sync("catalog:hr"))); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	f.grants = nil
	r.sync()
	if diff := cmp.Diff(lines(r.desired()), managed(r)); diff != "" {
		t.Errorf("grants in the end (-want +got):\n%s", diff)
	}
}
