package protect

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy/rules"
)

// Denied is who is denied SELECT on a table although a group that they are in is granted it.
type Denied struct {
	Rules []DenyRule
	// Roles are the granted groups in which somebody denied is, or may be: who acts in the role of one sees no row, since
	// it cannot be told who they are.
	Roles []string
}

// DenyRule denies persons, but for those excepted from it and those whom a policy of higher priority allows.
type DenyRule struct {
	Who      rules.SubjectSet
	Else     bool // everybody but Allowed, not Who
	Except   rules.SubjectSet
	Override []Allow // that go before the deny
	Allowed  []Allow // whom an Else does not deny
	PolicyID int64
}

// Allow is whom a policy allows: those whom it names, but for exceptions.
type Allow struct {
	Who, Except rules.SubjectSet
}

// deny adds to a filter that the denied see no row.
func (c *compilation) deny(f *function, d *Denied) error {
	roles := persons{}
	roles.sessions = append(roles.sessions, d.Roles...)
	roles.sort()
	if !roles.empty() {
		text, err := roles.SQL()
		if err != nil {
			return fmt.Errorf("the name of a granted group: %w", err)
		}
		f.add(text, "FALSE", nil)
	}
	for i := range d.Rules {
		rule := &d.Rules[i]
		text, err := c.denies(rule)
		if err != nil {
			return fmt.Errorf("policy %d denies SELECT: %w", rule.PolicyID, err)
		}
		if text == "FALSE" {
			continue
		}
		f.add(text, "FALSE", nil)
		if !slices.Contains(f.policies, rule.PolicyID) {
			f.policies = append(f.policies, rule.PolicyID)
		}
	}
	return nil
}

// denies returns whom a rule denies, as SQL.
func (c *compilation) denies(r *DenyRule) (string, error) {
	var text string
	if r.Else {
		allowed, err := c.anyOf(r.Allowed)
		if err != nil {
			return "", err
		}
		text = "NOT " + allowed
	} else {
		var err error
		if text, err = c.exactly(r.Who, true); err != nil {
			return "", err
		}
		if text, err = c.except(text, r.Except); err != nil {
			return "", err
		}
	}
	if len(r.Override) > 0 && text != "FALSE" {
		allowed, err := c.anyOf(r.Override)
		if err != nil {
			return "", err
		}
		text = "(" + text + " AND NOT " + allowed + ")"
	}
	return text, nil
}

func (c *compilation) anyOf(list []Allow) (string, error) {
	var parts []string
	for _, a := range list {
		text, err := c.exactly(a.Who, false)
		if err == nil {
			text, err = c.except(text, a.Except)
		}
		if err != nil {
			return "", err
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "FALSE", nil
	}
	return "(" + strings.Join(parts, " OR ") + ")", nil
}

// exactly returns the condition for those in a set. With members, those known to be in its groups are named too: they stay
// denied when a group is given another name, or is deleted.
func (c *compilation) exactly(who rules.SubjectSet, members bool) (string, error) {
	w, err := c.persons(who)
	if err != nil {
		return "", err
	}
	if members && !w.everyone {
		users, _ := c.usersOf(who, c.options.MaxNamed)
		for i, id := range users {
			if i == c.options.MaxNamed {
				break
			}
			c.addUser(&w, id)
		}
		w.sort()
	}
	return w.SQL()
}

func (c *compilation) except(text string, who rules.SubjectSet) (string, error) {
	if len(who) == 0 || text == "FALSE" {
		return text, nil
	}
	other, err := c.exactly(who, false)
	if err != nil {
		return "", err
	}
	return "(" + text + " AND NOT " + other + ")", nil
}
