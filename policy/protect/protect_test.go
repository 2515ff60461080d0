package protect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/attach"
	"ucwarden/policy/judge"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// people is the user store of the tests.
var people = &ranger.UserStore{
	UserGroupMapping: map[string][]string{"ana": {"eu", "staff"}, "bob": {"us", "staff"}, "cy": {}},
	UserAttrMapping:  map[string]map[string]string{"ana": {"region": "EU", "level": "3"}, "bob": {"region": "O'US", "level": "1"}},
}

func sessionOf(user string) session { return session{user, people.UserGroupMapping[user]} }

func testTable() policy.TableState {
	return policy.TableState{
		Securable: policy.Securable{Type: policy.Table, FullName: "c.s.t"}, ID: "0123abcd-4567-89ef-0000-000000000000", Known: true, Owner: "owner",
		Columns: []policy.Column{{Name: "Region", Type: "string"}, {Name: "n", Type: "int"}, {Name: "born", Type: "date"}, {Name: "price", Type: "decimal(10,2)"}, {Name: "tags", Type: "array<string>"}, {Name: "code", Type: "varchar(10)"}},
	}
}

func item(groups, users string) ranger.PolicyItem {
	split := func(s string) []string { return strings.Fields(s) }
	return ranger.PolicyItem{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: split(groups), Users: split(users)}
}

func filters(id int64, priority int, items ...ranger.RowFilterPolicyItem) ranger.Policy {
	return ranger.Policy{ID: id, Name: fmt.Sprintf("filter %d", id), PolicyType: ranger.PolicyTypeRowFilter, PolicyPriority: priority,
		Resources: policytest.Resources("catalog=c schema=s table=t"), RowFilterPolicyItems: items}
}

func filter(groups, users, expr string) ranger.RowFilterPolicyItem {
	return ranger.RowFilterPolicyItem{PolicyItem: item(groups, users), RowFilterInfo: ranger.RowFilterInfo{FilterExpr: expr}}
}

func masks(id int64, column string, items ...ranger.DataMaskPolicyItem) ranger.Policy {
	return ranger.Policy{ID: id, Name: fmt.Sprintf("mask %d", id), PolicyType: ranger.PolicyTypeDataMask,
		Resources: policytest.Resources("catalog=c schema=s table=t column=" + column), DataMaskPolicyItems: items}
}

func mask(groups, typ, value string) ranger.DataMaskPolicyItem {
	return ranger.DataMaskPolicyItem{PolicyItem: item(groups, ""), DataMaskInfo: ranger.DataMaskInfo{DataMaskType: typ, ValueExpr: value}}
}

