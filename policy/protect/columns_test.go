package protect

import (
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
)

// onColumns lets groups and users read columns of the table.
func onColumns(id int64, columns, groups, users string) ranger.Policy {
	return ranger.Policy{ID: id, Name: "columns", Resources: policytest.Resources("catalog=c schema=s table=t column=" + columns), PolicyItems: []ranger.PolicyItem{item(groups, users)}}
}

// Who is allowed some columns sees NULL of the others; who is allowed the table, or nothing by policies, sees what they saw.
func TestColumns(t *testing.T) {
	excepted := onColumns(5, "n", "staff", "")
	excepted.AllowExceptions = []ranger.PolicyItem{item("eu", "")}
	limited := onColumns(6, "n", "staff", "")
	limited.Conditions = []ranger.Condition{{Type: "x", Values: []string{"y"}}}
	row := map[string]any{"region": "EU", "n": int64(7)}
	for name, c := range map[string]struct {
		policies []ranger.Policy
		columns  bool
		seen     map[string][2]any // region and n, by user or group in whose role they act
	}{
		"some":                {[]ranger.Policy{onColumns(1, "region", "eu", "")}, true, map[string][2]any{"ana": {"EU", nil}, "bob": {"EU", int64(7)}, "eu": {"EU", nil}}},
		"a pattern":           {[]ranger.Policy{onColumns(1, "reg*", "eu", "")}, true, map[string][2]any{"ana": {"EU", nil}, "bob": {"EU", int64(7)}}},
		"of two groups":       {[]ranger.Policy{onColumns(1, "region", "eu", ""), onColumns(2, "n", "us", ""), onColumns(3, "region", "us", "")}, true, map[string][2]any{"ana": {"EU", nil}, "bob": {"EU", int64(7)}}},
		"and the table":       {[]ranger.Policy{onColumns(1, "region", "staff", ""), readable("us", "")}, true, map[string][2]any{"ana": {"EU", nil}, "bob": {"EU", int64(7)}, "us": {"EU", int64(7)}, "staff": {"EU", nil}}},
		"everybody the table": {[]ranger.Policy{onColumns(1, "region", "eu", ""), readable("public", "")}, true, map[string][2]any{"ana": {"EU", int64(7)}}},
		"with an exception":   {[]ranger.Policy{excepted}, false, map[string][2]any{"ana": {"EU", int64(7)}}},
		"table but for some": {[]ranger.Policy{onColumns(1, "region", "eu", ""), func() ranger.Policy {
			p := readable("staff", "")
			p.AllowExceptions = []ranger.PolicyItem{item("eu", "")}
			return p
		}()}, true, map[string][2]any{"ana": {"EU", nil}}},
		"under a condition": {[]ranger.Policy{limited}, false, map[string][2]any{"ana": {"EU", int64(7)}}},
		"and masked":        {[]ranger.Policy{onColumns(1, "region", "eu", ""), masks(2, "region", mask("staff", "MASK", ""))}, true, map[string][2]any{"ana": {"XX", nil}, "bob": {"XX", int64(7)}}},
		"masked elsewhere":  {[]ranger.Policy{onColumns(1, "n", "eu", ""), masks(2, "region", mask("staff", "MASK", ""))}, true, map[string][2]any{"ana": {nil, int64(7)}, "bob": {"XX", int64(7)}}},
		"all columns":       {[]ranger.Policy{onColumns(1, "*", "eu", "")}, false, map[string][2]any{"ana": {"EU", int64(7)}}},
	} {
		d := newProtector(t, Options{Columns: true}, c.policies...).Compile(testTable(), nil)
		if d.Closed != "" || d.Columns != c.columns {
			t.Errorf("%s: columns are hidden: %t, closed: %q, findings %v", name, d.Columns, d.Closed, d.Findings)
		}
		for who, want := range c.seen {
			s := sessionOf(who)
			if _, person := people.UserGroupMapping[who]; !person {
				s = session{user: who}
			}
			if got := [2]any{value(t, d, "region", s, row), value(t, d, "n", s, row)}; got != want {
				t.Errorf("%s: %s sees %v, want %v", name, who, got, want)
			}
		}
		if d := newProtector(t, Options{}, onColumns(1, "region", "eu", "")).Compile(testTable(), nil); d.Columns || d.Binds() {
			t.Errorf("switched off, columns are hidden by %v", d.Functions)
		}
	}
	// Who left no trace in the group's name is named: a group that nobody can list is not granted.
	p := newProtector(t, Options{Columns: true}, onColumns(1, "region", "unlisted", ""))
	if d := p.Compile(testTable(), nil); d.Columns || len(d.Findings) != 1 || d.Findings[0].PolicyID != 1 || d.Findings[0].Effect != policy.EffectNarrower {
		t.Errorf("of a group that nobody can list columns are hidden: %t, %v", d.Columns, d.Findings)
	}
	// Once the group has another name, its members still see no more.
	d := newProtector(t, Options{Columns: true}, onColumns(1, "region", "eu", "")).Compile(testTable(), nil)
	if got := value(t, d, "n", session{user: "ana", groups: []string{"renamed"}}, row); got != nil {
		t.Errorf("once the group has another name ana sees %v", got)
	}
	// Nor do sessions in the role of a group that is in it.
	d = newProtector(t, Options{Columns: true, Within: nestedIn(map[string][]string{"eu": {"inner"}})}, onColumns(1, "region", "eu", "")).Compile(testTable(), nil)
	if got := value(t, d, "n", session{user: "inner", groups: []string{"renamed"}}, row); got != nil {
		t.Errorf("once the group has another name a session in the role of a group in it sees %v", got)
	}
}
