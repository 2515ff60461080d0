package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// What documents are made of. There are few of each, so that policies meet often.
var (
	paths = [][]string{
		{"catalog", "schema", "table", "column"}, {"catalog", "schema", "table", "column"}, {"catalog", "schema", "table", "column"},
		{"catalog", "schema", "volume"}, {"external_location"},
	}
	maskPath, filterPath = paths[0], paths[0][:3]

	accesses = []string{"select", "modify", "use_catalog", "manage", "all_privileges"}
	names    = []string{"sales", "Sales", "hr", "s1", "ann"}
	patterns = []string{"sales", "hr", "s1", "*", "*", "*", "*", "s*", "?r", "*s", "sal?s", "{USER}", "{OWNER}", "${{USER.dept}}", "**", "?*"}
	masks    = []string{"MASK", "MASK_HASH", "MASK_NULL", "MASK_NONE", "CUSTOM"}
	filters  = []string{"a = 1", "u = '{USER}'", "d = '${{USER.dept}}'", ""}
	users    = []string{"ann", "bob", "cat"}
	groups   = []string{"g1", "g2"}
	roles    = []string{"r1", "r2", "r3"}
	tags     = []string{"PII", "PCI", "pii"}
	zones    = []string{"z1", "z2"}
	matches  = []string{"SELF", "SELF", "DESCENDANT", "ANCESTOR", "SELF_AND_ALL_DESCENDANTS"}
)

// times are when requests are made, and where validities begin and end.
var times = func() (list []time.Time) {
	for _, hours := range []int{0, 9, 14, 30, 2000, 4000} {
		list = append(list, time.Date(2026, 1, 1, 0, 17, 0, 0, time.UTC).Add(time.Duration(hours)*time.Hour))
	}
	return list
}()

// object is a JSON object.
type object map[string]any

// generator makes random documents. The same seed makes the same documents.
type generator struct {
	*rand.Rand
	policies int // in the document under way
}

// generate writes documents with so many requests each, one a line.
func generate(out io.Writer, seed uint64, documents, requests int) error {
	g := generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	encoder := json.NewEncoder(out)
	for n := range documents {
		if err := encoder.Encode(g.document(n, requests)); err != nil {
			return err
		}
	}
	return nil
}

func (g *generator) chance(p float64) bool { return g.Float64() < p }

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

// some returns from lo to hi different members of a list.
func some(g *generator, list []string, lo, hi int) []string {
	chosen := slices.Clone(list)
	g.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen[:min(len(chosen), lo+g.IntN(hi-lo+1))]
}

func (g *generator) document(id, requests int) object {
	g.policies = 0
	protected, tagged, zoned := g.chance(0.3), g.chance(0.6), g.chance(0.2)
	policyType := func() int {
		if protected {
			return pick(g, []int{0, 0, 1, 1, 2})
		}
		return 0
	}
	list := func(lo, hi int, make func() object) []object {
		policies := []object{}
		for range lo + g.IntN(hi-lo+1) {
			policies = append(policies, make())
		}
		return policies
	}
	suite := object{"serviceName": "svc", "serviceDef": "uc"}
	suite["policies"] = list(0, 5, func() object { return g.resourcePolicy(policyType(), "") })
	inZones := []string{""}
	if zoned {
		byName := object{}
		for _, name := range some(g, zones, 1, 2) {
			inZones = append(inZones, name)
			var within []map[string][]string
			for range 1 + g.IntN(2) {
				values := map[string][]string{}
				for level, r := range g.resources(pick(g, paths), false) {
					values[level] = r.(object)["values"].([]string)
				}
				within = append(within, values)
			}
			byName[name] = object{"zoneName": name, "resources": within, "containsAssociatedTagService": g.chance(0.4),
				"policies": list(0, 3, func() object { return g.resourcePolicy(policyType(), name) })}
		}
		suite["securityZones"] = byName
	}
	d := object{"id": id, "suite": suite, "kinds": []string{"access"}}
	if protected {
		d["kinds"] = []string{"access", "mask", "filter"}
	}
	stored := tagged && g.chance(0.4)
	if tagged {
		suite["tagPolicyInfo"] = object{"serviceName": "tagsvc", "serviceDef": "tag-uc",
			"tagPolicies": list(1, 5, func() object { return g.tagPolicy(policyType(), pick(g, inZones)) })}
	}
	if stored {
		d["serviceTags"] = g.serviceTags()
	}
	d["roles"] = g.serviceRoles()
	var asked []object
	for range requests {
		asked = append(asked, g.request(tagged && !stored))
	}
	d["requests"] = asked
	return d
}

