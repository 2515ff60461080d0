package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"ucwarden/input"
	"ucwarden/policy/naming"
)

// PrivilegeFilter says which privileges are managed on one type of securable. Names are those of Unity Catalog, in any
// case, with blanks or '_' between words; '*' and '?' make patterns of them. Exclude wins.
type PrivilegeFilter struct {
	Include []string // these alone, instead of the privileges that this version knows
	Add     []string // these too, which is how a privilege that is newer than this version is asked for
	Exclude []string // never these
}

// privilegeFilter is a compiled PrivilegeFilter.
type privilegeFilter struct{ include, add, exclude []naming.Pattern }

func matchAny(patterns []naming.Pattern, p Privilege) bool {
	return slices.ContainsFunc(patterns, func(pattern naming.Pattern) bool { return pattern.Match(string(p)) })
}

var privilegeName = regexp.MustCompile(`^[A-Z*?][A-Z0-9_*?]*$`)

// compilePrivileges compiles the filters. Errors name the setting by its key.
func compilePrivileges(filters map[SecurableType]PrivilegeFilter) (map[SecurableType]privilegeFilter, error) {
	var compiled map[SecurableType]privilegeFilter
	for t, f := range filters {
		if t.Depth() == 0 {
			return nil, Errorf(CodeInvalid, "scope.privileges: unknown securable type %q", t)
		}
		var c privilegeFilter
		for _, list := range []struct {
			key   string
			texts []string
			to    *[]naming.Pattern
		}{{"include", f.Include, &c.include}, {"add", f.Add, &c.add}, {"exclude", f.Exclude, &c.exclude}} {
			for _, text := range list.texts {
				p := normalizePrivilege(text)
				if problem := privilegeProblem(p); problem != "" {
					return nil, Errorf(CodeInvalid, "scope.privileges.%s.%s: %s", strings.ToLower(string(t)), list.key, problem)
				}
				*list.to = append(*list.to, naming.NewPattern(string(p), true, false))
			}
		}
		if len(c.include)+len(c.add)+len(c.exclude) > 0 {
			if compiled == nil {
				compiled = make(map[SecurableType]privilegeFilter)
			}
			compiled[t] = c
		}
	}
	return compiled, nil
}

// normalizePrivilege returns a privilege's name as the API spells it, whatever case and whether blanks or '_' are between
// its words.
func normalizePrivilege(text string) Privilege {
	return Privilege(strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(text)), " ", "_"))
}

// privilegeProblem returns what is wrong with a privilege that a filter names; "" for nothing. A name that this version
// does not know is right, unless it is probably a misspelling: a limit must not be lost by one.
func privilegeProblem(p Privilege) string {
	if !privilegeName.MatchString(string(p)) {
		return fmt.Sprintf("%q cannot be the name of a privilege", p)
	}
	if p.Set() != 0 || strings.ContainsAny(string(p), "*?") || slices.Contains(oldPrivileges, p) {
		return ""
	}
	known := make([]string, len(privilegeList))
	for i, k := range privilegeList {
		known[i] = string(k)
	}
	if meant := input.Misspelt(string(p), known); meant != "" {
		return fmt.Sprintf("unknown privilege %s; did you mean %s?", p, meant)
	}
	return ""
}

// oldPrivileges are kept where they stand and never granted.
var oldPrivileges = []Privilege{"USAGE", "CREATE", "READ_PRIVATE_FILES", "WRITE_PRIVATE_FILES", "EXECUTE_CLEAN_ROOM_TASK", "MODIFY_CLEAN_ROOM"}

const notManaged = "this version does not manage that privilege"

// LeavesAlone returns why grants of p on securables of type t are neither made nor taken away; "" where they are managed.
func (s Scope) LeavesAlone(t SecurableType, p Privilege) string {
	f, found := s.privileges[t]
	known := p.Set()&DefaultPrivilegeSet != 0
	if !found {
		if known {
			return ""
		}
		return notManaged
	}
	key := "scope.privileges." + strings.ToLower(string(t))
	switch {
	case matchAny(f.exclude, p):
		return key + ".exclude names it"
	case matchAny(f.add, p), matchAny(f.include, p), known && len(f.include) == 0:
		return ""
	case len(f.include) > 0:
		return key + ".include does not name it"
	}
	return notManaged
}

// Keeps returns why a grant of p on a securable of type t that no policy asks for is not revoked; "" where it is. What
// policies cannot express, by expresses, is not revoked, unless the scope asks for it by name. A nil expresses reports true
// for everything.
func (s Scope) Keeps(t SecurableType, p Privilege, expresses func(SecurableType, Privilege) bool) string {
	if why := s.LeavesAlone(t, p); why != "" {
		return why
	}
	if expresses == nil || p.Set()&DefaultPrivilegeSet == 0 || expresses(t, p) {
		return ""
	}
	return "the service definition has no access type for it"
}

// MorePrivileges returns the privileges that are managed on a type because the scope asks for them.
func (s Scope) MorePrivileges(t SecurableType) PrivilegeSet {
	return s.privilegesOn(t, AllPrivilegeSet&^DefaultPrivilegeSet, func(why string) bool { return why == "" })
}

// ExcludedPrivileges returns the privileges that would be managed on a type, or could be, and are not because the scope
// says so.
func (s Scope) ExcludedPrivileges(t SecurableType) PrivilegeSet {
	return s.privilegesOn(t, AllPrivilegeSet, func(why string) bool { return why != "" && why != notManaged })
}

func (s Scope) privilegesOn(t SecurableType, of PrivilegeSet, match func(why string) bool) PrivilegeSet {
	if _, found := s.privileges[t]; !found {
		return 0
	}
	return of.filter(func(p Privilege) bool {
		return (slices.Contains(Privileges(t, ""), p) || slices.Contains(morePrivileges(t), p)) && match(s.LeavesAlone(t, p))
	})
}
