package protect

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ucwarden/policy/naming"
	"ucwarden/policy/rules"
	"ucwarden/policy/sqlexpr"
)

var (
	userAttribute = regexp.MustCompile(`^USER\.([A-Za-z_][A-Za-z0-9_]*)$`)
	plainNumber   = regexp.MustCompile(`^-?\d{1,18}(\.\d{1,18})?$`)
)

// attribute is a macro of an expression: what it stands for, by user.
type attribute struct {
	values  map[string]string // by name of the user, in lower case
	numbers bool
}

// parse reads an expression of a branch, with the macros in it.
func (c *compilation) parse(b *branch, text string, o sqlexpr.Options) (*sqlexpr.Expr, map[string]*attribute, error) {
	found := make(map[string]*attribute)
	o.Macros = func(source string) (sqlexpr.Kind, error) {
		a := found[source]
		if a == nil {
			var err error
			if a, err = c.attribute(b, source); err != nil {
				return 0, err
			}
			found[source] = a
		}
		if a.numbers {
			return sqlexpr.Number, nil
		}
		return sqlexpr.String, nil
	}
	e, err := sqlexpr.Parse(text, o)
	return e, found, err
}

// attribute returns what a macro stands for, by each user whom the branch may be for.
func (c *compilation) attribute(b *branch, source string) (*attribute, error) {
	m := userAttribute.FindStringSubmatch(source)
	if m == nil {
		return nil, errors.New("only ${{USER.attribute}} is")
	}
	a := &attribute{values: make(map[string]string), numbers: true}
	store := c.set.Snapshot.Users
	if store == nil {
		return nil, errors.New("there is no user store that attributes of users could come from")
	}
	users, all := c.usersOf(b.item.Who, c.options.MaxNamed)
	for _, name := range slices.Sorted(maps.Keys(store.UserAttrMapping)) {
		value, ok := store.UserAttrMapping[name][m[1]]
		if !ok {
			continue
		}
		id := c.set.Subjects.ID(rules.SubjectUser, name)
		if all && !slices.Contains(users, id) {
			continue
		}
		for _, spelled := range c.sessionNames(id, name) {
			if other, twice := a.values[spelled]; twice && other != value {
				return nil, fmt.Errorf("user %q has it with two values", spelled)
			}
			a.values[spelled] = value
		}
		a.numbers = a.numbers && plainNumber.MatchString(value)
		if len(a.values) > c.options.MaxNamed {
			return nil, fmt.Errorf("more than %d users have it; write the filter by a group", c.options.MaxNamed)
		}
	}
	a.numbers = a.numbers && len(a.values) > 0
	return a, nil
}

// sessionNames returns the names that a user of the policies may have in a session, in lower case.
func (p *Protector) sessionNames(id rules.SubjectID, name string) []string {
	var w persons
	if id == rules.NoSubject {
		w.addUser(p.set.Subjects.PrincipalOf(rules.SubjectUser, name).Name)
	} else {
		p.addUser(&w, id)
	}
	w.sort()
	return w.users
}

// env returns what the text of an expression is built with.
func (c *compilation) env(b *branch, e *sqlexpr.Expr, macros map[string]*attribute, columns *parameters) (sqlexpr.Env, error) {
	env := sqlexpr.Env{Column: columns.of, User: "session_user()"}
	written := make(map[string]string)
	for source, a := range macros {
		text, err := a.SQL()
		if err != nil {
			return env, err
		}
		written[source] = text
	}
	env.Macro = func(source string) string { return written[source] }
	if c.mapped && e.NamesUser() {
		users, err := c.shortNames(b)
		if err != nil {
			return env, err
		}
		env.User = users
	}
	return env, nil
}

// maxWritten bounds the bytes of SQL of an expression: a statement takes 16 MiB, and a macro is written with all users as often as it is
// named.
const maxWritten = 2 << 20

// write returns an expression as SQL; it is an error where that is too long with what its macros stand for.
func write(e *sqlexpr.Expr, env sqlexpr.Env) (string, error) {
	if e.Length(env) > maxWritten {
		return "", fmt.Errorf("with all users that its macros know it becomes more than %d bytes of SQL; name a macro less often, or write it by groups", maxWritten)
	}
	return e.SQL(env), nil
}

// SQL returns the value for who asks: NULL for whom none is known.
func (a *attribute) SQL() (string, error) {
	if len(a.values) == 0 {
		return "CAST(NULL AS STRING)", nil
	}
	var b strings.Builder
	b.WriteString("CASE lower(session_user())")
	for _, user := range slices.Sorted(maps.Keys(a.values)) {
		name, err := sqlexpr.Literal(user)
		if err != nil {
			return "", err
		}
		value := a.values[user]
		if !a.numbers {
			if value, err = sqlexpr.Literal(value); err != nil {
				return "", err
			}
		}
		b.WriteString(" WHEN " + name + " THEN " + value)
	}
	b.WriteString(" END")
	return b.String(), nil
}

// shortNames returns, as SQL, the name that policies know who asks by, where that is not the one of the session.
func (c *compilation) shortNames(b *branch) (string, error) {
	a := &attribute{values: make(map[string]string)}
	users, all := c.usersOf(b.item.Who, c.options.MaxNamed)
	for _, short := range slices.Sorted(maps.Keys(c.set.Snapshot.Users.UserCloudIDMapping)) {
		id := c.set.Subjects.ID(rules.SubjectUser, short)
		if all && !slices.Contains(users, id) {
			continue
		}
		for _, spelled := range c.sessionNames(id, short) {
			if !strings.EqualFold(spelled, short) {
				a.values[spelled] = naming.Canonical(short)
			}
		}
	}
	if len(a.values) > c.options.MaxNamed {
		return "", fmt.Errorf("it names who asks, and policies know more than %d users by other names than the workspace; write the filter by a group", c.options.MaxNamed)
	}
	if len(a.values) == 0 {
		return "session_user()", nil
	}
	text, err := a.SQL()
	return strings.TrimSuffix(text, " END") + " ELSE session_user() END", err
}
