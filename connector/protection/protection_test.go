package protection_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/connector/memory"
	"ucwarden/connector/protection"
	"ucwarden/connector/warehousetest"
	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/policytest"
	"ucwarden/policy/protect"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

const us = "us@example.com"

func table(n int) policy.TableState {
	return policy.TableState{
		Securable: policy.Securable{Type: policy.Table, FullName: fmt.Sprintf("c.s.t%d", n)}, ID: fmt.Sprintf("%012x", n), Known: true, Owner: "owner",
		Columns: []policy.Column{{Name: "Region", Type: "string"}, {Name: "n", Type: "int"}},
	}
}

func item(groups ...string) ranger.PolicyItem {
	return ranger.PolicyItem{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: groups}
}

func rowFilter(tables, expr string) ranger.Policy {
	return ranger.Policy{ID: 1, Name: "rows", PolicyType: ranger.PolicyTypeRowFilter, Resources: policytest.Resources("catalog=c schema=s table=" + tables),
		RowFilterPolicyItems: []ranger.RowFilterPolicyItem{{PolicyItem: item("eu"), RowFilterInfo: ranger.RowFilterInfo{FilterExpr: expr}}}}
}

func columnMask(tables, mask string) ranger.Policy {
	return ranger.Policy{ID: 2, Name: "mask", PolicyType: ranger.PolicyTypeDataMask, Resources: policytest.Resources("catalog=c schema=s column=region table=" + tables),
		DataMaskPolicyItems: []ranger.DataMaskPolicyItem{{PolicyItem: item("eu"), DataMaskInfo: ranger.DataMaskInfo{DataMaskType: mask}}}}
}

type world struct {
	*testing.T
	warehouse *warehousetest.Warehouse
	worker    *protection.Worker
	inventory *policy.Inventory
	members   []string // of every group; nil names none
	denied    func(policy.Securable) *judge.Denials
	parts     bool // the inventory does not hold all of the catalog
	memory    *memory.Memory
	exempt    []policy.Principal
}

func newWorld(t *testing.T, tables int) *world {
	w := &world{T: t, warehouse: warehousetest.New(us), memory: memory.New(nil, memory.Folder(t.TempDir()))}
	w.inventory = policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}})
	for n := range tables {
		w.warehouse.AddTable(table(n))
		w.inventory.Add(policy.Object{Securable: table(n).Securable})
	}
	w.restart()
	return w
}

// restart forgets all that is not kept.
func (w *world) restart() {
	w.worker = protection.New(protection.Options{Warehouse: w.warehouse, Reader: w.warehouse, Shares: w.warehouse, Schema: "ucwarden_protection", Self: us, Backoff: time.Microsecond, Memory: w.memory})
}

func (w *world) plan(policies ...ranger.Policy) *protection.Plan {
	w.Helper()
	set, err := rules.New(&ranger.Snapshot{Policies: policies}, rules.Options{})
	if err != nil {
		w.Fatal(err)
	}
	o := protect.Options{Schema: "ucwarden_protection", Exempt: w.exempt}
	if w.members != nil {
		o.NameMembers, o.Members = 100, func(policy.Principal) ([]string, bool) { return w.members, true }
	}
	var whole []policy.Securable
	if !w.parts {
		whole = append(whole, policy.Securable{Type: policy.Catalog, FullName: "c"})
	}
	p, err := w.worker.Plan(context.Background(), protection.Request{
		Protector: protect.New(set, o), Inventory: w.inventory,
		Whole: whole, InScope: func(policy.Securable) bool { return true }, Denied: w.denied,
	})
	if err != nil {
		w.Fatal(err)
	}
	return p
}

func note(context.Context, policy.ProtectionChange) (func(error), error) { return func(error) {}, nil }

