package protect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Whatever a policy holds that cannot be enforced is a finding that names policy, item and table; whom the item binds sees no row, or
// NULL, and everybody else what they saw.
func TestBadInput(t *testing.T) {
	deep := strings.Repeat("not ", 200) + "(n > 1)"
	for name, c := range map[string]struct{ expr, says string }{
		"comment": {"n > 1 -- x", "comments"}, "comment within": {"n /* x */ > 1", "comments"}, "semicolon": {"n > 1; DROP TABLE c.s.t", "';' is not allowed"},
		"subquery": {"n in (select n from c.s.other)", "subqueries"}, "unbalanced quote": {"region = 'EU", "no end"}, "unbalanced double quote": {`region = "EU`, "no end"},
		"unbalanced backtick": {"`region = 1", "no end"}, "unbalanced bracket": {"(n > 1", "ends too early"},
		"unknown function": {"leak(n) > 1", "not known to be safe"}, "no such column": {"nn > 1", `no column "nn"`}, "another type": {"region > 1", "cannot be compared"},
		"a function of a type": {"year(region) = 2020", "must be"}, "no condition": {"n + 1", "not a condition"}, "deep": {deep, "deep"},
		"long": {"n > 1 or region = '" + strings.Repeat("x", 70000) + "'", "long"}, "a group": {"is_account_group_member('eu')", "fail open"},
	} {
		p := newProtector(t, Options{}, filters(1, 0, filter("eu", "", c.expr), filter("us", "", "n > 1")), masks(2, "region", mask("eu", "CUSTOM", c.expr)))
		d := p.Compile(testTable(), nil)
		if d.Closed != "" {
			t.Errorf("%s closes all of the table: %s", name, d.Closed)
			continue
		}
		if got := rows(t, d, sessionOf("ana"), region("EU", 5)); got != nil {
			t.Errorf("%s: whom the filter binds sees rows %v", name, got)
		}
		if got := value(t, d, "region", sessionOf("ana"), region("EU", 5)); got != nil {
			if name != "no condition" { // which is a value like others
				t.Errorf("%s: whom the mask binds sees %v", name, got)
			}
		}
		for user, want := range map[string]int{"bob": 1, "cy": 2} {
			if got := rows(t, d, sessionOf(user), region("EU", 5), region("EU", 0)); len(got) != want || value(t, d, "region", sessionOf(user), region("EU", 5)) != "EU" {
				t.Errorf("%s: %s sees rows %v, want %d", name, user, got, want)
			}
		}
		found := slices.ContainsFunc(d.Findings, func(f policy.Finding) bool {
			return f.PolicyID == 1 && f.Policy == "filter 1" && f.Effect == policy.EffectNarrower && f.Securable.FullName == "c.s.t" &&
				strings.Contains(f.Message, "rowFilterPolicyItems[0]") && strings.Contains(f.Message, c.says) && (name == "no condition" || strings.Contains(f.Message, "at character"))
		})
		if !found {
			t.Errorf("%s: the findings are %v", name, d.Findings)
		}
	}
}

