package evaluate

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"ucwarden/policy/match"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// manyPolicies makes a document of n policies as a large site has them: most on one schema or table, some on names by
// pattern, some with denies, some for roles, one for everybody.
func manyPolicies(n int) *ranger.ServicePolicies {
	doc := &ranger.ServicePolicies{ServiceName: "uc", PolicyVersion: 1}
	for i := range n {
		p := ranger.Policy{ID: int64(i + 1), Name: fmt.Sprintf("policy %d", i+1), Resources: map[string]ranger.PolicyResource{
			"catalog": {Values: []string{fmt.Sprintf("catalog_%d", i%20)}},
		}}
		group := fmt.Sprintf("group_%d", i%500)
		p.PolicyItems = []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: []string{group}}}
		switch i % 5 {
		case 0, 1:
			p.Resources["schema"] = ranger.PolicyResource{Values: []string{fmt.Sprintf("schema_%d", i/20%200)}}
			p.Resources["table"] = ranger.PolicyResource{Values: []string{fmt.Sprintf("table_%d", i), fmt.Sprintf("more_%d", i)}}
		case 2:
			p.Resources["schema"] = ranger.PolicyResource{Values: []string{fmt.Sprintf("schema_%d", i/20%200)}}
			p.Resources["table"] = ranger.PolicyResource{Values: []string{"*"}}
		case 3:
			p.Resources["schema"] = ranger.PolicyResource{Values: []string{fmt.Sprintf("team_%d_*", i)}}
			p.Resources["table"] = ranger.PolicyResource{Values: []string{"*"}}
			p.PolicyItems[0].Roles = []string{fmt.Sprintf("role_%d", i%50)}
		case 4:
			p.Resources["schema"] = ranger.PolicyResource{Values: []string{"*"}}
			p.Resources["table"] = ranger.PolicyResource{Values: []string{fmt.Sprintf("cust_%d*", i)}}
			p.DenyPolicyItems = []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "modify"}}, Users: []string{fmt.Sprintf("user_%d@example.com", i)}}}
		}
		doc.Policies = append(doc.Policies, p)
	}
	return doc
}

func benchmarkEvaluator(tb testing.TB, n int) *Evaluator {
	s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: manyPolicies(n), Roles: &ranger.ServiceRoles{RangerRoles: []ranger.Role{
		{Name: "role_1", Groups: []ranger.RoleMember{{Name: "group_7"}}},
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	e := New(policytest.Rules(s, rules.NameMapping{}))
	return e
}

// BenchmarkEvaluate10k is one decision among 10,000 policies; at most 20 µs and 200 bytes are wanted.
func BenchmarkEvaluate10k(b *testing.B) {
	e := benchmarkEvaluator(b, 10_000)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var requests []Request
	for i := range 512 {
		requests = append(requests, Request{
			Resource: match.Resource{{Name: "catalog", Value: fmt.Sprintf("catalog_%d", i%20)}, {Name: "schema", Value: fmt.Sprintf("schema_%d", i/20%200)},
				{Name: "table", Value: fmt.Sprintf("table_%d", i)}},
			AccessType: "select", User: "ann@example.com", Groups: []string{"group_7", fmt.Sprintf("group_%d", i%500)}, Time: now,
		})
	}
	b.ReportAllocs()
	i, allowed := 0, 0
	for b.Loop() {
		if e.Evaluate(requests[i%len(requests)]).Allowed() {
			allowed++
		}
		i++
	}
	if allowed == 0 {
		b.Error("nothing was allowed")
	}
}

// BenchmarkLoad10k reads, verifies and indexes 10,000 policies; at most 2 s are wanted.
func BenchmarkLoad10k(b *testing.B) {
	data, err := json.Marshal(manyPolicies(10_000))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		doc, err := parse.ServicePolicies(data, "uc.json")
		if err != nil {
			b.Fatal(err)
		}
		s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: doc})
		if err != nil {
			b.Fatal(err)
		}
		New(policytest.Rules(s, rules.NameMapping{}))
	}
}
