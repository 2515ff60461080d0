package protect

import (
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/attach"
	"ucwarden/policy/rules"
	"ucwarden/policy/sqlexpr"
)

// A function names who is known to be in a group besides the group, so that they stay bound once it has another name. Until then the
// group's name binds them, so nothing depends on that those who join it are named at once: with every function made anew for each of
// them, who joins a group would cost two statements for each table that is filtered by it. Who leaves it has to be named no longer.

// namedMembers is which members of groups a function names.
type namedMembers struct {
	some    bool   // there are members to be named
	in      string // the body of the function that names those who are named; empty names all
	tooMany bool   // more of a group than few are not named
}

// fewUnnamed is the part of a group's members that a function may leave out: one in ten.
const fewUnnamed = 10

// nameMembers names who is known to be in the groups and roles of a set besides.
func (c *compilation) nameMembers(w *persons, who rules.SubjectSet) {
	if c.options.NameMembers <= 0 || w.everyone {
		return
	}
	for _, id := range who {
		users, _ := c.memberNames(id)
		if len(users) > c.options.NameMembers {
			continue
		}
		unnamed := 0
		for _, user := range users {
			if c.joined.in != "" {
				if name, err := sqlexpr.Literal(user); err == nil && !strings.Contains(c.joined.in, name) {
					unnamed++
					continue
				}
			}
			w.users = append(w.users, user)
		}
		c.joined.some = c.joined.some || len(users) > 0
		c.joined.tooMany = c.joined.tooMany || unnamed*fewUnnamed > len(users)
	}
	w.sort()
}

// settle makes a function by compile. Where the table carries one that names all but a few of the members that it would, and does the
// same otherwise, it is that one.
func (c *compilation) settle(have *policy.Attached, compile func() (policy.SQLFunction, []policy.Argument, error)) (policy.SQLFunction, []policy.Argument, error) {
	c.joined = namedMembers{}
	fn, arguments, err := compile()
	if err != nil || fn.Name == "" || !c.joined.some || have == nil || attach.IsRevision(have.Function, fn.Name) {
		return fn, arguments, err
	}
	c.joined = namedMembers{in: c.functions[have.Function].Body}
	if c.joined.in == "" {
		return fn, arguments, nil
	}
	same, sameArguments, err := compile()
	if err != nil || c.joined.tooMany || !attach.IsRevision(have.Function, same.Name) {
		return fn, arguments, nil //nolint:nilerr // what was made before holds
	}
	return same, sameArguments, nil
}
