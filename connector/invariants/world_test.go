package invariants_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"ucwarden/connector/emulator"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// world is one run: what stands at first, what is wanted, and what goes wrong on the way. All of it is drawn before the
// run, which is in fake time.
type world struct {
	Seed *emulator.Seed
	// Earlier are policies by which all was in sync once, so that the process knows what there is; nil for none. Since then
	// others have made the changes of Between.
	Earlier  []ranger.Policy
	Between  []foreignEdit
	Policies []ranger.Policy
	Options  emulator.Options // of the server, without seed and tokens
	Faults   []emulator.Fault
	Syncs    []string // roots of the syncs that are disturbed; "" for everything
	Crash    crash    // of the process that syncs
	Edits    []foreignEdit
	Parallel int // calls of ours at once; with more than one, a world may run otherwise each time
}

// crash ends the process at its n-th request; 0 for none. Kept says that the request took effect all the same.
type crash struct {
	At   int
	Kept bool
}

// foreignEdit is a change that somebody else makes just before our n-th change.
type foreignEdit struct {
	Before int
	Object string // TYPE:NAME
	Body   string // of a PATCH of its permissions
}

// The people, and who they are at most. Groups are drawn.
const (
	us       = "11111111-2222-4333-8444-555555555555" // a service principal, one of the metastore's admins
	somebody = "else@example.com"                     // another of them
	eve      = "eve@example.com"                      // protected: no grant of hers is ours
)

var (
	people     = []string{"ann@example.com", "bob@example.com", eve, "99999999-2222-4333-8444-555555555555"}
	groups     = []string{"analysts", "engineers", "team"}
	principals = append(append([]string{"account users"}, people...), groups...)

	// objects are in scope but for the last three.
	objects = []string{"catalog:sales", "catalog:hr", "schema:sales.emea", "schema:sales.apac", "schema:hr.core",
		"table:sales.emea.orders", "table:sales.emea.view", "table:sales.apac.orders", "table:sales.apac.leads", "table:hr.core.staff", "volume:sales.emea.files",
		"catalog:lab", "schema:lab.x", "table:lab.x.t"}
	privileges = map[string][]string{
		"catalog": {"USE_CATALOG", "USE_SCHEMA", "SELECT", "MODIFY", "ALL_PRIVILEGES", "READ_VOLUME", "BROWSE", "MANAGE", "READ_METADATA", "APPLY_TAG"},
		"schema":  {"USE_SCHEMA", "SELECT", "MODIFY", "ALL_PRIVILEGES", "READ_VOLUME", "CREATE_TABLE", "MANAGE", "INSERT", "APPLY_TAG"},
		"table":   {"SELECT", "MODIFY", "ALL_PRIVILEGES", "APPLY_TAG", "READ_METADATA", "MANAGE", "INSERT"},
		"view":    {"SELECT", "ALL_PRIVILEGES", "APPLY_TAG"},
		"volume":  {"READ_VOLUME", "WRITE_VOLUME", "ALL_PRIVILEGES"},
	}
)

const seedText = `
metastore: {name: main, id: 12345678-aaaa-bbbb-cccc-000000000001, owner: metastore-admins}
users: [ann@example.com, bob@example.com, eve@example.com, else@example.com]
service_principals: [11111111-2222-4333-8444-555555555555, 99999999-2222-4333-8444-555555555555]
groups:
- {name: metastore-admins, members: [11111111-2222-4333-8444-555555555555, else@example.com]}
catalogs:
- name: sales
  schemas:
  - {name: emea, tables: [orders, {name: view, type: VIEW, definition: SELECT 1}], volumes: [files]}
  - {name: apac, tables: [orders, leads]}
- {name: hr, schemas: [{name: core, tables: [staff]}]}
- {name: lab, schemas: [{name: x, tables: [t]}]}
`

func privilegesOn(object string) []string {
	typ, name, _ := strings.Cut(object, ":")
	if strings.HasSuffix(name, ".view") {
		typ = "view"
	}
	return privileges[typ]
}

