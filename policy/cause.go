package policy

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Act is what a change does with a grant.
type Act string

// The acts.
const (
	ActAdd    Act = "add"
	ActRemove Act = "remove"
)

// CauseKind says what kind of reason there is for adding or removing a grant.
type CauseKind string

// The kinds of causes.
const (
	CausePolicy    CauseKind = "policy"    // added: a policy item allows it
	CauseExpansion CauseKind = "expansion" // added: an item allows it to a group or role, which is granted member by member
	CauseUse       CauseKind = "use"       // USE_*: something granted below requires it; removed: nothing does
	CauseDeny      CauseKind = "deny"      // removed: a policy item denies it
	CauseWithheld  CauseKind = "withheld"  // removed: allowed, but not to everybody the grant reaches
	CauseImplied   CauseKind = "implied"   // removed: another grant confers it
	CauseDrift     CauseKind = "drift"     // removed: no policy asks for it
	// CauseKept is a grant that no policy asks for and that is put back, because the same request takes it away, or one
	// that is there only while the plan is applied.
	CauseKept CauseKind = "kept"
)

// Cause says why a grant is added or removed. Its zero value says that the reason is not known.
type Cause struct {
	Kind     CauseKind `json:"kind"`
	PolicyID int64     `json:"policyId,omitempty"` // the policy that decides, with its item
	Policy   string    `json:"policy,omitempty"`   // its name
	Item     string    `json:"item,omitempty"`     // as policyItems[0]
	Through  string    `json:"through,omitempty"`  // of an expansion: the group or role whose member the principal is
	// On, Principal and Privilege are the grant that requires USE_*, or the one by which what is removed is still held.
	On Securable `json:"on,omitzero"`
	Principal
	Privilege Privilege `json:"privilege,omitempty"`
	// PutBack says of a grant that is added that the last sync had made sure of it, so that others took it away.
	PutBack bool `json:"putBack,omitempty"`
	// PoliciesChanged says of a grant that no policy asks for that they want something else on the securable than when it was last
	// synced, so that they may have asked for it then.
	PoliciesChanged bool `json:"policiesChanged,omitempty"`
}

// String returns the cause in a few words: `policy 3 "analysts read" policyItems[0]`.
func (c Cause) String() string {
	if c.PutBack {
		c.PutBack = false
		return "put back, others took it away: " + c.String()
	}
	item := ""
	if c.PolicyID != 0 || c.Policy != "" {
		item = strings.TrimSpace(fmt.Sprintf("policy %d %q %s", c.PolicyID, c.Policy, c.Item))
	}
	switch c.Kind {
	case CausePolicy:
		return item
	case CauseExpansion:
		return fmt.Sprintf("%s, as a member of %s", item, c.Through)
	case CauseUse:
		if c.On == (Securable{}) {
			return "nothing granted below requires it"
		}
		return fmt.Sprintf("required for %s on %s: %s", c.Privilege, c.On, item)
	case CauseDeny:
		return "denied by " + item
	case CauseWithheld:
		return "withheld: not everybody it reaches is allowed it, by " + item
	case CauseImplied:
		return fmt.Sprintf("held by %s to %s on %s", c.Privilege, c.Principal, c.On)
	case CauseDrift:
		return "no policy asks for it"
	case CauseKept:
		return "kept while the plan is applied"
	}
	return string(c.Kind)
}

// Causes holds why the grants of a change are made and taken away. Once attached to a change it is not changed any
// more: changes of alike objects share one.
type Causes map[causeKey]Cause

type causeKey struct {
	Assignment
	act Act
}

// Set notes the cause of adding or removing a.
func (c Causes) Set(act Act, a Assignment, cause Cause) { c[causeKey{a, act}] = cause }

// Of returns the cause of adding or removing a; the zero Cause where it is not known.
func (c Causes) Of(act Act, a Assignment) Cause { return c[causeKey{a, act}] }

// Has reports whether a cause of adding or removing a is noted.
func (c Causes) Has(act Act, a Assignment) bool {
	_, ok := c[causeKey{a, act}]
	return ok
}

// changeJSON is the JSON form of a Change: each grant with its cause, where that is known.
type changeJSON struct {
	Securable Securable    `json:"securable"`
	Wave      int          `json:"wave"`
	Add       []causedJSON `json:"add,omitempty"`
	Remove    []causedJSON `json:"remove,omitempty"`

	AddTemporary    []Assignment `json:"addTemporary,omitempty"`
	RemoveTemporary []Assignment `json:"removeTemporary,omitempty"`
	Keep            []Assignment `json:"keep,omitempty"`
	Waits           []Wait       `json:"waits,omitempty"`
}

type causedJSON struct {
	Assignment
	Cause Cause `json:"cause,omitzero"`
}

// MarshalJSON writes each grant with its cause.
func (c Change) MarshalJSON() ([]byte, error) {
	out := changeJSON{Securable: c.Securable, Wave: c.Wave, AddTemporary: c.AddTemporary, RemoveTemporary: c.RemoveTemporary, Keep: c.Keep, Waits: c.Waits}
	for _, a := range c.Add {
		out.Add = append(out.Add, causedJSON{a, c.Causes.Of(ActAdd, a)})
	}
	for _, a := range c.Remove {
		out.Remove = append(out.Remove, causedJSON{a, c.Causes.Of(ActRemove, a)})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Change) UnmarshalJSON(data []byte) error {
	var in changeJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*c = Change{Securable: in.Securable, Wave: in.Wave, AddTemporary: in.AddTemporary, RemoveTemporary: in.RemoveTemporary, Keep: in.Keep, Waits: in.Waits}
	read := func(act Act, list []causedJSON) (assignments []Assignment) {
		for _, a := range list {
			assignments = append(assignments, a.Assignment)
			if a.Cause != (Cause{}) {
				if c.Causes == nil {
					c.Causes = make(Causes)
				}
				c.Causes.Set(act, a.Assignment, a.Cause)
			}
		}
		return assignments
	}
	c.Add, c.Remove = read(ActAdd, in.Add), read(ActRemove, in.Remove)
	return nil
}