// apply plans and applies, and returns the plan, which has to have said how many statements that takes.
func (w *world) apply(policies ...ranger.Policy) *protection.Plan {
	w.Helper()
	p := w.plan(policies...)
	w.worker.Remember(context.Background())
	before := len(w.warehouse.Statements)
	defer func() {
		if n := len(w.warehouse.Statements) - before; n != p.Statements {
			w.Errorf("%d statements were sent, and the plan says %d: %q", n, p.Statements, w.warehouse.Statements[before:])
		}
	}()
	for i, err := range w.worker.Apply(context.Background(), p.Changes, note) {
		if err != nil {
			w.Fatalf("%s: %v", p.Changes[i], err)
		}
	}
	for i, err := range w.worker.Lift(context.Background(), p.Changes, p.Drop, note) {
		if err != nil {
			w.Fatalf("%s: %v", p.Changes[i], err)
		}
	}
	return p
}

// quiet fails where a plan changes something.
func (w *world) quiet(policies ...ranger.Policy) {
	w.Helper()
	before := len(w.warehouse.Statements)
	if p := w.apply(policies...); len(p.Changes)+len(p.Drop) > 0 || len(w.warehouse.Statements) != before {
		w.Errorf("a second run changes %v and drops %v", p.Changes, p.Drop)
	}
}

func TestProtects(t *testing.T) {
	w := newWorld(t, 6)
	policies := []ranger.Policy{rowFilter("t*", "n > 1"), columnMask("t1", "MASK")}
	p := w.apply(policies...)
	if len(p.Protected) != 6 || len(p.Changes) != 6 || len(p.Bound) != 6 {
		t.Fatalf("the plan protects %v by %v", p.Protected, p.Changes)
	}
	state := w.warehouse.Table("c.s.t1")
	f, ok := w.warehouse.Function(state.Filter.Function)
	if !ok || !strings.Contains(f.Body, "is_account_group_member('eu')") || !strings.HasPrefix(state.Masks["region"].Function, "c.ucwarden_protection.mf_") {
		t.Errorf("the table carries %v, by the function %v", state, f)
	}
	w.quiet(policies...)
	w.restart()
	w.quiet(policies...)
}

// Who is exempt is named, with on how many tables.
func TestExemptAreNamed(t *testing.T) {
	const says = "no row filter and no mask binds etl@example.com, by protection.exempt"
	w := newWorld(t, 3)
	if p := w.plan(rowFilter("t*", "n > 1")); strings.Contains(fmt.Sprint(p.Findings), "exempt") {
		t.Errorf("nobody is exempt, and the findings are %v", p.Findings)
	}
	w.exempt = []policy.Principal{policy.NewPrincipal(policy.User, "etl@example.com")}
	p := w.plan(rowFilter("t*", "n > 1"))
	if !slices.ContainsFunc(p.Findings, func(f policy.Finding) bool { return strings.HasPrefix(f.Message, says) && f.Count == 2 }) {
		t.Errorf("the findings are %v", p.Findings)
	}
	if p := w.plan(); strings.Contains(fmt.Sprint(p.Findings), "exempt") {
		t.Errorf("no table is protected, and the findings are %v", p.Findings)
	}
}

// A changed filter is another function, set in place of the old one; that is dropped an hour later.
func TestReplaces(t *testing.T) {
	w := newWorld(t, 1)
	w.apply(rowFilter("t0", "n > 1"))
	first := w.warehouse.Table("c.s.t0").Filter.Function
	w.apply(rowFilter("t0", "n > 2"))
	second := w.warehouse.Table("c.s.t0").Filter.Function
	if first == second || len(w.warehouse.FunctionNames()) != 2 {
		t.Fatalf("after a change %s is set, before %s; there are %v", second, first, w.warehouse.FunctionNames())
	}
	for _, s := range w.warehouse.Statements {
		if strings.Contains(s, "DROP") || strings.Contains(s, "REPLACE") {
			t.Errorf("%s was sent", s)
		}
	}
	w.quiet(rowFilter("t0", "n > 2"))
	w.warehouse.Age(2 * time.Hour)
	w.apply(rowFilter("t0", "n > 2"))
	if names := w.warehouse.FunctionNames(); len(names) != 1 || names[0] != second {
		t.Errorf("the functions %v are left", names)
	}
}

