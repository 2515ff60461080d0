package named_test

import (
	"slices"
	"strings"
	"testing"

	"ucwarden/connector/load"
	"ucwarden/connector/named"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/directory"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

func snapshotOf(t *testing.T, doc string) *ranger.Snapshot {
	t.Helper()
	policies, err := parse.ServicePolicies([]byte(doc), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	return ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: policies})
}

func on(levels ...string) string {
	var parts []string
	for i := 0; i < len(levels); i += 2 {
		parts = append(parts, `"`+levels[i]+`":{"values":["`+strings.ReplaceAll(levels[i+1], ",", `","`)+`"]}`)
	}
	return `"resources":{` + strings.Join(parts, ",") + `}`
}

const (
	allow = `,"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]`
	deny  = `,"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]`
)

func object(t policy.SecurableType, name string) policy.Object {
	return policy.Object{Securable: policy.Securable{Type: t, FullName: name}}
}

// What policies name exactly and no listing shows is a finding; what may be there all the same is none.
func TestAbsent(t *testing.T) {
	sales := policy.Securable{Type: policy.Catalog, FullName: "sales"}
	metastore := policy.Securable{Type: policy.Metastore}
	found := func(left ...load.LeftOut) *load.Found {
		return &load.Found{Left: left, Inventory: policy.NewInventory(
			object(policy.Metastore, "1234"), object(policy.Connection, "crm"), object(policy.Table, "sales.emea.orders"), object(policy.Volume, "sales.emea.files"),
		)}
	}
	unlisted := func(s policy.Securable) load.LeftOut { return load.LeftOut{Securable: s, Listing: true} }
	for name, test := range map[string]struct {
		policy string
		in     policy.Securable
		found  *load.Found
		scope  policy.ScopeOptions
		names  []string // in the finding; none: there is no finding
		effect policy.Effect
	}{
		"there":                     {policy: on("catalog", "sales", "schema", "emea", "table", "ORDERS") + allow, in: sales},
		"a pattern":                 {policy: on("catalog", "sales", "schema", "emea", "table", "x*") + allow, in: sales},
		"a table":                   {policy: on("catalog", "sales", "schema", "emea", "table", "nosuch") + allow, in: sales, names: []string{"table sales.emea.nosuch"}, effect: policy.EffectNone},
		"a table, misspelt":         {policy: on("catalog", "sales", "schema", "emea", "table", "ordres") + allow, in: sales, names: []string{"mean sales.emea.orders"}, effect: policy.EffectNone},
		"denied and misspelt":       {policy: on("catalog", "sales", "schema", "emea", "table", "ordres") + deny, in: sales, names: []string{"mean sales.emea.orders"}, effect: policy.EffectWider},
		"denied, like nothing":      {policy: on("catalog", "sales", "schema", "emea", "table", "zzz") + deny, in: sales, names: []string{"table sales.emea.zzz"}, effect: policy.EffectNone},
		"one of two":                {policy: on("catalog", "sales", "schema", "emea", "table", "orders,gone") + allow, in: sales, names: []string{"sales.emea.gone"}, effect: policy.EffectNone},
		"the schema":                {policy: on("catalog", "sales", "schema", "apac", "table", "a,b") + allow, in: sales, names: []string{"schema sales.apac,"}, effect: policy.EffectNone},
		"another type of that name": {policy: on("catalog", "sales", "schema", "emea", "volume", "orders") + allow, in: sales, names: []string{"volume sales.emea.orders"}, effect: policy.EffectNone},
		"cannot be listed":          {policy: on("catalog", "sales", "schema", "emea", "table", "nosuch") + allow, in: sales, found: found(unlisted(policy.Securable{Type: policy.Schema, FullName: "sales.emea"}))},
		"out of scope": {policy: on("catalog", "sales", "schema", "emea", "table", "nosuch") + allow, in: sales,
			scope: policy.ScopeOptions{Objects: map[policy.SecurableType]policy.Filter{policy.Schema: {Exclude: []string{"sales.emea"}}}}},
		"kept by Unity Catalog":       {policy: on("catalog", "sales", "schema", "information_schema", "table", "tables") + allow, in: sales},
		"another catalog":             {policy: on("catalog", "hr", "schema", "emea", "table", "nosuch") + allow, in: sales},
		"a connection":                {policy: on("connection", "nope") + allow, in: metastore, names: []string{"connection nope"}, effect: policy.EffectNone},
		"another metastore":           {policy: on("metastore", "5678") + allow, in: metastore, names: []string{"metastore 5678"}, effect: policy.EffectNone},
		"connections cannot be":       {policy: on("connection", "nope") + allow, in: metastore, found: found(unlisted(policy.Securable{Type: policy.Connection}))},
		"what no full sync looks for": {policy: on("share", "s") + allow, in: metastore},
		"switched off":                {policy: on("connection", "nope") + `,"isEnabled":false` + allow, in: metastore},
	} {
		scope, err := policy.NewScope(test.scope)
		if err != nil {
			t.Fatal(err)
		}
		if test.found == nil {
			test.found = found()
		}
		s := snapshotOf(t, `{"policies":[{"id":7,`+test.policy+`}]}`)
		findings := named.Absent(compile.New(policytest.Rules(s, rules.NameMapping{}), compile.Options{}), scope, test.in, named.Listed(test.found))
		check(t, name, findings, test.names, test.effect)
	}
}

