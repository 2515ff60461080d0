package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// limits reports whether the key bounds what is changed: one that is misspelt or not understood must not be left out,
// because that would lift the bound.
func (k *Key) limits() bool {
	return k.isFilter() || strings.HasPrefix(k.Name, "scope.") || strings.HasPrefix(k.Name, "guard.") ||
		k.Name == "ondemand.eventhub.task_types" || k.Name == "ondemand.eventhub.catalogs" || k.Name == "sync.mode" || k.Name == "sync.grant_updates"
}

// isFilter reports whether the key is a list of what is managed, ignored or protected.
func (k *Key) isFilter() bool { return k.Type == TypeList && strings.HasPrefix(k.Name, "scope.") }

// limitWords are words in names of properties and variables that bound what is changed.
var limitWords = map[string]bool{
	"MANAGE": true, "MANAGED": true, "IGNORE": true, "IGNORED": true, "INCLUDE": true, "EXCLUDE": true, "SCOPE": true, "GUARD": true,
	"PROTECT": true, "PROTECTED": true, "LIST": true, "UPDATES": true, "REVOKE": true, "REVOKES": true, "FILTER": true,
}

// withoutEffect are properties of policy managers that hold one of these words, and are for parts that are not built.
var withoutEffect = map[string]bool{
	property("ENABLE_ROW_FILTER"): true, property("ENABLE_VIEW_BASED_ROW_FILTER"): true,
	property("MANAGE_ENTITY_PREFIX"): true, property("MANAGE_GROUP_POLICY_ONLY"): true,
}

// others are products whose connectors write properties of the same form; theirs bound nothing here.
var others = map[string]bool{
	"SNOWFLAKE": true, "REDSHIFT": true, "POSTGRES": true, "POSTGRESQL": true, "MSSQL": true, "BIGQUERY": true, "ATHENA": true, "LAKEFORMATION": true,
	"STARBURST": true, "TRINO": true, "VERTICA": true, "ORACLE": true, "S3": true, "ADLS": true, "GBQ": true, "POWERBI": true, "SYNAPSE": true,
}

// looksLikeLimit reports whether an unknown name probably bounds what is changed: it is nearly the name of a key that does,
// or holds a word that such names hold. near is the nearest name of such a key.
func looksLikeLimit(name, prefix string, known map[string]*Key) (near string, looks bool) {
	if withoutEffect[name] {
		return "", false
	}
	var names []string
	for _, n := range slices.Sorted(maps.Keys(known)) {
		if known[n].limits() {
			names = append(names, n)
		}
	}
	near, distance := nearest(name, names)
	rest := strings.TrimPrefix(name, prefix)
	if isNearMiss(rest, distance) {
		return near, true
	}
	words := strings.Split(rest, "_")
	if prefix == propertyPrefix && others[words[0]] {
		return near, false
	}
	return near, slices.ContainsFunc(words, func(w string) bool { return limitWords[w] })
}

// refuseLimit adds the problem of an unknown name that looks like a limit.
func (l *loader) refuseLimit(name, near string, from Source) {
	l.problems.add(name, from, "unknown, and it looks like a bound of what is changed, which would not be in force; did you mean %s?", near)
}

// filterProblem returns what is wrong with a list of what is managed, ignored or protected; "" for nothing.
func (k *Key) filterProblem(r rawValue, items []string) string {
	given := r.isList && len(r.list) > 0 || !r.isList && r.text != ""
	if given && len(items) == 0 {
		return "holds blanks and separators alone, so it names nothing; name something, or remove it"
	}
	if len(items) == 1 {
		if _, problem := parseText(Key{Type: TypeBool}, items[0]); problem == "" && items[0] != "0" && items[0] != "1" {
			return fmt.Sprintf("%s is a switch, and a list of names is wanted; name something, or remove it", quote(items[0]))
		}
	}
	for _, item := range items {
		if problem := k.nameProblem(item); problem != "" {
			return fmt.Sprintf("%s cannot be a name: %s", quote(item), problem)
		}
	}
	return ""
}

// kindPrefixes are kinds of principals as other products write them before a name.
var kindPrefixes = []string{"user", "users", "group", "groups", "role", "roles", "service_principal", "serviceprincipal", "service principal"}

// principalProblem returns what is wrong with the name, or pattern, of a principal; "" for nothing.
func (k *Key) principalProblem(item string) string {
	if kind, name, found := strings.Cut(item, ":"); found && slices.Contains(kindPrefixes, strings.ToLower(strings.TrimSpace(kind))) {
		return fmt.Sprintf("names stand alone, without their kind; write %s", quote(strings.TrimSpace(name)))
	}
	if k.Name == "scope.protected" && strings.ContainsAny(item, "*?") {
		return "principals are protected by their exact names; patterns go under scope.users.exclude, scope.groups.exclude or scope.roles.exclude"
	}
	return ""
}

// depths are how many names the full name of an object has, by section; those not listed have one.
var depths = map[string]int{"schemas": 2, "tables": 3, "functions": 3, "volumes": 3}

func (k *Key) nameProblem(item string) string {
	for _, r := range item {
		if unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return fmt.Sprintf("it holds an invisible character (%U); type the name anew", r)
		}
		if unicode.IsControl(r) || strings.ContainsRune("\";[]{}", r) {
			return fmt.Sprintf("it holds %q; separate names by commas, without quotes or brackets", r)
		}
	}
	section := strings.Split(k.Name, ".")[1]
	switch {
	case section == "privileges" && strings.Contains(item, ","):
		return "it holds a comma; write each privilege as an item of its own"
	case section == "privileges":
		return ""
	case !slices.Contains(scopeObjectTypes, section):
		return k.principalProblem(item)
	case strings.Contains(item, ","):
		return "it holds a comma; write each name as an item of its own"
	}
	if strings.ContainsAny(item, "'/ \t") {
		return "no name in Unity Catalog holds quotes, slashes or blanks; separate names by commas"
	}
	depth := max(depths[section], 1)
	parts := strings.Split(item, ".")
	switch {
	case item == "*": // all, as policy managers write it
	case len(parts) != depth && depth == 1:
		return "it holds a dot; " + strings.ReplaceAll(section, "_", " ") + " have one name"
	case len(parts) != depth:
		return fmt.Sprintf("%s have %d names joined by dots", section, depth)
	case slices.Contains(parts, ""):
		return "one of its names is empty"
	}
	return ""
}