func drawWorld(t *rapid.T) world {
	seed, err := emulator.ParseSeed([]byte(seedText))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range groups { // a group may be in those after it
		members := rapid.SliceOfNDistinct(rapid.SampledFrom(append(groups[:i:i], people...)), 0, 3, rapid.ID[string]).Draw(t, name)
		seed.Groups = append(seed.Groups, emulator.SeedGroup{Name: name, Members: members})
	}
	for range rapid.IntRange(0, 12).Draw(t, "grants") {
		object := rapid.SampledFrom(objects).Draw(t, "on")
		grantIn(seed, object, rapid.SampledFrom(principals).Draw(t, "to"), rapid.SampledFrom(privilegesOn(object)).Draw(t, "privilege"))
	}
	w := world{Seed: seed}
	for i := range rapid.IntRange(1, 5).Draw(t, "policies") {
		w.Policies = append(w.Policies, drawPolicy(t, int64(i+1)))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "earlier policies") {
		w.Earlier = append(w.Earlier, drawPolicy(t, int64(i+1)))
	}
	if w.Earlier != nil {
		w.Between = drawEdits(t, 3)
	}
	w.Options = emulator.Options{
		RandomSeed: rapid.Uint64().Draw(t, "seed"), PageSize: rapid.SampledFrom([]int{1, 3, 1000}).Draw(t, "page size"),
		EmptyPages:          rapid.Bool().Draw(t, "empty pages"),
		ExpandAllPrivileges: rapid.Bool().Draw(t, "ALL_PRIVILEGES is shown written out"),
	}
	w.Faults = rapid.SliceOfN(rapid.Custom(drawFault), 0, 3).Draw(t, "faults")
	if w.Earlier == nil { // what nobody ever saw nobody can miss
		w.Faults = slices.DeleteFunc(w.Faults, func(f emulator.Fault) bool { return f.Shrink > 0 })
	}
	w.Syncs = rapid.SliceOfN(rapid.SampledFrom([]string{"", "", "catalog:sales", "schema:sales.emea", "table:sales.emea.orders", "table:sales.apac.leads"}), 1, 3).Draw(t, "syncs")
	w.Crash = crash{rapid.SampledFrom([]int{0, 0, rapid.IntRange(1, 80).Draw(t, "request")}).Draw(t, "crash at"), rapid.Bool().Draw(t, "kept")}
	w.Edits = drawEdits(t, 2)
	w.Parallel = rapid.SampledFrom([]int{1, 1, 1, 32}).Draw(t, "parallel")
	return w
}