func check(t *testing.T, name string, findings []policy.Finding, names []string, effect policy.Effect) {
	t.Helper()
	if len(names) == 0 {
		if len(findings) > 0 {
			t.Errorf("%s: %v, want no finding", name, findings)
		}
		return
	}
	if len(findings) != 1 || findings[0].PolicyID != 7 || findings[0].Effect != effect ||
		slices.ContainsFunc(names, func(n string) bool { return !strings.Contains(findings[0].Message, n) }) {
		t.Errorf("%s: %+v, want one of effect %s that names %q", name, findings, effect, names)
	}
}

func TestAbsentCatalogs(t *testing.T) {
	scope, err := policy.NewScope(policy.ScopeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	catalogs := []policy.Securable{{Type: policy.Catalog, FullName: "sales"}}
	for text, want := range map[string][]string{"sales": nil, "SALES": nil, "*": nil, "system": nil, "salse": {"catalog salse", "mean sales"}, "sales,hr": {"catalog hr"}} {
		s := snapshotOf(t, `{"policies":[{"id":7,`+on("catalog", text)+allow+`}]}`)
		check(t, text, named.AbsentCatalogs(compile.New(policytest.Rules(s, rules.NameMapping{}), compile.Options{}), scope, named.ListOf(catalogs)), want, policy.EffectNone)
	}
	for text, want := range map[string][]string{"sales": nil, "salse": {"catalog salse", "mean sales"}, "*": nil} { // of what is inside
		s := snapshotOf(t, `{"policies":[{"id":7,"resources":{"catalog":{"values":["`+text+`"]},"schema":{"values":["emea"]},"table":{"values":["*"]}}`+deny+`}]}`)
		check(t, "inside "+text, named.AbsentCatalogs(compile.New(policytest.Rules(s, rules.NameMapping{}), compile.Options{}), scope, named.ListOf(catalogs)), want, policy.EffectWider)
	}
}

// A zone, or a resource with tags, that names what is not there is said: what is meant is not in the zone, or carries no tag.
func TestPlaces(t *testing.T) {
	scope, err := policy.NewScope(policy.ScopeOptions{Objects: map[policy.SecurableType]policy.Filter{policy.Schema: {Exclude: []string{"sales.apac"}}, policy.Connection: {Include: []string{"*"}}}})
	if err != nil {
		t.Fatal(err)
	}
	sales := policy.Securable{Type: policy.Catalog, FullName: "sales"}
	found := &load.Found{Inventory: policy.NewInventory(object(policy.Metastore, "1234"), object(policy.Connection, "crm_live"), object(policy.Table, "sales.emea.orders"), object(policy.Volume, "sales.emea.files"))}
	const nearly = `wider security zone "z": no listing of the workspace shows `
	for text, c := range map[string]struct{ zone, tag string }{
		`"catalog":["sales"],"schema":["emea"],"table":["Orders"]`: {},
		`"catalog":["sales"],"schema":["emea"],"table":["o*"]`:     {},
		`"catalog":["sales"],"schema":["*"],"table":["ordrs"]`:     {},
		`"catalog":["s*"],"schema":["eme"]`:                        {},
		`"catalog":["system"],"schema":["eme"]`:                    {},
		`"catalog":["sales"],"schema":["apac"],"table":["x"]`:      {},
		`"catalog":["sales"],"schema":["emea"],"table":["ordrs"]`:  {nearly + "table sales.emea.ordrs (did you mean sales.emea.orders?)", "tags: no listing of the workspace shows table sales.emea.ordrs (did you mean sales.emea.orders?)"},
		`"catalog":["sales"],"schema":["eme"],"table":["*"]`:       {nearly + "schema sales.eme (did you mean sales.emea?)", "tags: no listing of the workspace shows schema sales.eme (did"},
		`"catalog":["sales"],"schema":["emea"],"volume":["file"]`:  {nearly + "volume sales.emea.file (did you mean sales.emea.files?)", "tags: no listing of the workspace shows volume"},
		`"catalog":["saless"],"schema":["emea"],"table":["x"]`:     {nearly + "catalog saless (did you mean sales?)", "tags: no listing of the workspace shows catalog saless (did you mean sales?)"},
		`"catalog":["saless"]`:                                     {nearly + "catalog saless (did you mean sales?)", "tags: no listing of the workspace shows catalog saless (did you mean sales?)"},
		`"connection":["crm_lve"]`:                                 {nearly + "connection crm_lve (did you mean crm_live?)", "tags: no listing of the workspace shows connection"},
		`"catalog":["sales"],"schema":["emea"],"table":["gone"]`:   {`none security zone "z": no listing of the workspace shows table sales.emea.gone, so`, ""},
	} {
		tags := &ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {Type: "PII"}}, ResourceToTagIDs: map[string][]int64{"4": {1}}}
		element := strings.NewReplacer("[", `{"values":[`, "]", "]}").Replace(text)
		parsed, err := parse.Tags([]byte(`{"serviceResources":[{"id":4,"resourceElements":{`+element+`}}]}`), "t.json")
		if err != nil {
			t.Fatal(err)
		}
		tags.ServiceResources = parsed.ServiceResources
		zone := snapshotOf(t, `{"policies":[],"securityZones":{"z":{"zoneName":"z","resources":[{`+text+`}]}}}`)
		all := func(s *ranger.Snapshot) (list []string) {
			p := named.NewPlaces(s)
			for _, f := range slices.Concat(p.AbsentCatalogs(scope, named.ListOf([]policy.Securable{sales})), p.Absent(scope, sales, named.Listed(found)), p.Absent(scope, policy.Securable{Type: policy.Metastore}, named.Listed(found))) {
				list = append(list, string(f.Effect)+" "+f.Message)
			}
			return list
		}
		one := func(got []string, want string) {
			t.Helper()
			if len(got) > 1 || (len(got) == 0) != (want == "") || len(got) == 1 && !strings.HasPrefix(got[0], want) {
				t.Errorf("%s: %q, want %q", text, got, want)
			}
		}
		one(all(zone), c.zone)
		for items, effect := range map[string]string{allow: "narrower ", deny: "wider ", `,"isEnabled":false` + deny: ""} {
			doc, err := parse.ServicePolicies([]byte(`{"policies":[],"tagPolicies":{"serviceName":"t","policies":[{"id":1,"resources":{"tag":{"values":["PII"]}}`+items+`}]}}`), "f.json")
			if err != nil {
				t.Fatal(err)
			}
			want := effect + c.tag
			if effect == "" || c.tag == "" {
				want = ""
			}
			one(all(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: doc, Tags: tags})), want)
		}
	}
}

