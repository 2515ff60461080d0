package tasks

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/load"
	"ucwarden/connector/protection"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// maxRecordedChanges bounds what one resource's result keeps of its changes.
const maxRecordedChanges = 1000

// maxNamedUnread bounds how many of the objects that could not be looked at, and of the policies that are not in force, a
// message names.
const maxNamedUnread = 5

// concerns reports whether a change on s is part of syncing root: on it, inside it, or on a container above it.
func concerns(root, s policy.Securable) bool {
	if root.Type == policy.Metastore && root.FullName == "" {
		return s.Type.Depth() == 1 && s.Type != policy.Catalog
	}
	return root.Contains(s) || s.Contains(root)
}

// about says how a resource came to be synced.
type about struct {
	alone bool // the sync was about no other
	asked bool // somebody named it; it is not a part of a sync of everything
}

// resourceResult returns what the result of a sync says about one resource, which names root. What we may not see is named
// and fails nothing, wherever it stands; but whoever asks for it itself is told that it was not done. So is a table that others keep from
// being protected: what a sync can do, which is to close it, was done.
func resourceResult(r ondemand.Resource, root policy.Securable, result *connector.Result, how about) ondemand.ResourceResult {
	out := ondemand.ResourceResult{Type: r.Type, Values: r.Values, Status: ondemand.Success}
	if slices.Contains(result.Missing, root) {
		out.Status, out.Message = ondemand.Skipped, "not found in Unity Catalog"
		return out
	}
	for _, skipped := range result.Skipped {
		if skipped.Securable == root {
			out.Status, out.Message = ondemand.Skipped, "not synced: "+skipped.Reason
			return out
		}
	}
	t := sum(root, result)
	if how.alone {
		t.notRevoked = result.Plan.Totals.NotRevoked
	}
	t.notInForce = result.NotInForce
	for _, p := range result.LeftOut {
		t.unknown[p] = true
	}
	for _, left := range result.Unread {
		if concernsUnread(root, left.Securable) {
			t.leave(left)
			t.unreadFails = t.unreadFails || how.asked && left.Securable == root || left.Code != policy.CodeForbidden
		}
	}
	for _, left := range result.Unprotected {
		if concerns(root, left.Securable) {
			t.leave(left)
		}
	}
	t.pending = len(result.Pending) > 0
	for _, c := range result.Conflicts {
		if !concerns(root, c.Table) {
			continue
		}
		t.conflicts = append(t.conflicts, c)
		t.conflictFails = t.conflictFails || c.Closed && how.asked && c.Table == root
	}
	for _, g := range result.Plan.Waiting {
		if concerns(root, g.Securable) {
			t.waiting = append(t.waiting, g)
		}
	}
	out.Message = t.message()
	if t.observed {
		out.WouldChange = t.recorded
	} else {
		out.Changes = t.recorded
	}
	if t.failed > 0 || t.unreadFails || t.conflictFails || len(t.unprotected) > 0 {
		out.Status = ondemand.Failed
	}
	return out
}

// concernsUnread reports whether what could not be looked at is part of syncing root. A type of root objects stands there
// without a name.
func concernsUnread(root, s policy.Securable) bool {
	return concerns(root, s) || root.FullName == "" && s.FullName == ""
}

// totals add up the changes that concern one resource.
type totals struct {
	observed      bool // nothing was applied: what is counted would be changed
	adds, removes int
	notRevoked    int // grants that the mode leaves although no policy asks for them
	changed       map[policy.Securable]bool
	protected     int                       // tables whose row filters and masks were set or lifted
	unknown       map[policy.Principal]bool // not granted to, because the account does not know them
	unread        []load.LeftOut            // what could not be looked at
	unreadFails   bool                      // and is more than what we may not see
	unprotected   []load.LeftOut            // tables whose row filters and masks could not be set
	waiting       []policy.Grant            // not granted yet
	pending       bool                      // they, or some of them, are left to a task of their own
	conflicts     []protection.Conflict     // at odds with others, or with what tables are
	conflictFails bool                      // the table that was asked for is not protected because of one
	failed        int
	failure       error            // the first, of those that are not the consequence of another
	failedOn      policy.Securable // its securable
	heldBack      int              // of failed, those that are
	notInForce    []string         // policies and files of them
	recorded      []ondemand.Change
	unrecorded    bool // recorded is not all
}

// leave notes what was left out. A table that could not be protected fails whatever the reason is: it was to be.
func (t *totals) leave(left load.LeftOut) {
	if !left.Unprotected {
		t.unread = append(t.unread, left)
	} else if !slices.ContainsFunc(t.unprotected, func(l load.LeftOut) bool { return l.Securable == left.Securable }) {
		t.unprotected = append(t.unprotected, left)
	}
}

