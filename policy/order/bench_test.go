package order_test

import (
	"fmt"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/order"
)

// BenchmarkChanges orders the plan of a first full sync: every table of some catalogs loses what was granted by hand and
// is granted to others, of whom each is given USE_*, and many lose it.
func BenchmarkChanges(b *testing.B) {
	for _, size := range []struct{ catalogs, schemas, tables, groups int }{{100, 10, 300, 20}, {1, 100, 3000, 50}, {1, 1, 300000, 50}, {1, 100, 3000, 200}} {
		b.Run(fmt.Sprintf("%dx%dx%d-%dgroups", size.catalogs, size.schemas, size.tables, size.groups), func(b *testing.B) {
			changes, current := firstSync(size.catalogs, size.schemas, size.tables, size.groups)
			for b.Loop() {
				ordered, findings := order.Changes(changes, current, order.Options{})
				if len(ordered) < len(changes) || len(findings) > 0 {
					b.Fatalf("%d changes, %d ordered, %d findings", len(changes), len(ordered), len(findings))
				}
				b.ReportMetric(float64(len(ordered)), "requests")
			}
		})
	}
}

func firstSync(catalogs, schemas, tables, groups int) ([]policy.Change, *policy.GrantSet) {
	current, changes := &policy.GrantSet{}, []policy.Change(nil)
	change := func(s policy.Securable, add, remove []policy.Assignment) {
		changes = append(changes, policy.Change{Securable: s, Add: add, Remove: remove})
		current.Set(s, remove)
	}
	group := func(kind string, i int, x policy.Privilege) policy.Assignment {
		return policy.Assignment{Principal: policy.NewPrincipal(policy.Group, fmt.Sprintf("%s%d", kind, i%groups)), Privilege: x}
	}
	all := func(kind string, x policy.Privilege) (list []policy.Assignment) {
		for i := range groups {
			list = append(list, group(kind, i, x))
		}
		return list
	}
	for c := range catalogs {
		catalog := fmt.Sprintf("c%d", c)
		change(policy.Securable{Type: policy.Catalog, FullName: catalog}, all("new", policy.UseCatalog), all("old", policy.UseCatalog))
		for s := range schemas {
			schema := fmt.Sprintf("%s.s%d", catalog, s)
			change(policy.Securable{Type: policy.Schema, FullName: schema}, all("new", policy.UseSchema), all("old", policy.UseSchema))
			for t := range tables {
				change(policy.Securable{Type: policy.Table, FullName: fmt.Sprintf("%s.t%d", schema, t)},
					[]policy.Assignment{group("new", t, policy.Select), group("new", t+1, policy.Modify)},
					[]policy.Assignment{group("old", t, policy.Select), group("old", t+1, policy.AllPrivileges)})
			}
		}
	}
	return changes, current
}