func TestLeavesOthersAlone(t *testing.T) {
	foreign := policy.Protection{Filter: &policy.Attached{Function: "c.privacera_security.f"}}
	for name, edit := range map[string]func(w *world){
		"filter": func(w *world) { w.warehouse.Protect("c.s.t0", foreign) },
		"attribute policy": func(w *world) {
			w.warehouse.Govern(policy.AttributePolicy{Name: "x", Type: policy.AttributeRowFilter, On: policy.Securable{Type: policy.Catalog, FullName: "c"}})
		},
		"attribute policy on the table": func(w *world) {
			w.warehouse.Govern(policy.AttributePolicy{Name: "x", Type: policy.AttributeRowFilter, On: table(0).Securable})
		},
		"a name of ours": func(w *world) {
			w.warehouse.AddFunction(policy.SQLFunction{Name: "c.ucwarden_protection.rf_000000000000_x", Owner: "mallory"})
			w.warehouse.Protect("c.s.t0", policy.Protection{Filter: &policy.Attached{Function: "c.ucwarden_protection.rf_000000000000_x"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			edit(w)
			before := w.warehouse.Table("c.s.t0")
			byClock := rowFilter("t0", "n > unix_timestamp()")
			p := w.apply(byClock)
			if after := w.warehouse.Table("c.s.t0"); fmt.Sprint(before.Filter) != fmt.Sprint(after.Filter) || p.Protected[table(0).Securable] || len(p.Findings) == 0 ||
				len(p.Conflicts) != 1 || !p.Conflicts[0].Closed || !strings.Contains(fmt.Sprint(p.Findings), p.Conflicts[0].Why) {
				t.Errorf("it carries %v after %v; protected: %v, findings %v", after.Filter, before.Filter, p.Protected, p.Findings)
			}
			if strings.Contains(fmt.Sprint(p.Findings), "MERGE") { // of what the table does not carry
				t.Errorf("the findings are %v", p.Findings)
			}
			w.quiet(byClock)
		})
	}
}

// A table that is shared with others, itself or with its schema, is not given what would take it from them: it stays closed. What
// carries something already is kept as policies say.
func TestSharedTables(t *testing.T) {
	policies := []ranger.Policy{rowFilter("t0", "n > 1"), columnMask("t1", "MASK"), rowFilter("t2", "n > 1")}
	w := newWorld(t, 3)
	w.apply(policies[2])
	w.warehouse.Share(table(0).Securable, "out")
	w.warehouse.Share(table(2).Securable, "out")
	p := w.apply(policies...)
	if p.Protected[table(0).Securable] || !p.Protected[table(1).Securable] || !p.Protected[table(2).Securable] || w.warehouse.Table("c.s.t0").Filter != nil {
		t.Errorf("protected are %v", p.Protected)
	}
	found := slices.ContainsFunc(p.Findings, func(f policy.Finding) bool {
		return f.Securable == table(0).Securable && f.PolicyID == policies[0].ID && strings.Contains(f.Message, `rowFilterPolicyItems[0]: the table is not protected`) && strings.Contains(f.Message, `the share "out"`)
	})
	if !found {
		t.Errorf("the findings are %v", p.Findings)
	}
	w.quiet(policies...)
	policies[2] = rowFilter("t2", "n > 2")
	if p := w.apply(policies...); !p.Protected[table(2).Securable] {
		t.Errorf("what was protected is not changed: %v", p.Findings)
	}

	schema, _ := table(0).Parent()
	w = newWorld(t, 1)
	w.warehouse.Share(schema, "all")
	if p := w.apply(policies...); len(p.Protected) > 0 || !strings.Contains(fmt.Sprint(p.Findings), `its schema is in the share "all"`) {
		t.Errorf("protected are %v, findings %v", p.Protected, p.Findings)
	}
}

// Where it cannot be read for a moment what is shared, or governed by others, a table is left as it is; for ever, the plan says so.
func TestSharesUnread(t *testing.T) {
	w := newWorld(t, 1)
	for _, code := range []policy.Code{policy.CodeUnavailable, policy.CodeForbidden} {
		w.warehouse.FailRead = func(of policy.Securable) error {
			if of.Type == policy.Share {
				return policy.Errorf(code, "no")
			}
			return nil
		}
		p := w.plan(rowFilter("t0", "n > 1"))
		if left := code.Retryable(); left != (len(p.Unread) == 1) || left != (len(p.Changes) == 0) || left == strings.Contains(fmt.Sprint(p.Findings), "are shared with others cannot be read") {
			t.Errorf("%s: unread %v, changes %v, findings %v", code, p.Unread, p.Changes, p.Findings)
		}
	}
}

// What attribute-based policies of others do is said, also where no table is protected: what they grant makes access wider.
func TestOthersAreReported(t *testing.T) {
	catalog := policy.Securable{Type: policy.Catalog, FullName: "c"}
	schema := policy.Securable{Type: policy.Schema, FullName: "c.s"}
	for typ, effect := range map[policy.AttributePolicyType]policy.Effect{
		policy.AttributeGrant: policy.EffectWider, policy.AttributeRowFilter: policy.EffectNone, policy.AttributeColumnMask: policy.EffectNone, policy.AttributeDeny: policy.EffectNone,
		"POLICY_TYPE_NEW": policy.EffectNone,
	} {
		for _, on := range []policy.Securable{catalog, schema} {
			w := newWorld(t, 2)
			w.warehouse.Govern(policy.AttributePolicy{Name: "of " + string(typ), Type: typ, On: on})
			for _, policies := range [][]ranger.Policy{nil, {columnMask("t0", "MASK")}, {rowFilter("t*", "n > 1")}} {
				n, fails := 0, 0
				for _, f := range w.plan(policies...).Findings {
					switch {
					case !strings.Contains(f.Message, "of "+string(typ)) || f.PolicyID != 0:
					case strings.Contains(f.Message, "queries of that table fail"):
						fails++
					default:
						n++
						if f.Effect != effect || f.Securable != on {
							t.Errorf("%s: the finding is %+v", typ, f)
						}
					}
				}
				crosses := policies != nil && (typ == policy.AttributeRowFilter && policies[0].PolicyType == ranger.PolicyTypeDataMask || typ == policy.AttributeColumnMask && policies[0].PolicyType == ranger.PolicyTypeRowFilter)
				if n != 1 || fails > 1 || crosses != (fails == 1) {
					t.Errorf("%s on %s: %d findings, %d that queries fail, with %d policies", typ, on, n, fails, len(policies))
				}
			}
		}
	}
}

// Where attribute-based policies cannot be seen, that is said once.
func TestOthersUnseen(t *testing.T) {
	w := newWorld(t, 5)
	w.warehouse.FailOthers = func(policy.Securable) error { return policy.Errorf(policy.CodeForbidden, "no") }
	n := 0
	for _, f := range w.plan(rowFilter("t*", "n > 1")).Findings {
		if strings.Contains(f.Message, "cannot be seen") {
			if n++; f.Count != 1 || f.Securable.FullName != "c" { // the catalog, and the schema with the tables
				t.Errorf("the finding is %+v", f)
			}
		}
	}
	if n != 1 {
		t.Errorf("%d findings", n)
	}
	w.warehouse.FailOthers = func(on policy.Securable) error {
		if on.Type == policy.Table {
			return policy.Errorf(policy.CodeUnavailable, "no")
		}
		return nil
	}
	if p := w.plan(rowFilter("t*", "n > 1")); len(p.Unread) != 5 || len(p.Changes) != 0 {
		t.Errorf("where those of tables cannot be read, unread are %v, and changed %v", p.Unread, p.Changes)
	}
}

// Who joins a group that filters a thousand tables costs no statement, until a tenth of it is not named; who leaves it costs two for
// each table.
func TestCostOfMembers(t *testing.T) {
	const tables = 1000
	w := newWorld(t, tables)
	for i := range 50 {
		w.members = append(w.members, fmt.Sprintf("u%02d@x", i))
	}
	filter := rowFilter("t*", "n > 1")
	w.apply(filter)
	for _, c := range []struct {
		what       string
		members    []string
		statements int
	}{
		{"five joined", append(slices.Clone(w.members), "a@x", "b@x", "c@x", "d@x", "e@x"), 0},
		{"a sixth joined", append(slices.Clone(w.members), "a@x", "b@x", "c@x", "d@x", "e@x", "f@x"), 2 * tables},
		{"one left", append(slices.Clone(w.members), "a@x", "b@x", "c@x", "d@x", "e@x"), 2 * tables},
	} {
		w.members = c.members
		if p := w.apply(filter); p.Statements != c.statements {
			t.Errorf("%s: %d statements, want %d", c.what, p.Statements, c.statements)
		}
		w.quiet(filter)
	}
}

// What is set between the plan and its application is not replaced.
func TestChangedSincePlanned(t *testing.T) {
	w := newWorld(t, 1)
	p := w.plan(rowFilter("t0", "n > 1"))
	foreign := &policy.Attached{Function: "c.other.f"}
	w.warehouse.Protect("c.s.t0", policy.Protection{Filter: foreign})
	errs := w.worker.Apply(context.Background(), p.Changes, note)
	if errs[0] == nil || w.warehouse.Table("c.s.t0").Filter.Function != foreign.Function {
		t.Errorf("the error is %v, and the table carries %v", errs[0], w.warehouse.Table("c.s.t0").Filter)
	}
}

// A statement that fails, before or after its effect, leaves a table closed or protected, and the next run ends it.
func TestFailures(t *testing.T) {
	for _, after := range []bool{false, true} {
		for _, form := range []string{"CREATE SCHEMA", "CREATE FUNCTION", "SET ROW FILTER", "SET MASK"} {
			for _, times := range []int{1, 3, 4, 8} {
				w := newWorld(t, 2)
				left := times
				w.warehouse.Fail = func(s string, now bool) error {
					if now == after && strings.Contains(s, form) && left > 0 {
						left--
						return warehousetest.Lost()
					}
					return nil
				}
				policies := []ranger.Policy{rowFilter("t0", "n > 1"), columnMask("t0", "MASK")}
				p := w.plan(policies...)
				err := w.worker.Apply(context.Background(), p.Changes, note)[0]
				state := w.warehouse.Table("c.s.t0")
				if whole := state.Filter != nil && len(state.Masks) == 1; err == nil && !whole {
					t.Errorf("%s fails %d times: no error, and the table carries %v", form, times, state)
				}
				if passing := times < 4; passing != (err == nil) && !after {
					t.Errorf("%s fails %d times: the error is %v", form, times, err)
				}
				if closed := w.plan(policies...); err != nil && closed.Protected[table(0).Securable] {
					t.Errorf("%s fails %d times: the table counts as protected", form, times)
				}
				w.warehouse.Fail = nil
				w.restart()
				w.apply(policies...)
				w.quiet(policies...)
			}
		}
	}
}

// A table that could not be protected for a reason that may pass is due again after a minute, then later; for another reason it is not.
func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1) // several would wait for one another by a lock, while which no time passes
		filter := rowFilter("t*", "n > 1")
		catalog := []policy.Securable{{Type: policy.Catalog, FullName: "c"}}
		w.warehouse.Fail = func(string, bool) error { return warehousetest.Lost() }
		start := time.Now()
		for _, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			w.worker.Apply(t.Context(), w.plan(filter).Changes, note)
			if p := w.plan(filter); len(p.Unprotected) != 1 || len(p.Changes) > 0 {
				t.Errorf("before it is due, %d tables are not protected, and changes are %v", len(p.Unprotected), p.Changes)
			}
			got := w.worker.Due(t.Context())
			if late := time.Since(start); !slices.Equal(got, catalog) || late < wait || late > wait+time.Minute {
				t.Errorf("after %s due are %v, want %v after %s", late, got, catalog, wait)
			}
			start = time.Now()
		}
		w.warehouse.Fail = nil
		w.apply(filter)
		w.warehouse.Fail = func(string, bool) error { return policy.Errorf(policy.CodeForbidden, "no") }
		w.worker.Apply(t.Context(), w.plan(rowFilter("t*", "n > 2")).Changes, note)
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		if got := w.worker.Due(ctx); got != nil {
			t.Errorf("due are %v", got)
		}
		w.warehouse.Fail = nil
		w.apply(rowFilter("t*", "n > 2"))
	})
}