func drawEdits(t *rapid.T, most int) []foreignEdit {
	var edits []foreignEdit
	for range rapid.IntRange(0, most).Draw(t, "edits by others") {
		object := rapid.SampledFrom(objects).Draw(t, "edit of")
		body, err := json.Marshal(map[string]any{"changes": []any{map[string]any{
			"principal": rapid.SampledFrom(principals).Draw(t, "edit for"),
			rapid.SampledFrom([]string{"add", "remove"}).Draw(t, "edit"): []string{rapid.SampledFrom(privilegesOn(object)).Draw(t, "edit's privilege")},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		edits = append(edits, foreignEdit{rapid.IntRange(1, 8).Draw(t, "before our change"), object, string(body)})
	}
	return edits
}

// grantIn puts a grant into a seed.
func grantIn(seed *emulator.Seed, object, principal, privilege string) {
	_, name, _ := strings.Cut(object, ":")
	parts := strings.Split(name, ".")
	put := func(o *emulator.SeedObject) {
		if o.Grants == nil {
			o.Grants = emulator.SeedGrants{}
		}
		o.Grants[principal] = append(o.Grants[principal], privilege)
	}
	for c := range seed.Catalogs {
		catalog := &seed.Catalogs[c]
		if catalog.Name != parts[0] {
			continue
		}
		if len(parts) == 1 {
			put(&catalog.SeedObject)
			return
		}
		for s := range catalog.Schemas {
			schema := &catalog.Schemas[s]
			if schema.Name != parts[1] {
				continue
			}
			if len(parts) == 2 {
				put(&schema.SeedObject)
				return
			}
			for i := range schema.Tables {
				if schema.Tables[i].Name == parts[2] {
					put(&schema.Tables[i].SeedObject)
					return
				}
			}
			for i := range schema.Volumes {
				if schema.Volumes[i].Name == parts[2] {
					put(&schema.Volumes[i].SeedObject)
					return
				}
			}
		}
	}
	panic("no such object: " + object)
}

func drawPolicy(t *rapid.T, id int64) ranger.Policy {
	resource := rapid.SampledFrom([]string{"table:sales.emea.*", "table:sales.*.orders", "table:sales.apac.leads", "table:*.*.*", "schema:sales.*",
		"table:hr.core.staff", "catalog:sales", "table:lab.x.t", "volume:sales.emea.*"}).Draw(t, "resource")
	typ, name, _ := strings.Cut(resource, ":")
	accesses := map[string][]string{
		"table": {"select", "modify", "all_privileges"}, "schema": {"create_table", "use_schema", "all_privileges"},
		"catalog": {"use_catalog", "create_schema", "all_privileges"}, "volume": {"read_volume", "all_privileges"},
	}[typ]
	p := ranger.Policy{ID: id, Name: fmt.Sprintf("%d: %s", id, resource), Resources: make(map[string]ranger.PolicyResource)}
	levels := map[string][]string{"catalog": {"catalog"}, "schema": {"catalog", "schema"}, "table": {"catalog", "schema", "table"}, "volume": {"catalog", "schema", "volume"}}[typ]
	for i, value := range strings.Split(name, ".") {
		p.Resources[levels[i]] = ranger.PolicyResource{Values: []string{value}}
	}
	item := func() ranger.PolicyItem {
		var it ranger.PolicyItem
		for _, who := range rapid.SliceOfNDistinct(rapid.SampledFrom(principals[1:]), 1, 2, rapid.ID[string]).Draw(t, "who") {
			if strings.Contains(who, "@") || strings.Contains(who, "-") {
				it.Users = append(it.Users, who)
			} else {
				it.Groups = append(it.Groups, who)
			}
		}
		for _, access := range rapid.SliceOfNDistinct(rapid.SampledFrom(accesses), 1, 2, rapid.ID[string]).Draw(t, "accesses") {
			it.Accesses = append(it.Accesses, ranger.ItemAccess{Type: access})
		}
		return it
	}
	p.PolicyItems = []ranger.PolicyItem{item()}
	switch rapid.IntRange(0, 5).Draw(t, "kind of policy") {
	case 0:
		p.DenyPolicyItems = []ranger.PolicyItem{item()}
	case 1:
		p.PolicyItems, p.DenyPolicyItems = nil, p.PolicyItems
	case 2:
		p.AllowExceptions = []ranger.PolicyItem{item()}
	}
	return p
}

func drawFault(t *rapid.T) emulator.Fault {
	f := emulator.Fault{
		Caller: us,
		Path: rapid.SampledFrom([]string{"*", "*/permissions/*", "*/permissions/table/*", "*/permissions/schema/*", "*/permissions/catalog/*",
			"*/table-summaries", "*/schemas", "*/volumes", "*/scim/*"}).Draw(t, "path"),
		Probability: rapid.SampledFrom([]float64{0.1, 0.3, 0.6}).Draw(t, "probability"),
	}
	switch rapid.IntRange(0, 8).Draw(t, "kind of fault") {
	case 0:
		f.Status = rapid.SampledFrom([]int{409, 429, 500, 502, 503, 504}).Draw(t, "status")
	case 1:
		f.Method, f.Status, f.After = "PATCH", 504, true
	case 2:
		f.Drop, f.After = true, rapid.Bool().Draw(t, "after")
	case 3:
		f.Truncate = true
	case 4:
		f.Garble = true
	case 5:
		f.Hang, f.After = true, rapid.Bool().Draw(t, "after")
	case 6:
		f.Method, f.EmptyPage = "GET", true
	case 7:
		f.Method, f.Shrink = "GET", 0.5
		f.Path = rapid.SampledFrom([]string{"*/table-summaries", "*/catalogs", "*/schemas", "*/volumes"}).Draw(t, "list that misses some")
	case 8: // one object that cannot be reached
		f.Path, f.Probability = "", 0
		f.Securable, f.Status = rapid.SampledFrom(objects).Draw(t, "fault on"), rapid.SampledFrom([]int{403, 500}).Draw(t, "status on")
	}
	return f
}

// inScope tells what the product is told to manage; by itself, so that a mistake in the product's own reading shows.
func inScope(object, principal, privilege string) bool {
	typ, name, _ := strings.Cut(object, ":")
	catalog, _, _ := strings.Cut(name, ".")
	return catalog != "lab" && principal != eve && !(strings.EqualFold(typ, "table") && privilege == "APPLY_TAG") &&
		privilege != "READ_METADATA" && privilege != "INSERT" && privilege != "UPDATE" && privilege != "DELETE"
}

func scope() (policy.Scope, error) {
	return policy.NewScope(policy.ScopeOptions{
		Objects:    map[policy.SecurableType]policy.Filter{policy.Catalog: {Exclude: []string{"lab"}}},
		Privileges: map[policy.SecurableType]policy.PrivilegeFilter{policy.Table: {Exclude: []string{"APPLY_TAG"}}},
		Protected:  []string{eve, us},
	})
}
