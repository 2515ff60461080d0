package connector_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/emulator"
	"ucwarden/connector/load"
	"ucwarden/connector/warehousetest"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/guard"
	"ucwarden/policy/protect"
	"ucwarden/policy/ranger"
)

// protected is a rig whose table sales.emea.orders a warehouse can protect. Events are the changes of grants on it and the
// statements about it, in their order.
type protected struct {
	*rig
	warehouse *warehousetest.Warehouse
	events    *[]string
}

// watched notes the changes of grants on a table.
type watched struct {
	connector.Workspace
	note func(policy.Change)
}

func (w watched) Apply(ctx context.Context, c policy.Change) ([]policy.Assignment, error) {
	have, err := w.Workspace.Apply(ctx, c)
	if err == nil {
		w.note(c)
	}
	return have, err
}

func newProtected(t *testing.T, policies ...ranger.Policy) *protected {
	return newProtectedWith(t, connector.Options{}, policies...)
}

func newProtectedWith(t *testing.T, o connector.Options, policies ...ranger.Policy) *protected {
	orders := policy.TableState{Securable: sec(t, "table:sales.emea.orders"), ID: "000000000001", Known: true, Columns: []policy.Column{{Name: "n", Type: "int"}}}
	p := &protected{warehouse: warehousetest.New(admin, orders), events: new([]string)}
	p.warehouse.Ran = func(s string) {
		if strings.Contains(s, "`orders`") {
			*p.events = append(*p.events, s[strings.Index(s, "`orders`")+9:])
		}
	}
	o.Parallel, o.Protection = 1, &connector.Protection{Warehouse: p.warehouse, Reader: p.warehouse, Self: admin, Policies: protect.Options{Schema: "ucwarden_protection"}}
	p.rig = newRig(t, rigOptions{
		syncer: o,
		wrap: func(w connector.Workspace) connector.Workspace {
			return watched{w, func(c policy.Change) {
				if c.Securable == orders.Securable {
					*p.events = append(*p.events, c.String())
				}
				for _, a := range c.Add {
					if a.Privilege == policy.Select && c.Securable.Contains(orders.Securable) && p.warehouse.Table(orders.FullName).Filter == nil {
						t.Errorf("%s while the table carries no filter", c)
					}
				}
			}}
		},
	}, policies...)
	if err := p.rig.server.AddPrincipal(emulator.Group, "engineers", "ann@example.com"); err != nil { // who is an analyst, too
		t.Fatal(err)
	}
	return p
}

func rowsOf(expr string) ranger.Policy {
	p := allow("table:sales.emea.orders", "", "")
	p.Name, p.PolicyType, p.PolicyItems = "rows", ranger.PolicyTypeRowFilter, nil
	p.RowFilterPolicyItems = []ranger.RowFilterPolicyItem{{
		PolicyItem: ranger.PolicyItem{Groups: []string{"engineers"}, Accesses: []ranger.ItemAccess{{Type: "select"}}}, RowFilterInfo: ranger.RowFilterInfo{FilterExpr: expr},
	}}
	return p
}

func (p *protected) order(parts ...string) {
	p.t.Helper()
	at := -1
	for _, part := range parts {
		i := slices.IndexFunc(*p.events, func(e string) bool { return strings.Contains(e, part) })
		if i <= at {
			p.t.Errorf("%q does not come in its place in %q", part, *p.events)
		}
		at = i
	}
	*p.events = nil
}

func (p *protected) run() *connector.Result {
	p.t.Helper()
	result, err := p.Sync(p.t.Context(), connector.Request{})
	if err != nil {
		p.t.Fatal(err)
	}
	return result
}

// A filter is set before access opens, replaced after revokes, and lifted last; a second run sends nothing.
func TestProtectionOrder(t *testing.T) {
	p := newProtected(t, allow("table:sales.emea.*", "engineers", "select"), rowsOf("n > 1"))
	p.run()
	p.order("SET ROW FILTER", "+engineers SELECT")
	before := len(p.warehouse.Statements)
	if result := p.run(); !result.Plan.Empty() || len(p.warehouse.Statements) != before {
		t.Errorf("a second run plans %v", result.Plan.Protection)
	}

	p.policies.set(t, allow("table:sales.emea.*", "analysts", "select"), rowsOf("n > 2"))
	p.run()
	p.order("-engineers SELECT", "SET ROW FILTER", "+analysts SELECT")

	p.policies.set(t, allow("table:sales.emea.*", "bob@example.com", "select"))
	p.warehouse.Ran = nil
	p.run()
	if f := p.warehouse.Table("sales.emea.orders").Filter; f != nil {
		t.Errorf("the table carries %v without a policy", f)
	}
}

