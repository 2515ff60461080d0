package compile

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// benchSnapshot makes policies as an organisation of that size has them: most on the tables of one schema by name or
// prefix, some on whole schemas and catalogs, one in ten with a deny or an exception.
func benchSnapshot(policies, principals, catalogs, schemas int) *ranger.Snapshot {
	s := &ranger.Snapshot{Users: &ranger.UserStore{UserGroupMapping: map[string][]string{}}}
	groups := max(principals/10, 1)
	for u := range principals - groups {
		s.Users.UserGroupMapping[fmt.Sprintf("user%d@example.com", u)] = []string{fmt.Sprintf("group%d", u%groups), fmt.Sprintf("group%d", (u*7+1)%groups)}
	}
	value := func(format string, args ...any) ranger.PolicyResource {
		return ranger.PolicyResource{Values: []string{fmt.Sprintf(format, args...)}}
	}
	for i := range policies {
		p := ranger.Policy{ID: int64(i + 1), Name: fmt.Sprintf("policy %d", i+1), Resources: map[string]ranger.PolicyResource{
			"catalog": value("catalog%d", i%catalogs), "schema": value("schema%d", i/catalogs%schemas), "table": value("table%d*", 1+mix(i)%9),
		}}
		item := ranger.PolicyItem{Groups: []string{fmt.Sprintf("group%d", i%groups)}, Users: []string{fmt.Sprintf("user%d@example.com", i%principals)},
			Accesses: []ranger.ItemAccess{{Type: "select"}}}
		switch mix(i) / 9 % 10 {
		case 0:
			p.Resources["table"] = value("*")
			item.Accesses = append(item.Accesses, ranger.ItemAccess{Type: "modify"})
		case 1:
			p.Resources["schema"], p.Resources["table"] = value("*"), value("fact_%d_*", i%50)
		case 2:
			p.DenyPolicyItems = []ranger.PolicyItem{{Users: []string{fmt.Sprintf("user%d@example.com", i%principals)}, Accesses: []ranger.ItemAccess{{Type: "select"}}}}
		case 3:
			p.AllowExceptions = []ranger.PolicyItem{{Groups: []string{fmt.Sprintf("group%d", (i+3)%groups)}, Accesses: []ranger.ItemAccess{{Type: "select"}}}}
		case 4:
			p.Resources["table"] = ranger.PolicyResource{Values: []string{"*1", "*3*"}}
		}
		p.PolicyItems = []ranger.PolicyItem{item}
		s.Policies = append(s.Policies, p)
	}
	return s
}

// mix scatters numbers that count up, the same way every time.
func mix(i int) int { return i * 2654435761 >> 8 & 0xffffff }

func benchInventory(tables, catalogs, schemas int) []policy.Object {
	objects := make([]policy.Object, 0, tables+catalogs*schemas)
	for c := range catalogs {
		catalog := fmt.Sprintf("catalog%d", c)
		objects = append(objects, policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: catalog}})
		for s := range schemas {
			schema := fmt.Sprintf("%s.schema%d", catalog, s)
			objects = append(objects, policy.Object{Securable: policy.Securable{Type: policy.Schema, FullName: schema}})
			for t := range tables / catalogs / schemas {
				objects = append(objects, policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: fmt.Sprintf("%s.table%d", schema, t)}})
			}
		}
	}
	return objects
}

// BenchmarkCompileDiff is what a full sync computes: the objects put into an inventory, the policies compiled for all
// objects, and the difference to a state where every fiftieth securable lost its grants. A table should cost at most one
// and a half times with 10,000 policies what it costs with 200, where as many of them reach it: x/200 is that factor.
// x/200-sparse is the factor to 200 policies that leave most tables without any grant.
func BenchmarkCompileDiff(b *testing.B) {
	var sparse, dense float64 // nanoseconds a table, with 200 policies
	for _, size := range []struct{ tables, policies, principals, catalogs, schemas int }{
		{100_000, 200, 100, 10, 20},
		{1_000_000, 200, 100, 10, 100},
		{1_000_000, 200, 100, 2, 10},
		{100_000, 10_000, 1000, 10, 100},
		{300_000, 10_000, 1000, 10, 100},
		{1_000_000, 10_000, 1000, 10, 100},
	} {
		b.Run(fmt.Sprintf("tables=%d/policies=%d/schemas=%d", size.tables, size.policies, size.catalogs*size.schemas), func(b *testing.B) {
			snapshot := benchSnapshot(size.policies, size.principals, size.catalogs, size.schemas)
			objects := benchInventory(size.tables, size.catalogs, size.schemas)
			read := make([]policy.Securable, len(objects))
			current := compileOf(snapshot, policy.NewInventory(objects...), Options{}, rules.NameMapping{}).Grants
			for i, o := range objects {
				read[i] = o.Securable
				if i%50 == 0 {
					current.Set(o.Securable, nil)
				}
			}
			var changes []policy.Change
			var grants, peak float64
			b.ReportAllocs()
			stop := watchHeap(&peak)
			for b.Loop() {
				compiled := compileOf(snapshot, policy.NewInventory(objects...), Options{}, rules.NameMapping{})
				changes, _ = policy.Diff(policy.DiffInput{Read: read, Current: current, Desired: compiled.Grants})
				grants = float64(compiled.Grants.Len())
			}
			stop()
			table := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(size.tables)
			switch {
			case size.policies > 200:
			case size.policies == 10*size.catalogs*size.schemas: // as many in each schema as with 10,000
				dense = table
			default:
				sparse = table
			}
			b.ReportMetric(peak/(1<<20), "peak-MiB")
			b.ReportMetric(grants, "grants")
			b.ReportMetric(float64(len(changes)), "changes")
			b.ReportMetric(table, "ns/table")
			if dense > 0 {
				b.ReportMetric(table/dense, "x/200")
			}
			if sparse > 0 {
				b.ReportMetric(table/sparse, "x/200-sparse")
			}
		})
	}
}

// BenchmarkCompileWildcards compiles policies all of whose patterns begin with a wildcard and match in every schema.
func BenchmarkCompileWildcards(b *testing.B) {
	s := &ranger.Snapshot{}
	for i := range 10_000 {
		s.Policies = append(s.Policies, ranger.Policy{ID: int64(i + 1), Resources: map[string]ranger.PolicyResource{
			"catalog": {Values: []string{"*"}}, "schema": {Values: []string{"*"}}, "table": {Values: []string{fmt.Sprintf("*word%d*", i)}},
		}, PolicyItems: []ranger.PolicyItem{{Groups: []string{fmt.Sprintf("group%d", i%100)}, Accesses: []ranger.ItemAccess{{Type: "select"}}}}})
	}
	objects := benchInventory(100_000, 10, 20)
	for i := range objects {
		if objects[i].Type == policy.Table && i%10 == 0 {
			objects[i].FullName += fmt.Sprintf("_word%d_x", mix(i)%10_000)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		compileOf(s, policy.NewInventory(objects...), Options{}, rules.NameMapping{})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/table")
}

// watchHeap samples the live heap, objects of the input included, until stopped, and keeps the highest value.
func watchHeap(peak *float64) (stop func()) {
	runtime.GC()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var m runtime.MemStats
		for {
			runtime.ReadMemStats(&m)
			*peak = max(*peak, float64(m.HeapAlloc))
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() { close(done); <-ended }
}