func newProtector(t testing.TB, o Options, policies ...ranger.Policy) *Protector {
	t.Helper()
	set, err := rules.New(&ranger.Snapshot{Policies: policies, Users: people}, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.Schema = "ucwarden_protection"
	return New(set, o)
}

// rows returns which of the rows somebody sees.
func rows(t failer, d Desired, who session, all ...map[string]any) []int {
	t.Helper()
	var seen []int
	for i, row := range all {
		if d.Protection.Filter == nil || evaluateCall(t, d, *d.Protection.Filter, who, row, nil) == true {
			seen = append(seen, i)
		}
	}
	return seen
}

// value returns what somebody sees of a column.
func value(t failer, d Desired, column string, who session, row map[string]any) any {
	t.Helper()
	call, ok := d.Protection.Masks[column]
	if !ok {
		return row[column]
	}
	val := row[column]
	return evaluateCall(t, d, call, who, row, &val)
}

func evaluateCall(t failer, d Desired, call policy.Attached, who session, row map[string]any, val *any) any {
	t.Helper()
	i := slices.IndexFunc(d.Functions, func(f policy.SQLFunction) bool { return f.Name == call.Function })
	if i < 0 {
		t.Fatalf("no function %s", call.Function)
	}
	f := d.Functions[i]
	args := make(map[string]any)
	parameters := f.Parameters
	if val != nil {
		args["val"], parameters = *val, parameters[1:]
	}
	for j, a := range call.Arguments {
		v, ok := row[a.Column]
		if !ok {
			t.Fatalf("no column %q", a.Column)
		}
		args[parameters[j].Name] = v
	}
	return evaluateBody(t, f.Body, who, args)
}

func region(r any, n int64) map[string]any { return map[string]any{"region": r, "n": n} }

func TestFilterFirstMatch(t *testing.T) {
	p := newProtector(t, Options{},
		filters(1, 0, filter("eu", "", "region = 'EU'"), filter("staff", "", "n > 1")),
		filters(2, 1, filter("", "bob", "region = 'US'")))
	d := p.Compile(testTable(), nil)
	data := []map[string]any{region("EU", 1), region("US", 2), region("US", 0), region(nil, 5)}
	for user, want := range map[string][]int{"ana": {0}, "bob": {1, 2}, "cy": {0, 1, 2, 3}, "ANA": {0, 1, 2, 3}} {
		if got := rows(t, d, sessionOf(user), data...); !slices.Equal(got, want) {
			t.Errorf("%s sees rows %v, want %v, by\n%s", user, got, want, d.Functions[0].Body)
		}
	}
	// In the role of a group only its name is known.
	if got := rows(t, d, session{user: "eu"}, data...); !slices.Equal(got, []int{0}) {
		t.Errorf("in the role of eu rows %v are seen", got)
	}
	f := d.Functions[0]
	self := func(string) bool { return true }
	if !attach.Ours(f, "ucwarden_protection", self) || !strings.Contains(f.Comment, " for=c.s.t ") || !strings.HasPrefix(f.Name, "c.ucwarden_protection.rf_0123abcd4567_") {
		t.Errorf("the function is %s with the comment %s", f.Name, f.Comment)
	}
	if !strings.Contains(f.Comment, "policies=1,2") {
		t.Errorf("the comment is %s", f.Comment)
	}
}

func TestFilterRefused(t *testing.T) {
	p := newProtector(t, Options{}, filters(1, 0, filter("eu", "", "n > (select 1)"), filter("us", "", "n > 1")))
	d := p.Compile(testTable(), nil)
	if got := rows(t, d, sessionOf("ana"), region("EU", 5)); got != nil {
		t.Errorf("whom a refused filter binds sees rows %v", got)
	}
	if got := rows(t, d, sessionOf("bob"), region("EU", 5), region("EU", 0)); !slices.Equal(got, []int{0}) {
		t.Errorf("whom another item binds sees rows %v", got)
	}
	if len(d.Findings) != 1 || d.Findings[0].PolicyID != 1 || d.Findings[0].Effect != policy.EffectNarrower ||
		!strings.Contains(d.Findings[0].Message, "rowFilterPolicyItems[0]") || !strings.Contains(d.Findings[0].Message, "at character 6") {
		t.Errorf("the findings are %v", d.Findings)
	}
}

func TestMacros(t *testing.T) {
	for expr, want := range map[string]map[string][]int{
		"region = ${{USER.region}}":          {"ana": {0}, "bob": {1}, "cy": nil},
		"region = '${{USER.region}}'":        {"ana": {0}, "bob": {1}, "cy": nil},
		"n <= ${{USER.level}}":               {"ana": {0, 1}, "bob": {0}, "cy": nil},
		"region = {USER} or region = 'EU'":   {"ana": {0, 2}},
		"region = current_user()":            {"ana": {2}},
		"region = ${{UG.region}}":            {"ana": nil},
		"region in ('EU', ${{USER.nobody}})": {"ana": {0}, "bob": {0}},
	} {
		p := newProtector(t, Options{}, filters(1, 0, filter("public", "", expr)))
		d := p.Compile(testTable(), nil)
		for user, rowsWanted := range want {
			if got := rows(t, d, sessionOf(user), region("EU", 1), region("O'US", 2), region("ana", 9)); !slices.Equal(got, rowsWanted) {
				t.Errorf("%s: %s sees rows %v, want %v, by\n%s", expr, user, got, rowsWanted, d.Functions[0].Body)
			}
		}
	}
}

func TestMaskTypes(t *testing.T) {
	row := map[string]any{"region": "Ab1-xyz99", "n": int64(-12345), "born": "1999-05-06", "price": "1", "tags": "x", "code": "AB12"}
	for _, c := range []struct {
		typ, value, column string
		want               any
	}{
		{"MASK", "", "region", "Xxn-xxxnn"}, {"MASK", "", "n", int64(-11111)}, {"MASK", "", "born", nil}, {"MASK", "", "price", nil}, {"MASK", "", "tags", nil}, {"MASK", "", "code", "XXnn"},
		{"MASK_SHOW_LAST_4", "", "region", "xxx-xyz99"[:5] + "yz99"}, {"MASK_SHOW_LAST_4", "", "n", int64(-12345)}, {"MASK_SHOW_LAST_4", "", "code", "AB12"}, {"MASK_SHOW_LAST_4", "", "born", nil},
		{"MASK_SHOW_FIRST_4", "", "region", "Ab1-xxxxx"}, {"MASK_SHOW_FIRST_4", "", "n", int64(-12341)},
		{"MASK_HASH", "", "code", "9f7a"}, {"MASK_HASH", "", "n", nil},
		{"MASK_NULL", "", "region", nil}, {"MASK_NULL", "", "tags", nil}, {"MASK_NONE", "", "region", "Ab1-xyz99"},
		{"MASK_DATE_SHOW_YEAR", "", "born", "1999-01-01"}, {"MASK_DATE_SHOW_YEAR", "", "region", nil},
		{"CUSTOM", "concat(left({col}, 1), '**')", "region", "A**"}, {"CUSTOM", "{col} + n", "n", int64(-24690)}, {"CUSTOM", "concat({col}, region)", "code", "AB12Ab1-xyz99"},
		{"CUSTOM", "(select 1)", "region", nil}, {"CUSTOM", "", "region", nil}, {"NO_SUCH", "", "region", nil},
	} {
		d := newProtector(t, Options{}, masks(1, c.column, mask("eu", c.typ, c.value))).Compile(testTable(), nil)
		got := value(t, d, c.column, sessionOf("ana"), row)
		if text, ok := got.(string); c.typ == "MASK_HASH" && ok {
			got = len(text)
			c.want = 64
		}
		if got != c.want {
			t.Errorf("%s %s of %s shows %v, want %v", c.typ, c.value, c.column, got, c.want)
		}
		if got := value(t, d, c.column, sessionOf("bob"), row); got != row[c.column] {
			t.Errorf("%s of %s shows others %v", c.typ, c.column, got)
		}
		if refused := c.typ == "NO_SUCH" || c.typ == "CUSTOM" && c.want == nil; refused != slices.ContainsFunc(d.Findings, func(f policy.Finding) bool { return f.Effect == policy.EffectNarrower }) {
			t.Errorf("%s %q: findings %v", c.typ, c.value, d.Findings)
		}
	}
}

func TestMaskOtherCharacters(t *testing.T) {
	d := newProtector(t, Options{MaskOther: "-"}, masks(1, "region", mask("eu", "MASK", ""))).Compile(testTable(), nil)
	if got := value(t, d, "region", sessionOf("ana"), map[string]any{"region": "A漢b"}); got != "X-x" {
		t.Errorf("the mask shows %v", got)
	}
}

func TestMasksAreShared(t *testing.T) {
	p := newProtector(t, Options{}, masks(1, "*", mask("eu", "MASK_NULL", "")))
	d := p.Compile(testTable(), nil)
	other := testTable()
	other.Columns = append(other.Columns, policy.Column{Name: "more", Type: "string"})
	o := p.Compile(other, nil)
	if o.Protection.Masks["more"].Function != d.Protection.Masks["region"].Function || len(o.Functions) != len(d.Functions) {
		t.Errorf("two columns of one type have functions %v and %v", o.Protection.Masks["more"], d.Protection.Masks["region"])
	}
}

func TestTagMasks(t *testing.T) {
	tagged := func(priority int, resources ...ranger.Policy) *Protector {
		s := &ranger.Snapshot{
			Users: people, Policies: resources,
			Tags: &ranger.ServiceTags{
				Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "PII"}}, ResourceToTagIDs: map[string][]int64{"1": {1}},
				ServiceResources: []ranger.ServiceResource{{ID: 1, ResourceElements: policytest.Resources("catalog=c schema=s table=t column=region")}},
			},
			TagPolicies: &ranger.TagPolicies{Policies: []ranger.Policy{{ID: 9, Name: "pii", PolicyType: ranger.PolicyTypeDataMask, PolicyPriority: priority,
				Resources: policytest.Resources("tag=PII"), DataMaskPolicyItems: []ranger.DataMaskPolicyItem{{
					PolicyItem: ranger.PolicyItem{Groups: []string{"eu"}, Accesses: []ranger.ItemAccess{{Type: "databricks-unity-catalog:select"}}}, DataMaskInfo: ranger.DataMaskInfo{DataMaskType: "databricks-unity-catalog:MASK_NULL"},
				}}}}},
		}
		s.TagPolicies.Policies[0].DataMaskPolicyItems[0].Accesses[0].Type = ranger.DefaultServiceDef().Name + ":select"
		s.TagPolicies.Policies[0].DataMaskPolicyItems[0].DataMaskInfo.DataMaskType = ranger.DefaultServiceDef().Name + ":MASK_NULL"
		set, err := rules.New(s, rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return New(set, Options{Schema: "p"})
	}
	onResource := masks(1, "region", mask("staff", "MASK", ""))
	row := map[string]any{"region": "Ab1"}
	for _, c := range []struct {
		tag, resource int
		ana, bob      any
	}{{0, 0, nil, "Xxn"}, {0, 1, "Xxn", "Xxn"}, {1, 1, nil, "Xxn"}} {
		onResource.PolicyPriority = c.resource
		d := tagged(c.tag, onResource).Compile(testTable(), nil)
		if a, b := value(t, d, "region", sessionOf("ana"), row), value(t, d, "region", sessionOf("bob"), row); a != c.ana || b != c.bob {
			t.Errorf("with priorities %d and %d ana sees %v and bob %v, want %v and %v", c.tag, c.resource, a, b, c.ana, c.bob)
		}
	}
	// Of policies with a higher priority than the tag's none is asked after the first, which here names nobody.
	first, second := masks(1, "region", mask("nobody", "MASK", "")), masks(2, "region", mask("staff", "MASK", ""))
	first.PolicyPriority, second.PolicyPriority = 1, 1
	if a := value(t, tagged(0, first, second).Compile(testTable(), nil), "region", sessionOf("ana"), row); a != nil {
		t.Errorf("ana sees %v, want what the tag says", a)
	}
}