// Where grants stay, filters are planned twice, by what was read once.
func TestProtectionReadOnce(t *testing.T) {
	p := newProtectedWith(t, connector.Options{Mode: policy.ModeGrantOnly}, allow("table:sales.emea.*", "engineers", "select"), rowsOf("n > 1"))
	p.run()
	p.grant("table:sales.emea.orders", "bob@example.com", "SELECT")
	p.policies.set(t, allow("table:sales.emea.*", "engineers", "select"), rowsOf("n > 2"))
	p.run()
	reads := make(map[policy.Securable]int)
	p.warehouse.FailRead = func(of policy.Securable) error {
		reads[of]++
		return nil
	}
	result, err := p.Plan(t.Context(), connector.Request{})
	if err != nil || !result.Plan.Empty() || !slices.ContainsFunc(result.Plan.Report.Findings, func(f policy.Finding) bool { return strings.Contains(f.Message, "as protection.else: closed") }) {
		t.Fatalf("%v, %v, %v", err, result.Plan, result.Plan.Report)
	}
	for of, n := range reads {
		if n > 1 {
			t.Errorf("%s is read %d times", of, n)
		}
	}
}

// A warehouse that fails leaves the table closed, and all else goes on.
func TestProtectionFails(t *testing.T) {
	p := newProtected(t, allow("table:sales.emea.*", "engineers", "select"), rowsOf("n > 1"))
	p.warehouse.Fail = func(s string, after bool) error {
		return policy.Errorf(policy.CodeForbidden, "refused: %w", errors.New("no CAN_USE"))
	}
	result := p.run()
	engineers := policy.NewPrincipal(policy.Group, "engineers")
	has := func(table string) bool {
		return p.server.Grants().Has(policy.Grant{Securable: sec(t, table), Principal: engineers, Privilege: policy.Select})
	}
	if has("table:sales.emea.orders") || !has("table:sales.emea.customers") || len(result.Unprotected) != 1 {
		t.Errorf("SELECT is granted on the table: %t, on another: %t; unprotected: %v", has("table:sales.emea.orders"), has("table:sales.emea.customers"), result.Unprotected)
	}
	// Tried again too soon, it says the same: the table is closed, and that is no success.
	for _, request := range []connector.Request{{}, {Roots: []policy.Securable{sec(t, "schema:sales.emea")}}} {
		before := len(p.warehouse.Statements)
		result, err := p.Sync(t.Context(), request)
		if err != nil || has("table:sales.emea.orders") || len(p.warehouse.Statements) != before {
			t.Errorf("tried again too soon: %v, and SELECT is granted: %t, by %d statements", err, has("table:sales.emea.orders"), len(p.warehouse.Statements)-before)
		}
		left := slices.Concat(result.Unread, result.Unprotected)
		if len(left) != 1 || !left[0].Unprotected || left[0].Securable != sec(t, "table:sales.emea.orders") || !strings.Contains(left[0].Reason, "no CAN_USE") {
			t.Errorf("tried again too soon, what was left is %v", left)
		}
	}
	p.warehouse.Fail = nil
	if _, err := p.Sync(t.Context(), connector.Request{ByPerson: true, Roots: []policy.Securable{sec(t, "catalog:sales")}}); err != nil {
		t.Fatal(err)
	}
	if !has("table:sales.emea.orders") || p.warehouse.Table("sales.emea.orders").Filter == nil {
		t.Errorf("once the warehouse works SELECT is granted: %t", has("table:sales.emea.orders"))
	}
}

// Where what a table carries cannot be read for a moment, nobody loses or gains access to it, nor USE_* above it, and the result says
// what was left.
func TestProtectionUnread(t *testing.T) {
	orders, guard := sec(t, "table:sales.emea.orders"), sec(t, "schema:sales.ucwarden_protection")
	for _, c := range []struct {
		fails policy.Securable
		code  policy.Code
		stays bool
	}{{orders, policy.CodeUnavailable, true}, {guard, policy.CodeRateLimited, true}, {orders, policy.CodeForbidden, false}} {
		p := newProtected(t, allow("table:sales.emea.orders", "engineers", "select"), rowsOf("n > 1"))
		p.run()
		grants := slices.Collect(p.server.Grants().All())
		p.warehouse.FailRead = func(of policy.Securable) error {
			if of == c.fails {
				return policy.Errorf(c.code, "not now")
			}
			return nil
		}
		p.policies.set(t, allow("table:sales.emea.orders", "engineers", "select"), allow("table:sales.emea.orders", "analysts", "select"), rowsOf("n > 2"))
		before := len(p.warehouse.Statements)
		result := p.run()
		if got := p.server.Grants(); got.Has(policy.Grant{Securable: orders, Principal: policy.NewPrincipal(policy.Group, "analysts"), Privilege: policy.Select}) {
			t.Errorf("%s %s: analysts are granted a table of which nobody knows what it carries", c.fails, c.code)
		} else if stay := slices.Equal(grants, slices.Collect(got.All())); c.stays != stay {
			t.Errorf("%s %s: the grants stay: %t, want %t", c.fails, c.code, !c.stays, c.stays)
		}
		if len(p.warehouse.Statements) != before {
			t.Errorf("%s %s: statements were sent: %v", c.fails, c.code, p.warehouse.Statements[before:])
		}
		left := slices.ContainsFunc(result.Unread, func(l load.LeftOut) bool {
			return l.Securable == orders && l.Code == c.code && strings.Contains(l.String(), "row filter")
		})
		if left != c.stays {
			t.Errorf("%s %s: left out is %v", c.fails, c.code, result.Unread)
		}
		p.warehouse.FailRead = nil
		p.run()
		p.order("SET ROW FILTER", "+analysts SELECT")
	}
}