// A mask of a column that the table does not have hides the table from whom it binds, where that column was meant to be here.
func TestMissingColumn(t *testing.T) {
	none := mask("staff", "MASK_NONE", "")
	none.Users, none.Groups = []string{"bob"}, nil
	for name, c := range map[string]struct {
		resources string
		items     []ranger.DataMaskPolicyItem
		hidden    []string
		effect    policy.Effect // of the finding on the missing column; empty for none
	}{
		"named":           {"catalog=c schema=s table=t column=emial", []ranger.DataMaskPolicyItem{mask("eu", "MASK", "")}, []string{"ana"}, policy.EffectNarrower},
		"one of two":      {"catalog=c schema=s table=t column=region,emial", []ranger.DataMaskPolicyItem{mask("eu", "MASK", "")}, []string{"ana"}, policy.EffectNarrower},
		"of two tables":   {"catalog=c schema=s table=t,u column=region,emial", []ranger.DataMaskPolicyItem{mask("eu", "MASK", "")}, nil, policy.EffectNone},
		"none of any":     {"catalog=c schema=s table=t,u column=emial", []ranger.DataMaskPolicyItem{mask("eu", "MASK", "")}, []string{"ana"}, policy.EffectNarrower},
		"on all tables":   {"catalog=c schema=s table=* column=emial", []ranger.DataMaskPolicyItem{mask("eu", "MASK", "")}, nil, ""},
		"a pattern":       {"catalog=c schema=s table=t column=emi*", []ranger.DataMaskPolicyItem{mask("eu", "MASK", "")}, nil, ""},
		"but for one":     {"catalog=c schema=s table=t column=emial", []ranger.DataMaskPolicyItem{none, mask("staff", "MASK", "")}, []string{"ana"}, policy.EffectNarrower},
		"everybody":       {"catalog=c schema=s table=t column=emial", []ranger.DataMaskPolicyItem{mask("public", "MASK", "")}, []string{"ana", "bob", "cy"}, policy.EffectNarrower},
		"shown to all":    {"catalog=c schema=s table=t column=emial", []ranger.DataMaskPolicyItem{mask("public", "MASK_NONE", "")}, nil, ""},
		"case":            {"catalog=c schema=s table=t column=REGION", []ranger.DataMaskPolicyItem{mask("eu", "MASK", "")}, nil, ""},
		"another's table": {"catalog=c schema=s table=u column=emial", []ranger.DataMaskPolicyItem{mask("eu", "MASK", "")}, nil, ""},
	} {
		of := masks(2, "x", c.items...)
		of.Resources = policytest.Resources(c.resources)
		d := newProtector(t, Options{}, of).Compile(testTable(), nil)
		if d.Closed != "" {
			t.Errorf("%s: closed: %s", name, d.Closed)
		}
		for _, user := range []string{"ana", "bob", "cy"} {
			if got := rows(t, d, sessionOf(user), region("EU", 5)); (len(got) == 0) != slices.Contains(c.hidden, user) {
				t.Errorf("%s: %s sees rows %v, want hidden from %v, by %v", name, user, got, c.hidden, d.Functions)
			}
		}
		i := slices.IndexFunc(d.Findings, func(f policy.Finding) bool { return strings.Contains(f.Message, `"emial"`) })
		switch {
		case (i >= 0) != (c.effect != ""):
			t.Errorf("%s: the findings are %v", name, d.Findings)
		case i >= 0 && (d.Findings[i].Effect != c.effect || d.Findings[i].PolicyID != 2 || !strings.Contains(d.Findings[i].Message, "dataMaskPolicyItems[")):
			t.Errorf("%s: the finding is %+v", name, d.Findings[i])
		}
	}
}

// Several policies that mask one column are one function, in which the first that names somebody decides, as in Ranger.
func TestMasksOfOneColumn(t *testing.T) {
	d := newProtector(t, Options{}, masks(1, "region", mask("eu", "MASK_NULL", "")), masks(2, "region", mask("staff", "MASK", ""))).Compile(testTable(), nil)
	for user, want := range map[string]any{"ana": nil, "bob": "XX", "cy": "EU"} {
		if got := value(t, d, "region", sessionOf(user), region("EU", 1)); got != want {
			t.Errorf("%s sees %v, want %v", user, got, want)
		}
	}
	if len(d.Functions) != 1 {
		t.Errorf("the functions are %v", d.Functions)
	}
}

// What a macro stands for is written as often as the macro, so that an expression of a few thousand would be no statement any more.
func TestManyMacros(t *testing.T) {
	users := &ranger.UserStore{UserAttrMapping: make(map[string]map[string]string), UserCloudIDMapping: make(map[string]string)}
	for i := range 100 {
		name := fmt.Sprintf("user%d", i)
		users.UserAttrMapping[name] = map[string]string{"region": "EU"}
		users.UserCloudIDMapping[name] = name + "@example.com"
	}
	for name, macro := range map[string]string{"attribute": "${{USER.region}}", "name": "{USER}"} {
		for times, refused := range map[int]bool{10: false, 3000: true} {
			expr := "region in (" + strings.Repeat(macro+", ", times) + "'x')"
			set, err := rules.New(&ranger.Snapshot{Policies: []ranger.Policy{filters(1, 0, filter("public", "", expr)), masks(2, "region", mask("public", "CUSTOM", "case when "+expr+" then {col} end"))}, Users: users}, rules.Options{})
			if err != nil {
				t.Fatal(err)
			}
			d := New(set, Options{Schema: "ucwarden_protection"}).Compile(testTable(), nil)
			if d.Closed != "" || len(d.Functions) != 2 {
				t.Fatalf("%s %d times: %s, %d functions", name, times, d.Closed, len(d.Functions))
			}
			for _, f := range d.Functions {
				if len(f.Body) > 1<<20 || (len(f.Body) < 1000) != refused {
					t.Errorf("%s %d times is written in %d bytes", name, times, len(f.Body))
				}
			}
			if found := slices.ContainsFunc(d.Findings, func(f policy.Finding) bool { return strings.Contains(f.Message, "name a macro less often") }); found != refused {
				t.Errorf("%s %d times: the findings are %v", name, times, d.Findings)
			}
		}
	}
}