func TestUnknownGroupCloses(t *testing.T) {
	unknown := Options{Resolve: nil}
	p := newProtector(t, unknown, filters(1, 0, filter("nobody_knows", "", "n > 1")))
	p.options.Resolve = func(id rules.SubjectID) (policy.Principal, bool) { return p.set.Subjects.Principal(id), false }
	if d := p.Compile(testTable(), nil); d.Closed == "" || len(d.Functions) > 0 {
		t.Errorf("a group that nobody knows is compiled to %v", d.Functions)
	}
	// Of one whose members are known these are named.
	p = newProtector(t, unknown, filters(1, 0, filter("eu", "", "n > 1")))
	p.options.Resolve = func(id rules.SubjectID) (policy.Principal, bool) { return p.set.Subjects.Principal(id), false }
	d := p.Compile(testTable(), nil)
	if got := rows(t, d, session{user: "ana"}, region("x", 1), region("x", 2)); !slices.Equal(got, []int{1}) {
		t.Errorf("a known member of a group that the workspace does not have sees rows %v", got)
	}
}

func TestExempt(t *testing.T) {
	p := newProtector(t, Options{Exempt: []policy.Principal{policy.PrincipalByShape("0123abcd-4567-89ef-0000-000000000000"), policy.NewPrincipal(policy.Group, "pipelines")}},
		filters(1, 0, filter("public", "", "n > 1")), masks(2, "region", mask("public", "MASK_NULL", "")))
	d := p.Compile(testTable(), nil)
	for _, who := range []session{{user: "0123ABCD-4567-89ef-0000-000000000000"}, {user: "x", groups: []string{"pipelines"}}} {
		if got := rows(t, d, who, region("a", 0)); len(got) != 1 || value(t, d, "region", who, region("a", 0)) != "a" {
			t.Errorf("%v is exempt and sees rows %v", who, got)
		}
	}
	if got := rows(t, d, session{user: "x"}, region("a", 0)); got != nil {
		t.Errorf("others see rows %v", got)
	}
}