// The first plan of what a version synced that protected nothing is shown to a person: it opens tables that were closed.
func TestUpgradeThatProtects(t *testing.T) {
	state := &inMemory{}
	p := newProtectedWith(t, connector.Options{Guards: []guard.Guard{guard.Upgrade{}}, State: state}, allow("table:sales.emea.*", "engineers", "select"), rowsOf("n > 1"))
	p.run()
	p.policies.set(t, allow("table:sales.emea.*", "analysts", "select"), rowsOf("n > 1"))
	state.values["shards"] = []byte(strings.ReplaceAll(string(state.values["shards"]), fmt.Sprintf(`,"reading":%d`, compile.Reading), ""))
	before := len(p.warehouse.Statements)
	if _, err := p.Sync(t.Context(), connector.Request{}); policy.CodeOf(err) != policy.CodeRefused || !strings.Contains(err.Error(), "guard.confirm_upgrade") {
		t.Errorf("the first plan: %v", err)
	}
	if len(p.warehouse.Statements) != before {
		t.Errorf("refused, and statements were sent: %v", p.warehouse.Statements[before:])
	}
}

// What a filter hides stays hidden from whom a grant lets read the table that no policy asks for, and that the mode leaves, or that could
// not be read.
func TestNotLiftedOverGrants(t *testing.T) {
	read := allow("table:sales.emea.orders", "engineers", "select")
	grantOnly := newProtectedWith(t, connector.Options{Mode: policy.ModeGrantOnly}, read, rowsOf("n > 1"))
	grantOnly.run()
	grantOnly.policies.set(t, allow("table:sales.emea.plain", "engineers", "select"))
	result := grantOnly.run()
	if grantOnly.warehouse.Table("sales.emea.orders").Filter == nil || !strings.Contains(fmt.Sprint(result.Plan.Report.Findings), "in mode enforce") {
		t.Errorf("in mode grant-only the table carries %v, with %v", grantOnly.warehouse.Table("sales.emea.orders"), result.Plan.Report.Findings)
	}
	grantOnly.policies.set(t, read) // which allows it now, without a filter
	if grantOnly.run(); grantOnly.warehouse.Table("sales.emea.orders").Filter != nil {
		t.Error("where policies allow the grant the filter is not lifted")
	}
	unread := newProtected(t, read, rowsOf("n > 1"))
	unread.run()
	unread.grant("schema:sales.emea", "engineers", policy.Select)
	unread.fault(emulator.Fault{Method: "GET", Path: "*/permissions/schema/*", Status: 503})
	unread.policies.set(t, allow("table:sales.emea.plain", "engineers", "select"))
	for _, fails := range []bool{true, false} {
		if _, err := unread.Sync(t.Context(), connector.Request{}); err != nil && !fails {
			t.Fatal(err)
		}
		if filter := unread.warehouse.Table("sales.emea.orders").Filter; (filter != nil) != fails {
			t.Errorf("where the grants of the schema can be read: %t, the table carries %v", !fails, filter)
		}
		unread.server.ClearFaults()
	}
}

// A filter is not replaced while somebody still holds a grant that was to be revoked, whom the next one may show more; unless it cannot be
// revoked.
func TestNotReplacedBeforeRevokes(t *testing.T) {
	for status, replaced := range map[int]bool{503: false, 403: true} {
		p := newProtected(t, allow("table:sales.emea.orders", "engineers", "select"), rowsOf("n > 1"))
		p.run()
		before := p.warehouse.Table("sales.emea.orders").Filter
		p.fault(emulator.Fault{Method: "PATCH", Path: "*/permissions/table/*", Status: status})
		p.policies.set(t, allow("table:sales.emea.orders", "analysts", "select"), rowsOf("n > 2"))
		if result, err := p.Sync(t.Context(), connector.Request{}); err != nil || !slices.ContainsFunc(result.Outcomes, func(o apply.Outcome) bool { return o.Err != nil }) {
			t.Errorf("%d: nothing failed: %v", status, err)
		}
		if after := p.warehouse.Table("sales.emea.orders").Filter; after == nil || (after.Function != before.Function) != replaced {
			t.Errorf("%d: the revoke failed, and the filter is %v after %v", status, after, before)
		}
		p.server.ClearFaults()
		*p.events = nil
		p.run()
		if p.order("-engineers SELECT"); !replaced && p.warehouse.Table("sales.emea.orders").Filter.Function == before.Function {
			t.Error("the filter is not replaced once the revoke is made")
		}
	}
}
