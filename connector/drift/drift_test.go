package drift_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector/drift"
	"ucwarden/policy"
)

func table(name string) policy.Securable {
	return policy.Securable{Type: policy.Table, FullName: "c.s." + name}
}

func to(name string, privilege policy.Privilege) policy.Assignment {
	return policy.Assignment{Principal: policy.Principal{Name: name, Kind: policy.Group}, Privilege: privilege}
}

// A grant is put back where the record has it and policies want the same as then; not on what is new, nor where policies want something
// else, nor where an earlier sync failed, nor where it stands only while a plan is applied.
func TestNote(t *testing.T) {
	desired := &policy.GrantSet{}
	var read []policy.Securable
	for i := range 50 {
		s := table(fmt.Sprint("t", i))
		read = append(read, s)
		desired.Set(s, []policy.Assignment{to("a", "SELECT"), to("b", "SELECT")})
	}
	read = append(read, table("nothing"))
	record := drift.NewRecord(read, desired).Without([]policy.Securable{table("t7"), table("unknown")})
	later := desired.Clone()
	later.Set(table("t8"), []policy.Assignment{to("a", "SELECT"), to("c", "SELECT")})
	later.Set(table("new"), []policy.Assignment{to("a", "SELECT")})
	later.Set(table("nothing"), []policy.Assignment{to("a", "SELECT")})

	alike := policy.Causes{}
	alike.Set(policy.ActAdd, to("a", "SELECT"), policy.Cause{Kind: policy.CausePolicy, PolicyID: 3})
	kept := policy.Causes{}
	kept.Set(policy.ActAdd, to("z", "SELECT"), policy.Cause{Kind: policy.CauseKept})
	excess := policy.Causes{}
	excess.Set(policy.ActRemove, to("x", "MODIFY"), policy.Cause{Kind: policy.CauseDrift})
	excess.Set(policy.ActRemove, to("y", "MODIFY"), policy.Cause{Kind: policy.CauseDeny})
	var changes []policy.Change
	for _, name := range []string{"t1", "t7", "t8", "new", "nothing", "t2"} {
		changes = append(changes, policy.Change{Securable: table(name), Add: []policy.Assignment{to("a", "SELECT")}, Causes: alike})
	}
	changes = append(changes,
		policy.Change{Securable: table("t3"), Add: []policy.Assignment{to("z", "SELECT")}, Causes: kept},
		policy.Change{Securable: table("t4"), Add: []policy.Assignment{to("b", "SELECT")}},
		policy.Change{Securable: table("t4"), Remove: []policy.Assignment{to("x", "MODIFY"), to("y", "MODIFY")}, Causes: excess})
	changes = append(changes, // of t9 policies want something else now, and of nothing they wanted nothing then
		policy.Change{Securable: table("t9"), Remove: []policy.Assignment{to("x", "MODIFY")}, Causes: excess},
		policy.Change{Securable: table("nothing"), Remove: []policy.Assignment{to("x", "MODIFY")}, Causes: excess},
		policy.Change{Securable: table("t10"), Remove: []policy.Assignment{to("x", "MODIFY")}, Causes: excess})
	later.Set(table("t9"), []policy.Assignment{to("a", "SELECT")})
	later.Set(table("t10"), nil)
	observed := slices.Clone(changes)
	drift.Note(changes, later, func(policy.Securable) drift.Record { return record }, true)
	var got []string
	for _, c := range changes {
		for _, a := range c.Add {
			if c.Causes.Of(policy.ActAdd, a).PutBack {
				got = append(got, c.Securable.FullName)
			}
		}
	}
	if diff := cmp.Diff([]string{"c.s.t1", "c.s.t2", "c.s.t4"}, got); diff != "" {
		t.Errorf("put back (-want +got):\n%s", diff)
	}
	if alike.Of(policy.ActAdd, to("a", "SELECT")).PutBack {
		t.Error("the causes that alike objects share were changed")
	}
	if got, want := changes[0].Causes.Of(policy.ActAdd, to("a", "SELECT")).String(), `put back, others took it away: policy 3 "" `; got+" " != want {
		t.Errorf("the reason is %q", got)
	}
	want := drift.Found{Excess: 2, Missing: 3, Securables: []string{"TABLE:c.s.t1", "TABLE:c.s.t2", "TABLE:c.s.t4", "TABLE:c.s.nothing"}}
	if diff := cmp.Diff(want, drift.Of(changes)); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	drift.Note(observed, later, func(policy.Securable) drift.Record { return record }, false)
	if got := drift.Of(observed); got.Excess != 4 || got.Missing != 3 {
		t.Errorf("where policies are not enforced: %+v", got)
	}
	drift.Note(changes, later, func(policy.Securable) drift.Record { return nil }, true) // nothing was kept
}

// A record tells kinds of principals, and where one text ends and another begins.
func TestRecords(t *testing.T) {
	of := func(s policy.Securable, list ...policy.Assignment) string {
		g := &policy.GrantSet{}
		g.Set(s, list)
		return string(drift.NewRecord([]policy.Securable{s}, g))
	}
	user := to("ab", "SELECT")
	user.Kind = policy.User
	seen := make(map[string]int)
	for i, r := range []string{
		of(table("t"), to("ab", "SELECT")), of(table("t"), user), of(table("t"), to("a", "bSELECT")), of(table("t"), to("ab", "SELECT"), to("b", "SELECT")),
		of(policy.Securable{Type: policy.Volume, FullName: "c.s.t"}, to("ab", "SELECT")), of(table("t")),
	} {
		if other, found := seen[r]; found {
			t.Errorf("records %d and %d are the same", other, i)
		}
		seen[r] = i
	}
	if of(table("t"), to("b", "SELECT"), to("a", "SELECT")) != of(table("t"), to("a", "SELECT"), to("b", "SELECT")) {
		t.Error("the order of grants makes another record")
	}
}