func TestDenied(t *testing.T) {
	p := newProtector(t, Options{}, filters(1, 0, filter("eu", "", "n > 1")))
	id := func(kind rules.SubjectKind, name string) rules.SubjectSet {
		n := p.set.Subjects.ID(kind, name)
		if n == rules.NoSubject {
			t.Fatalf("nobody is named %s", name)
		}
		return rules.SubjectSet{n}
	}
	seven := &rules.Policy{Source: &ranger.Policy{ID: 7}}
	d := p.Compile(testTable(), &judge.Denials{Roles: id(rules.SubjectGroup, "staff"), Rules: []judge.DenyRule{
		{Policy: seven, Who: id(rules.SubjectGroup, "us")}, {Policy: seven, Who: id(rules.SubjectGroup, "staff"), Except: id(rules.SubjectUser, "ana")},
	}})
	for _, c := range []struct {
		who  session
		want int
	}{
		{sessionOf("ana"), 1}, {sessionOf("bob"), 0}, {sessionOf("cy"), 2}, {session{user: "staff"}, 0}, {session{user: "us"}, 0},
		{session{user: "bob", groups: []string{"renamed"}}, 0}, // the group us was given another name
	} {
		if got := rows(t, d, c.who, region("x", 1), region("x", 2)); len(got) != c.want {
			t.Errorf("%v sees rows %v, want %d", c.who, got, c.want)
		}
	}
}

