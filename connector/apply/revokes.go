package apply

import (
	"errors"
	"slices"

	"ucwarden/policy"
)

// Add notes in an outcome what became of the rest of its change.
func (o *Outcome) Add(later Outcome) {
	c, more := &o.Change, later.Change
	c.Add, c.Remove = append(c.Add, more.Add...), append(c.Remove, more.Remove...)
	c.AddTemporary, c.RemoveTemporary = append(c.AddTemporary, more.AddTemporary...), append(c.RemoveTemporary, more.RemoveTemporary...)
	o.Unknown, o.Gone, o.Err = append(o.Unknown, later.Unknown...), later.Gone, later.Err
}

// WaitingRevokes returns the revokes of SELECT that were held back for a grant which itself waits until filters are replaced, where that
// waits for these revokes (see [Unrevoked]), so that neither would ever come; and of which changes they are. Who keeps access by that
// grant lacks it until the table is protected.
func WaitingRevokes(changes []policy.Change, outcomes []Outcome, replaces []policy.ProtectionChange) (first []policy.Change, at []int) {
	for i, out := range outcomes {
		of := changes[i].Securable
		if !errors.Is(out.Err, ErrHeldBack) || !slices.ContainsFunc(replaces, func(c policy.ProtectionChange) bool { return of.Contains(c.Table) }) {
			continue
		}
		if slices.ContainsFunc(outcomes, func(o Outcome) bool {
			s := o.Change.Securable
			return o.Err != nil && !errors.Is(o.Err, ErrHeldBack) && (s.Contains(of) || of.Contains(s))
		}) {
			continue // it may wait for that, and access would be lost until that is made
		}
		c := changes[i].Filter(func(a policy.Assignment) bool { return leavesSelect(changes[i], out, a) })
		if c.Waits = nil; !c.Empty() {
			first, at = append(first, c), append(at, i)
		}
	}
	return first, at
}

// Unrevoked reports whether somebody still holds SELECT on a table that was to be revoked, and that the next attempt may revoke. What no
// attempt does must not keep a filter from being replaced by one that hides more from others.
func Unrevoked(changes []policy.Change, outcomes []Outcome, table policy.Securable) bool {
	for i, out := range outcomes {
		passes := policy.CodeOf(out.Err).Retryable() || errors.Is(out.Err, ErrHeldBack)
		if out.Err != nil && passes && changes[i].Securable.Contains(table) && slices.ContainsFunc(changes[i].Remove, func(a policy.Assignment) bool {
			return leavesSelect(changes[i], out, a)
		}) {
			return true
		}
	}
	return false
}

// leavesSelect reports whether an assignment is SELECT that a change was to revoke and did not. It is not where the change gives who has
// it SELECT by something else on the same object: they are to see what the new filter shows, and keep what they have until then.
func leavesSelect(planned policy.Change, out Outcome, a policy.Assignment) bool {
	return slices.Contains(planned.Remove, a) && a.Privilege.Implies(policy.Select) && !slices.Contains(out.Change.Remove, a) &&
		!slices.ContainsFunc(planned.Add, func(b policy.Assignment) bool {
			return b.Principal == a.Principal && b.Privilege.Implies(policy.Select)
		})
}