func newTotals(result *connector.Result) totals {
	return totals{observed: result.Outcomes == nil, changed: make(map[policy.Securable]bool), unknown: make(map[policy.Principal]bool)}
}

func sum(root policy.Securable, result *connector.Result) totals {
	t := newTotals(result)
	for i, planned := range result.Plan.Changes {
		switch {
		case !concerns(root, planned.Securable):
		case i < len(result.Outcomes):
			t.addOutcome(result.Outcomes[i])
		default:
			t.addChange(planned)
		}
	}
	for _, planned := range result.Plan.Protection {
		if concerns(root, planned.Table) && !slices.ContainsFunc(result.Unprotected, func(l load.LeftOut) bool { return l.Securable == planned.Table }) {
			t.protected++
		}
	}
	return t
}

func (t *totals) addOutcome(o apply.Outcome) {
	for _, p := range o.Unknown {
		t.unknown[p] = true
	}
	if o.Err != nil {
		t.failed++
		if errors.Is(o.Err, apply.ErrHeldBack) {
			t.heldBack++
		}
		if t.failure == nil || errors.Is(t.failure, apply.ErrHeldBack) {
			t.failure, t.failedOn = o.Err, o.Change.Securable
		}
	}
	if !o.Gone && len(o.Change.Add)+len(o.Change.Remove) > 0 { // else all of it failed, or was for principals that are not known
		t.addChange(o.Change)
	}
}

func (t *totals) addChange(c policy.Change) {
	t.adds, t.removes = t.adds+len(c.Add), t.removes+len(c.Remove)
	t.changed[c.Securable] = true
	if len(t.recorded) < maxRecordedChanges {
		t.recorded = append(t.recorded, recordedChanges(c)...)
	} else {
		t.unrecorded = true
	}
}

// counts returns how much was changed.
func (t *totals) counts() string {
	grants := fmt.Sprintf("%s, %s on %s", count(t.adds, "grant"), count(t.removes, "revoke"), count(len(t.changed), "securable"))
	switch {
	case t.protected == 0:
		return grants
	case len(t.changed) == 0:
		return "row filters and masks of " + count(t.protected, "table")
	}
	return grants + ", row filters and masks of " + count(t.protected, "table")
}

// message returns the totals on one line, what failed first.
func (t *totals) message() string {
	var notes []string
	if n := len(t.unread); n > 0 {
		notes = append(notes, fmt.Sprintf("left out %s: %s", count(n, "object"), leftNote(t.unread)))
	}
	carried := func(l load.LeftOut) bool { return l.Carried }
	bare := slices.DeleteFunc(slices.Clone(t.unprotected), carried)
	if n := len(bare); n > 0 {
		notes = append(notes, fmt.Sprintf("%s not protected: %s", count(n, "table"), leftNote(bare)))
	}
	if stay := slices.DeleteFunc(slices.Clone(t.unprotected), func(l load.LeftOut) bool { return !carried(l) }); len(stay) > 0 {
		notes = append(notes, fmt.Sprintf("row filters and masks of %s not lifted: %s", count(len(stay), "table"), leftNote(stay)))
	}
	if closed := t.conflictsThat(true); len(closed) > 0 {
		notes = append(notes, fmt.Sprintf("%s not protected: %s", count(len(closed), "table"), leftNote(closed)))
	}
	if drift := t.conflictsThat(false); len(drift) > 0 {
		notes = append(notes, fmt.Sprintf("row filters and masks that others took off or changed (%d): %s", len(drift), leftNote(drift)))
	}
	if len(t.waiting) > 0 {
		notes = append(notes, waitingNote(t.waiting, t.pending))
	}
	if t.failed > 0 {
		notes = append(notes, fmt.Sprintf("%d change(s) not applied, the first on %s because: %v", t.failed, t.failedOn, t.failure))
	}
	if t.heldBack > 0 && t.heldBack < t.failed {
		notes = append(notes, fmt.Sprintf("%d of them held back, in all or in part, because what has to come before them was not made", t.heldBack))
	}
	counts, none := t.counts(), len(t.changed)+t.protected == 0
	switch {
	case none && t.failed == 0 && len(t.unknown) == 0 && len(t.unread)+len(t.unprotected)+len(t.conflictsThat(true))+len(t.waiting) > 0:
		notes = append(notes, "nothing to change on the rest")
	case none && t.failed == 0 && len(t.unknown) == 0 && t.notRevoked > 0:
		notes = append(notes, "nothing to grant")
	case none && t.failed == 0 && len(t.unknown) == 0:
		notes = append(notes, "already in sync")
	case none:
	case t.observed && len(t.changed) == 0:
		notes = append(notes, fmt.Sprintf("mode observe: %s would be changed, nothing was", counts))
	case t.observed:
		notes = append(notes, fmt.Sprintf("mode observe: %s would be made, nothing was changed", counts))
	default:
		notes = append(notes, counts)
	}
	if t.notRevoked > 0 {
		notes = append(notes, fmt.Sprintf("mode grant-only leaves %s that no policy asks for", count(t.notRevoked, "grant")))
	}
	if t.unrecorded {
		notes = append(notes, fmt.Sprintf("the first %d changes are recorded", len(t.recorded)))
	}
	if len(t.unknown) > 0 {
		notes = append(notes, "not granted to principals the account does not know: "+joinNames(slices.SortedFunc(maps.Keys(t.unknown), policy.ComparePrincipals)))
	}
	if n := len(t.notInForce); n > 0 {
		named := slices.Clone(t.notInForce[:min(n, maxNamedUnread)])
		if n > len(named) {
			named = append(named, fmt.Sprintf("and %d more", n-len(named)))
		}
		notes = append(notes, "policies not in force as they are written: "+joinNames(named))
	}
	return strings.Join(notes, "; ")
}