func TestNotManaged(t *testing.T) {
	scope, err := policy.NewScope(policy.ScopeOptions{Objects: map[policy.SecurableType]policy.Filter{policy.Catalog: {Include: []string{"sales"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		policy string
		names  []string
		effect policy.Effect
	}{
		"in scope":         {policy: on("catalog", "sales") + allow},
		"built in":         {on("catalog", "System", "schema", "x") + allow, []string{"catalog system", "keeps it itself"}, policy.EffectNarrower},
		"denied, built in": {on("catalog", "sales", "schema", "information_schema") + deny, []string{"schema information_schema"}, policy.EffectWider},
		"out of scope":     {on("catalog", "hr") + allow, []string{"catalog hr", "outside the scope"}, policy.EffectNarrower},
		"a type":           {on("connection", "*") + allow, []string{"objects of type connection"}, policy.EffectNarrower},
	} {
		check(t, name, named.NotManaged(snapshotOf(t, `{"policies":[{"id":7,`+test.policy+`}]}`), scope), test.names, test.effect)
	}
	everything, err := policy.NewScope(policy.ScopeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "shares", named.NotManaged(snapshotOf(t, `{"policies":[{"id":7,`+on("share", "q*")+allow+`}]}`), everything), []string{"share q*", "recipients"}, policy.EffectNarrower)
}

// Names in the scope that are nobody's and nothing's are findings, with the nearest name.
func TestScopeNames(t *testing.T) {
	d := directory.New(directory.Listing{Self: "1", Entries: []directory.Entry{
		{ID: "1", Kind: policy.ServicePrincipal, Name: "us"}, {ID: "2", Kind: policy.User, Name: "ann@x.com"}, {ID: "3", Kind: policy.Group, Name: "Analysts"},
	}})
	objects := []policy.Securable{{Type: policy.Schema, FullName: "sales.emea"}, {Type: policy.Table, FullName: "sales.emea.orders"}, {Type: policy.Connection, FullName: "crm"}}
	catalogs := []policy.Securable{{Type: policy.Catalog, FullName: "sales"}, {Type: policy.Catalog, FullName: "hr"}}
	type filters map[policy.SecurableType]policy.Filter
	include := func(list ...string) policy.Filter { return policy.Filter{Include: list} }
	exclude := func(list ...string) policy.Filter { return policy.Filter{Exclude: list} }
	for name, test := range map[string]struct {
		options policy.ScopeOptions
		want    string // in the only finding; "" for none
	}{
		"all there": {policy.ScopeOptions{Protected: []string{"us", "ANALYSTS", "Ann@X.com"}, Users: exclude("*@x.com"), Groups: include("Ana*", "account users"),
			Objects: filters{policy.Catalog: exclude("SALES", "h?"), policy.Schema: exclude("sales.*"), policy.Table: exclude("*.*.ord*"), policy.Connection: exclude("crm")}}, ""},
		"protected":                    {policy.ScopeOptions{Protected: []string{"Analyst"}}, `scope.protected names "Analyst"`},
		"a user among groups":          {policy.ScopeOptions{Groups: exclude("ann@x.com")}, `scope.groups.exclude names "ann@x.com"`},
		"a pattern of users":           {policy.ScopeOptions{Users: include("*@y.com")}, `scope.users.include names "*@y.com"`},
		"included in another case":     {policy.ScopeOptions{Groups: include("analysts")}, `scope.groups.include names "analysts"`},
		"a catalog":                    {policy.ScopeOptions{Objects: filters{policy.Catalog: exclude("salse")}}, "did you mean sales?"},
		"a letter of another alphabet": {policy.ScopeOptions{Objects: filters{policy.Catalog: exclude("s\u0430les")}}, "scope.catalogs.exclude"},
		"a table":                      {policy.ScopeOptions{Objects: filters{policy.Table: exclude("sales.emea.order")}}, "did you mean sales.emea.orders?"},
		"a schema of no catalog":       {policy.ScopeOptions{Objects: filters{policy.Schema: exclude("it.emea")}}, `scope.schemas.exclude names "it.emea"`},
		"in a catalog not listed":      {policy.ScopeOptions{Objects: filters{policy.Schema: exclude("hr.core")}}, ""},
		"a connection":                 {policy.ScopeOptions{Objects: filters{policy.Connection: exclude("crn")}}, "scope.connections.exclude names \"crn\""},
		"shares are not listed":        {policy.ScopeOptions{Objects: filters{policy.Share: include("s")}}, ""},
		"everything":                   {policy.ScopeOptions{Users: include("*"), Objects: filters{policy.Volume: include("*.*.*")}}, ""},
	} {
		scope, err := policy.NewScope(test.options)
		if err != nil {
			t.Fatal(err)
		}
		found := slices.Concat(named.ScopePrincipals(scope, d), named.ScopeObjects(scope, objects, catalogs, func(c policy.Securable) bool { return c.FullName == "sales" }))
		switch {
		case test.want == "" && len(found) > 0:
			t.Errorf("%s: %v, want no finding", name, found)
		case test.want != "" && (len(found) != 1 || found[0].Effect != policy.EffectNone || !strings.Contains(found[0].Message, test.want)):
			t.Errorf("%s: %v, want one that says %q", name, found, test.want)
		}
	}
	unread, err := policy.NewScope(policy.ScopeOptions{Protected: []string{"nobody"}})
	if err != nil {
		t.Fatal(err)
	}
	if found := named.ScopePrincipals(unread, &directory.Directory{}); len(found) > 0 {
		t.Errorf("the principals were not read: %v", found)
	}
}
