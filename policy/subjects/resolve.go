package subjects

import (
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/directory"
	"ucwarden/policy/judge"
	"ucwarden/policy/rules"
)

// Input is what subjects are resolved by.
type Input struct {
	Set       *rules.RuleSet
	Policies  []*judge.Policy             // that decide grants
	Directory *directory.Directory        // nil: the workspace is not known, and every subject may be there
	Manages   func(policy.Principal) bool // who may be granted something; nil: everybody
}

// Resolved is who the subjects of a rule set are in the workspace; lists are by subject. It is never changed once the judge was told.
type Resolved struct {
	Principals []policy.Principal
	Listed     []bool                     // the workspace has it, or does not say whom it has
	Managed    []bool                     // it may be granted something
	Withheld   map[rules.SubjectID]string // why a subject that does not resolve is granted nothing
	Missing    int                        // how many of those named the directory does not list
	Findings   []policy.Finding

	set       *rules.RuleSet
	policies  []*judge.Policy
	directory *directory.Directory
	manages   func(policy.Principal) bool
}

// Resolve finds the principals of all subjects of a rule set.
func Resolve(in Input) *Resolved {
	r := &Resolved{set: in.Set, policies: in.Policies, directory: in.Directory, manages: in.Manages, Withheld: make(map[rules.SubjectID]string)}
	r.resolve()
	for i, p := range r.Principals {
		r.Managed = append(r.Managed, r.Withheld[rules.SubjectID(i)] == "" && (r.manages == nil || r.manages(p)))
	}
	r.noteUnmanaged()
	return r
}

// maxNearest bounds for how many principals that the directory does not list a near name is looked for: each look goes
// through all of it.
const maxNearest = 50

// MaxNoted bounds how many who are not listed, and tried all the same, are named one by one.
const MaxNoted = 200

// resolve finds the principal of each subject. Who is not listed, is misspelt or has the name of somebody of another kind
// is reported if an item names them: for each who is allowed something, where that is; here for the others.
func (r *Resolved) resolve() {
	d := r.directory
	if d == nil {
		for id := range rules.SubjectID(r.set.Subjects.Len()) {
			p := r.set.Subjects.Principal(id)
			r.Principals = append(r.Principals, p)
			why := r.nobody(id, p)
			r.Listed = append(r.Listed, why == "")
			if why != "" {
				r.Withheld[id] = why
			}
		}
		return
	}
	allowed, denied := r.Named()
	restricted := r.restricted()
	nearest, noted, unnoted := 0, 0, 0
	near := func(p policy.Principal) string {
		if nearest++; nearest > maxNearest {
			return ""
		}
		if name := d.Nearest(p); name != "" {
			return "; did you mean " + name + "?"
		}
		return ""
	}
	for id := range rules.SubjectID(r.set.Subjects.Len()) {
		p := r.set.Subjects.Principal(id)
		found := d.Resolve(p)
		nobody := ""
		if nobody = r.nobody(id, p); nobody != "" {
			switch {
			case !found.Listed:
				found.Withheld, found.Note = nobody, ""
			case found.Note == "":
				found.Note = "the workspace has it, although a policy can hardly mean it: " + nobody
			}
		}
		if found.Withheld == "" {
			found.Withheld = r.looselyNamed(id, d.Spelling(found.Principal))
		}
		r.Principals = append(r.Principals, found.Principal)
		r.Listed = append(r.Listed, found.Withheld == "" && (found.Listed || !d.Read()))
		named := allowed[id] || denied[id]
		missing, effect := "", policy.EffectNone
		if named && !found.Listed && nobody == "" {
			r.Missing++
			if missing = near(p); restricted[id] && (missing != "" || r.meansOthers(id, p)) {
				effect = policy.EffectWider // what denies it may be meant for somebody who is there
			}
		}
		if found.Withheld != "" {
			r.Withheld[id] = found.Withheld + missing
		}
		switch {
		case !named:
		case found.Note != "" && !found.Listed && noted == MaxNoted:
			unnoted++
		case found.Note != "":
			if !found.Listed {
				noted++
			}
			r.note(id, effect, found.Note+missing)
		case found.Withheld != "" && !allowed[id]:
			r.note(id, effect, r.Withheld[id]+"; what denies it stands")
		}
	}
	if unnoted > 0 {
		r.Findings = append(r.Findings, policy.Finding{Effect: policy.EffectNone, Message: fmt.Sprintf(
			"%d more whom policies name are not listed by the workspace; their grants are sent all the same", unnoted)})
	}
}

