package protect

import (
	"fmt"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// largeGroups is a protector of a workspace in which each group of policies has n members.
func largeGroups(t testing.TB, n int) *Protector {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("user%07d@example.com", i)
	}
	return newProtector(t, Options{NameMembers: 100, Members: func(policy.Principal) ([]string, bool) { return names, true }},
		readable("staff us", ""), filters(1, 0, filter("eu", "", "n > 1")), masks(2, "region", mask("eu", "MASK", "")))
}

// checkLarge holds that a table is filtered by the name of a large group, in little text, and that a deny to it is refused by its size.
func checkLarge(t testing.TB, p *Protector, n int) {
	d := p.Compile(testTable(), nil)
	if d.Closed != "" || len(d.Functions) != 2 {
		t.Fatalf("closed: %q, functions %v", d.Closed, d.Functions)
	}
	for _, f := range d.Functions {
		if !strings.Contains(f.Body, "is_account_group_member('eu')") || len(f.Body) > 1000 {
			t.Errorf("%d characters: %.200s", len(f.Body), f.Body)
		}
	}
	deny := &judge.Denials{Rules: []judge.DenyRule{{Policy: &rules.Policy{Source: &ranger.Policy{ID: 7}}, Who: rules.SubjectSet{p.set.Subjects.ID(rules.SubjectGroup, "us")}}}}
	if err := p.CanDeny(deny); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the %d members of", n+1)) { // and bob, by the policies
		t.Errorf("a deny to a group of %d: %v", n, err)
	}
}

func TestLargeGroup(t *testing.T) { checkLarge(t, largeGroups(t, 20_000), 20_000) }

// BenchmarkLargeGroup compiles a table whose filter and mask name a group of a million members.
func BenchmarkLargeGroup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		checkLarge(b, largeGroups(b, 1_000_000), 1_000_000)
	}
}