// resources names what a policy, a zone or a tag is about: the first levels of a path, mostly all of them.
func (g *generator) resources(path []string, whole bool) object {
	if !whole && g.chance(0.4) {
		path = path[:1+g.IntN(len(path))]
	}
	r := object{}
	for _, level := range path {
		var values []string
		for range pick(g, []int{1, 1, 1, 2}) {
			if v := pick(g, patterns); !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		r[level] = object{"values": values, "isExcludes": g.chance(0.08), "isRecursive": g.chance(0.05)}
	}
	return r
}

func (g *generator) resourcePolicy(policyType int, zone string) object {
	path, whole := pick(g, paths), false
	switch policyType {
	case 1:
		path, whole = maskPath, true
	case 2:
		path, whole = filterPath, true
	}
	p := g.policy(policyType, zone, false)
	p["resources"] = g.resources(path, whole)
	if g.chance(0.12) {
		p["additionalResources"] = []object{g.resources(path, whole)}
	}
	return p
}

func (g *generator) tagPolicy(policyType int, zone string) object {
	p := g.policy(policyType, zone, true)
	p["resources"] = object{"tag": object{"values": some(g, append([]string{"P*", "*"}, tags...), 1, 2)}}
	return p
}

func (g *generator) policy(policyType int, zone string, onTags bool) object {
	g.policies++
	p := object{"id": g.policies, "name": fmt.Sprintf("p%05d", g.IntN(100000)), "isEnabled": !g.chance(0.04),
		"policyType": policyType, "isAuditEnabled": true, "service": "svc"}
	if g.chance(0.4) {
		p["policyPriority"] = 1
	}
	if g.chance(0.12) {
		p["validitySchedules"] = []object{g.schedule()}
	}
	if zone != "" {
		p["zoneName"] = zone
	}
	items := func(chance float64, most int, make func() object) []object {
		list := []object{}
		if g.chance(chance) {
			for range 1 + g.IntN(most) {
				list = append(list, make())
			}
		}
		return list
	}
	item := func() object { return g.item(onTags, some(g, accesses, 1, 2)) }
	protection := func() object { return g.item(onTags, []string{"select"}) }
	switch policyType {
	case 1:
		p["dataMaskPolicyItems"] = items(0.95, 2, func() object {
			i, mask := protection(), object{"dataMaskType": g.scoped(onTags, pick(g, masks))}
			if g.chance(0.3) {
				mask["valueExpr"] = pick(g, []string{"f({col})", "'{USER}'", "${{USER.dept}}"})
			}
			i["dataMaskInfo"] = mask
			return i
		})
	case 2:
		p["rowFilterPolicyItems"] = items(0.95, 2, func() object {
			i := protection()
			i["rowFilterInfo"] = object{"filterExpr": pick(g, filters)}
			return i
		})
	default:
		p["policyItems"], p["allowExceptions"] = items(0.75, 2, item), items(0.2, 1, item)
		p["denyPolicyItems"], p["denyExceptions"] = items(0.35, 2, item), items(0.2, 1, item)
	}
	if g.chance(0.06) {
		p["isDenyAllElse"] = true
	}
	return p
}

// scoped is an access type or mask as policies write it: with its service, if they are on tags.
func (g *generator) scoped(onTags bool, name string) string {
	if onTags && !g.chance(0.02) {
		return "databricks-unity-catalog:" + name
	}
	return name
}

func (g *generator) item(onTags bool, types []string) object {
	list := []object{}
	for _, name := range types {
		list = append(list, object{"type": g.scoped(onTags, name), "isAllowed": !g.chance(0.04)})
	}
	switch {
	case g.chance(0.04):
		list = []object{}
	case onTags && g.chance(0.06):
		list = []object{{"type": "other:select", "isAllowed": true}}
	}
	i := object{"accesses": list, "users": []string{}, "groups": []string{}, "roles": []string{}}
	switch g.IntN(10) {
	case 0, 1, 2:
		i["users"] = some(g, users, 1, 2)
	case 3:
		i["users"] = []string{pick(g, []string{"{USER}", "{OWNER}"})}
	case 4, 5:
		i["groups"] = some(g, groups, 1, 2)
	case 6, 7:
		i["groups"] = []string{"public"}
	case 8:
		i["roles"] = some(g, roles, 1, 2)
	}
	if g.chance(0.1) {
		i["delegateAdmin"] = true
	}
	return i
}

// schedule is a validity, which may recur.
func (g *generator) schedule() object {
	const layout = "2006/01/02 15:04:05"
	from, until := g.IntN(len(times)), g.IntN(len(times))
	if from > until {
		from, until = until, from
	}
	s := object{"timeZone": pick(g, []string{"", "UTC", "UTC", "America/New_York", "Asia/Kolkata", "Europe/Berlin"})}
	if g.chance(0.3) {
		s["recurrences"] = []object{{
			"schedule": object{"minute": pick(g, []string{"0", "0,30", "*"}), "hour": pick(g, []string{"*", "0-8", "0,9"}),
				"dayOfMonth": pick(g, []string{"*", "1-15", "1"}), "dayOfWeek": pick(g, []string{"*", "2-6", "1,7"}), "month": pick(g, []string{"*", "1-6"}),
				"year": pick(g, []string{"*", "2026", "2025-2027"})},
			"interval": object{"days": pick(g, []int{0, 1}), "hours": pick(g, []int{1, 8}), "minutes": pick(g, []int{0, 30})},
		}}
	}
	if g.chance(0.8) {
		s["startTime"] = times[from].Format(layout)
	}
	if g.chance(0.8) {
		s["endTime"] = times[until].Format(layout)
	}
	return s
}

func (g *generator) serviceTags() object {
	byID, resources, tagsOf := object{}, []object{}, object{}
	var ids []string
	for i := range 1 + g.IntN(3) {
		tag := object{"id": i + 1, "type": pick(g, tags), "attributes": object{}, "owner": 0}
		if g.chance(0.2) {
			tag["validityPeriods"] = []object{g.schedule()}
		}
		ids = append(ids, fmt.Sprint(i+1))
		byID[ids[i]] = tag
	}
	for i := range 1 + g.IntN(4) {
		path, elements := pick(g, paths), object{}
		for _, level := range path[:1+g.IntN(len(path))] {
			elements[level] = object{"values": []string{pick(g, append([]string{"s*", "*"}, names...))}, "isExcludes": false, "isRecursive": false}
		}
		resources = append(resources, object{"id": i + 1, "serviceName": "svc", "resourceElements": elements})
		var held []json.Number
		for _, id := range some(g, ids, 1, 2) {
			held = append(held, json.Number(id))
		}
		tagsOf[fmt.Sprint(i+1)] = held
	}
	return object{"op": "add_or_update", "serviceName": "svc", "tagVersion": 1, "tagDefinitions": object{},
		"tags": byID, "serviceResources": resources, "resourceToTagIds": tagsOf}
}

// serviceRoles gives roles members; a role is a member of later ones only.
func (g *generator) serviceRoles() object {
	list := []object{}
	members := func(names []string) []object {
		m := []object{}
		for _, name := range names {
			m = append(m, object{"name": name, "isAdmin": false})
		}
		return m
	}
	for i, name := range roles {
		list = append(list, object{"name": name, "users": members(some(g, users, 0, 1)), "groups": members(some(g, groups, 0, 1)),
			"roles": members(some(g, roles[i+1:], 0, 1))})
	}
	return object{"serviceName": "svc", "roleVersion": 1, "rangerRoles": list}
}

func (g *generator) request(withTags bool) object {
	path := pick(g, paths)
	depth := len(path)
	if g.chance(0.3) {
		depth = g.IntN(len(path) + 1)
	}
	elements := object{}
	for _, level := range path[:depth] {
		switch {
		case g.chance(0.02):
			elements[level] = pick(g, []string{"*", "", "SALES", "s"})
		case g.chance(0.015):
			elements[level] = some(g, names, 2, 2)
		default:
			elements[level] = pick(g, names)
		}
	}
	resource := object{"elements": elements}
	if g.chance(0.3) {
		resource["ownerUser"] = pick(g, users)
	}
	r := object{"resource": resource, "accessType": pick(g, accesses), "user": pick(g, users), "userGroups": some(g, groups, 0, 2), "accessTime": pick(g, times).UnixMilli()}
	if g.chance(0.15) {
		r["accessType"] = pick(g, []string{"", "_any", "_admin"})
	}
	if g.chance(0.08) {
		r["resourceMatchingScope"] = "SELF_OR_DESCENDANTS"
	}
	if g.chance(0.08) {
		r["ignoreDescendantDeny"] = false
	}
	if g.chance(0.05) {
		r["userRoles"] = some(g, roles, 1, 2)
	}
	if g.chance(0.4) {
		r["userAttributes"] = object{pick(g, users): object{"dept": pick(g, names)}}
	}
	context := object{}
	if withTags && g.chance(0.85) {
		var list []object
		for _, name := range some(g, tags, 1, 3) {
			tag := object{"type": name, "attributes": object{}}
			if g.chance(0.3) {
				tag["matchType"] = pick(g, matches)
			}
			list = append(list, tag)
		}
		text, _ := json.Marshal(list) // texts alone cannot fail
		context["TAGS"] = string(text)
	}
	if g.chance(0.05) {
		several := some(g, accesses, 2, 3)
		context["ALLACCESSTYPES"] = several
		switch g.IntN(4) {
		case 0:
			context["ISANYACCESS"] = true
		case 1, 2:
			var each [][]string
			for _, name := range several {
				each = append(each, []string{name})
			}
			context["ALLACCESSTYPEGROUPS"] = each
		}
	}
	if len(context) > 0 {
		r["context"] = context
	}
	return r
}