// meansOthers reports whether the name of a subject that the directory does not list is that of somebody of another kind, or one that
// looks like several or a pattern.
func (r *Resolved) meansOthers(id rules.SubjectID, p policy.Principal) bool {
	s := r.set.Subjects.Of(id)
	if doubt, _ := accepted.Name(s.Kind, s.Name); doubt == accepted.DoubtOneName {
		return true
	}
	return slices.ContainsFunc([]policy.PrincipalKind{policy.User, policy.Group, policy.ServicePrincipal}, func(kind policy.PrincipalKind) bool {
		return kind != p.Kind && r.directory.Resolve(policy.NewPrincipal(kind, p.Name)).Listed
	})
}

// noteUnmanaged reports who is allowed something and is not ours to grant anything.
func (r *Resolved) noteUnmanaged() {
	if r.manages == nil {
		return
	}
	allowed, _ := r.Named()
	noted, unnoted := 0, 0
	for id := range rules.SubjectID(r.set.Subjects.Len()) {
		p := r.Principals[id]
		switch {
		case r.Managed[id] || !allowed[id] || r.Withheld[id] != "":
		case noted == MaxNoted:
			unnoted++
		default:
			noted++
			r.Findings = append(r.Findings, policy.Finding{Effect: policy.EffectNarrower, Principal: p, Message: fmt.Sprintf(
				"%s is allowed something by policies, and is protected or outside scope.*: nothing is granted to it or revoked from it", r.set.Subjects.Of(id).String())})
		}
	}
	if unnoted > 0 {
		r.Findings = append(r.Findings, policy.Finding{Effect: policy.EffectNarrower, Message: fmt.Sprintf(
			"%d more who are allowed something by policies are protected or outside scope.*", unnoted)})
	}
}

// nobody says why a subject is granted nothing whose name, in policies or as it is mapped, can be nobody's, so that a request with
// it could only fail; empty where somebody can have it.
func (r *Resolved) nobody(id rules.SubjectID, p policy.Principal) string {
	s := r.set.Subjects.Of(id)
	for _, name := range []string{p.Name, s.Name} {
		if !strings.HasSuffix(p.Name, name) || id == rules.Everyone {
			continue // mapped to a name of its own
		}
		if doubt, why := accepted.Name(s.Kind, name); doubt == accepted.DoubtNobody {
			return fmt.Sprintf("%q can be the name of nobody (%s)", name, why)
		}
	}
	return ""
}

// looselyNamed says why a user is granted nothing whose names, in policies or here and in the workspace, are one only where
// somebody is denied something; empty where they are one beyond doubt.
func (r *Resolved) looselyNamed(id rules.SubjectID, spelled string) string {
	subject := r.set.Subjects.Of(id)
	if subject.Kind != rules.SubjectUser {
		return ""
	}
	other := r.set.Subjects.OtherName(id)
	if other == "" && !policy.SamePlainly(subject.Name, spelled) {
		other = spelled
	}
	if other == "" {
		return ""
	}
	return fmt.Sprintf("%q may be another's name, since more than plain case tells them apart; what denies one of them denies both", other)
}

// Note returns a finding about a subject that policies name.
func (r *Resolved) Note(id rules.SubjectID, effect policy.Effect, what string) policy.Finding {
	return policy.Finding{Effect: effect, Principal: r.Principals[id], Message: fmt.Sprintf("%s is named by policies: %s", r.set.Subjects.Of(id), what)}
}