// A mask whose value the column's type cannot have shows NULL to whom it binds; Databricks would refuse the function, and close the table.
func TestMaskOfAnotherType(t *testing.T) {
	for column, expr := range map[string]string{"born": "0", "seen": "n = 1 and cast(born as int) = 1"} {
		table := testTable()
		table.Columns = append(table.Columns, policy.Column{Name: "born", Type: "date"}, policy.Column{Name: "seen", Type: "timestamp_ntz"})
		d := newProtector(t, Options{}, masks(2, column, mask("eu", "CUSTOM", expr))).Compile(table, nil)
		if d.Closed != "" || len(d.Functions) != 1 || !strings.Contains(d.Functions[0].Body, "CAST(NULL AS") || strings.Contains(d.Functions[0].Body, "try_cast(") {
			t.Errorf("the mask %s of column %s is %v, %s", expr, column, d.Functions, d.Closed)
		}
		if !slices.ContainsFunc(d.Findings, func(f policy.Finding) bool {
			return f.Effect == policy.EffectNarrower && strings.Contains(f.Message, "cannot be converted to")
		}) {
			t.Errorf("the findings are %v", d.Findings)
		}
	}
}

// What keeps a table from being protected names each policy and item that is about its rows or columns.
func TestWhyClosed(t *testing.T) {
	p := newProtector(t, Options{}, readable("staff", ""), filters(1, 0, filter("eu", "", "n > 1"), filter("us", "", "n > 2")), masks(2, "region", mask("eu", "MASK", "")))
	state := testTable()
	state.Unprotectable = "it is a clone"
	d := p.Compile(state, nil)
	if len(d.Findings) > 0 {
		t.Errorf("of a table that is closed it is said %v", d.Findings)
	}
	list := d.WhyClosed(state.Securable, d.Closed)
	if len(list) != 2 || list[0].PolicyID != 1 || !strings.Contains(list[0].Message, "rowFilterPolicyItems[0], rowFilterPolicyItems[1]: ") ||
		!strings.Contains(list[0].Message, "it is a clone") || list[1].PolicyID != 2 || !strings.Contains(list[1].Message, "dataMaskPolicyItems[0]") || list[1].Securable != state.Securable {
		t.Errorf("the findings are %v", list)
	}
}

// What depends on the time of the query, or on the time zone of the session, is enforced and said, with policy, item and table.
func TestTimesAreSaid(t *testing.T) {
	for expr, want := range map[string]struct{ clock, zone bool }{
		"born >= current_date()":                    {clock: true},
		"n > unix_timestamp()":                      {clock: true},
		"seen > now() - interval 30 days":           {clock: true},
		"born = '2026-01-01'":                       {},
		"year(seen) = 2026":                         {zone: true},
		"seen < now() and seen >= '2026-01-01'":     {clock: true, zone: true},
		"cast(seen as date) >= current_date() - 30": {clock: true, zone: true},
	} {
		state := testTable()
		state.Columns = append(state.Columns, policy.Column{Name: "seen", Type: "timestamp"})
		d := newProtector(t, Options{}, filters(1, 0, filter("eu", "", expr)), masks(2, "region", mask("us", "CUSTOM", "case when "+expr+" then {col} end"))).Compile(state, nil)
		if d.Closed != "" || len(d.Functions) != 2 || len(d.Refused) > 0 {
			t.Errorf("%s: %v, closed: %q", expr, d.Findings, d.Closed)
		}
		for id, item := range map[int64]string{1: "rowFilterPolicyItems[0]: its filter ", 2: `dataMaskPolicyItems[0]: its mask of column "Region" `} {
			for says, want := range map[string]bool{"refuse MERGE": want.clock, "time zone of the session": want.zone} {
				said := slices.ContainsFunc(d.Findings, func(f policy.Finding) bool {
					return f.PolicyID == id && f.Effect == policy.EffectNone && f.Securable == state.Securable && strings.HasPrefix(f.Message, item) && strings.Contains(f.Message, says)
				})
				if said != want {
					t.Errorf("%s, policy %d: that %q is said: %t, of %v", expr, id, says, said, d.Findings)
				}
			}
		}
	}
}