// conflictsThat returns the conflicts that close a table, or the others.
func (t *totals) conflictsThat(closed bool) []protection.Conflict {
	return slices.DeleteFunc(slices.Clone(t.conflicts), func(c protection.Conflict) bool { return c.Closed != closed })
}

// leftNote names some of what was left out.
func leftNote[T fmt.Stringer](left []T) string {
	named := make([]string, min(len(left), maxNamedUnread))
	for i := range named {
		named[i] = left[i].String()
	}
	if more := len(left) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(named, ", ")
}

// waitingNote names what the policies give and is not granted yet, and where the reason stands: with the task, if that names what is
// pending, else among the findings of the plan. It returns "" for nothing.
func waitingNote(waiting []policy.Grant, pending bool) string {
	if len(waiting) == 0 {
		return ""
	}
	named := make([]string, min(len(waiting), maxNamedUnread))
	for i, g := range waiting[:len(named)] {
		named[i] = fmt.Sprintf("%s on %s to %s", g.Privilege, g.Securable, g.Principal)
	}
	if more := len(waiting) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	hint := " ('ucwarden plan' says why)"
	if pending {
		hint = ""
	}
	return fmt.Sprintf("not granted yet%s: %s", hint, strings.Join(named, ", "))
}

// wouldRefuse returns what a task says in mode observe where a guard would refuse to make the changes.
func wouldRefuse(reason string) string {
	return "mode observe: enforced, this would be refused: " + reason
}

// madeUntilThen returns what a sync that ended early made, and how much is left; "" for one that made nothing.
func madeUntilThen(result *connector.Result) string {
	if result == nil || result.Outcomes == nil {
		return ""
	}
	t := newTotals(result)
	for _, o := range result.Outcomes {
		t.addOutcome(o)
	}
	return fmt.Sprintf("made until then: %s; %s left", t.counts(), count(len(result.Plan.Changes)-len(result.Outcomes)+t.failed, "change"))
}

// madeBefore is madeUntilThen for a sync that goes on with another attempt, whose result does not have what this one made.
func madeBefore(result *connector.Result) string {
	t := newTotals(result)
	for _, o := range result.Outcomes {
		t.addOutcome(o)
	}
	if len(t.changed)+t.protected == 0 {
		return ""
	}
	return madeUntilThen(result)
}

// recordedChanges returns a change as a task records it: one entry for each principal.
func recordedChanges(c policy.Change) []ondemand.Change {
	by := make(map[policy.Principal]*ondemand.Change)
	at := func(p policy.Principal) *ondemand.Change {
		if by[p] == nil {
			by[p] = &ondemand.Change{Securable: c.Securable.String(), Principal: p.Name}
		}
		return by[p]
	}
	why := func(act policy.Act, a policy.Assignment) {
		if !c.Causes.Has(act, a) {
			return
		}
		if at(a.Principal).Causes == nil {
			at(a.Principal).Causes = make(map[string]string)
		}
		at(a.Principal).Causes[string(a.Privilege)] = c.Causes.Of(act, a).String()
	}
	for _, a := range c.Add {
		at(a.Principal).Add = append(at(a.Principal).Add, string(a.Privilege))
		why(policy.ActAdd, a)
		if c.Causes.Of(policy.ActAdd, a).PutBack {
			at(a.Principal).PutBack = append(at(a.Principal).PutBack, string(a.Privilege))
		}
	}
	for _, a := range c.Remove {
		at(a.Principal).Remove = append(at(a.Principal).Remove, string(a.Privilege))
		why(policy.ActRemove, a)
	}
	list := make([]ondemand.Change, 0, len(by))
	for _, p := range slices.SortedFunc(maps.Keys(by), policy.ComparePrincipals) {
		list = append(list, *by[p])
	}
	return list
}

func joinNames[T any](list []T) string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = fmt.Sprint(s)
	}
	return strings.Join(names, ", ")
}

// count returns a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