func (r *Resolved) note(id rules.SubjectID, effect policy.Effect, what string) {
	r.Findings = append(r.Findings, r.Note(id, effect, what))
}

// Named tells which subjects are allowed something by their name, and which are named otherwise.
func (r *Resolved) Named() (allowed, otherwise map[rules.SubjectID]bool) {
	allowed, otherwise = make(map[rules.SubjectID]bool), make(map[rules.SubjectID]bool)
	for _, p := range r.policies {
		for list, by := range map[*[]judge.Item]map[rules.SubjectID]bool{&p.Allow: allowed, &p.AllowExcept: otherwise, &p.Deny: otherwise, &p.DenyExcept: otherwise} {
			for i := range *list {
				for _, id := range (*list)[i].Who {
					by[id] = true
				}
			}
		}
	}
	return allowed, otherwise
}

// restricted tells which subjects are denied something by their name, or excepted from what is allowed.
func (r *Resolved) restricted() map[rules.SubjectID]bool {
	by := make(map[rules.SubjectID]bool)
	for _, p := range r.policies {
		for _, item := range slices.Concat(p.Deny, p.AllowExcept) {
			for _, id := range item.Who {
				by[id] = true
			}
		}
	}
	return by
}

// AllNamed lists the subjects that policies name, sorted.
func (r *Resolved) AllNamed() []rules.SubjectID {
	allowed, otherwise := r.Named()
	maps.Copy(allowed, otherwise)
	return slices.Sorted(maps.Keys(allowed))
}

// DirectoryRead reports whether there is a directory, and it could be read.
func (r *Resolved) DirectoryRead() bool { return r.directory != nil && r.directory.Read() }

// Hash writes what the directory makes of whom policies name.
func (r *Resolved) Hash(h hash.Hash) {
	if r.directory == nil {
		return
	}
	lines := make([]string, len(r.Principals))
	for i, p := range r.Principals {
		id := rules.SubjectID(i)
		lines[i] = fmt.Sprintf("%s %q %q %t\n", r.set.Subjects.Of(id), p.Kind, r.directory.Spelling(p), r.Withheld[id] != "")
	}
	slices.Sort(lines)
	for _, line := range lines {
		h.Write([]byte(line))
	}
}

// Alias tells the judge which subjects share a principal. Groups and roles that do are one group there: what is granted to one
// must be allowed to the members of the others, as far as those are known. A user is never granted under the name of a
// group or role, nor a user or role under that of everybody's group. A group that the directory shows not to be there takes no
// name from a user; where the directory could not be read, every group that policies name may be there.
func (r *Resolved) Alias(j *judge.Judge) {
	groups := make(map[policy.Principal][]rules.SubjectID)
	names := map[string]bool{policy.AccountUsers.Name: true} // of groups, folded
	for id := range r.Principals {
		switch p := r.Principals[id]; r.set.Subjects.Of(rules.SubjectID(id)).Kind {
		case rules.SubjectGroup, rules.SubjectRole:
			if r.DirectoryRead() && r.Withheld[rules.SubjectID(id)] != "" {
				continue // there is no group of this name that a grant could reach
			}
			groups[p] = append(groups[p], rules.SubjectID(id))
			names[policy.FoldPrincipal(p.Name)] = true
		}
	}
	for _, list := range groups {
		j.Alias(list)
	}
	for i, principal := range r.Principals {
		id := rules.SubjectID(i)
		taken := id != rules.Everyone && principal.IsEveryone()
		if r.set.Subjects.Of(id).Kind == rules.SubjectUser {
			taken = names[policy.FoldPrincipal(principal.Name)]
		}
		if !taken || !r.Managed[id] {
			continue
		}
		r.Managed[id] = false
		if !judge.Allows(r.policies, id) {
			continue
		}
		r.Findings = append(r.Findings, policy.Finding{Effect: policy.EffectNarrower, Principal: principal, Message: fmt.Sprintf(
			"%s has the name of a group that policies name, and a grant might reach all of that; it is granted nothing", r.set.Subjects.Of(id).String())})
	}
}