// Where the table of a filter cannot be protected, the policy that denies is named as those are that filter.
func TestDeniedWhyClosed(t *testing.T) {
	p := newProtector(t, Options{}, filters(1, 0, filter("eu", "", "n > 1")))
	d := p.Compile(testTable(), &judge.Denials{Rules: []judge.DenyRule{{Policy: &rules.Policy{Source: &ranger.Policy{ID: 7, Name: "no"}}, Else: true}}})
	list := d.WhyClosed(testTable().Securable, "it is shared")
	if len(list) != 2 || list[1].PolicyID != 7 || !strings.HasPrefix(list[1].Message, "its denies: the table is not protected") {
		t.Errorf("the findings are %v", list)
	}
}

func TestCannotCarry(t *testing.T) {
	p := newProtector(t, Options{}, filters(1, 0, filter("eu", "", "n is not null")))
	for name, change := range map[string]func(*policy.TableState){
		"view": func(s *policy.TableState) { s.Kind = policy.KindView }, "share": func(s *policy.TableState) { s.Unprotectable = "it is shared by share x" },
		"unknown": func(s *policy.TableState) { s.Known = false }, "odd type": func(s *policy.TableState) { s.Columns[1].Type = "int) RETURN TRUE --" },
	} {
		state := testTable()
		change(&state)
		if d := p.Compile(state, nil); len(d.Functions) > 0 || d.Closed == "" {
			t.Errorf("%s: compiled to %v, %v", name, d.Functions, d.Findings)
		}
	}
	if d := p.Compile(policy.TableState{Securable: policy.Securable{Type: policy.Table, FullName: "c.s.other"}, Kind: policy.KindView}, nil); d.Binds() {
		t.Errorf("a view that no policy is about is %v", d)
	}
}
