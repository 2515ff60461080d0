package content

import (
	"encoding/json"
	"fmt"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/parse"
)

// spareRoles decides about documents of roles that cannot be read, or hold what Ranger's model does not have. Other programs have such
// documents, too, so one that has no more of Ranger's than that is left out where nothing depends on its roles: no policy and no role
// of another document names one. It returns the other documents, or an error for one on which something depends.
func (m *merger) spareRoles(docs []*document, before *Content) ([]*document, error) {
	var kept []*document
	for _, d := range docs {
		refusal := d.misfit
		if refusal == nil && d.roles != nil {
			_, refusal = parse.CheckFileFields(d.unknown, d.file.path, false)
		}
		if refusal == nil {
			kept = append(kept, d)
			continue
		}
		name, unused := d.unusedRoles(docs)
		switch {
		case unused && !d.file.named && !before.alsoHolds(d.file.path):
			m.problem(d.file.path, policy.EffectNarrower, "left out, as no policy names a role of it: %s; correct it, or move the file out of the folder if it is another program's",
				strings.TrimPrefix(refusal.Error(), d.file.path+": "))
		case name != "":
			return nil, fmt.Errorf("%w (role %q is named by policies or roles)", refusal, name)
		case d.misfit != nil:
			return nil, refusal
		default:
			kept = append(kept, d) // which is refused for its fields
		}
	}
	return kept, nil
}

// unusedRoles reports whether the document is a list of roles, by its one key of our own, that other documents do not depend on:
// none of their policies and roles names a role by a text of it. Else it returns the name of one that is, where that is why.
func (d *document) unusedRoles(docs []*document) (name string, unused bool) {
	fields := d.fields()
	if hasHead(fields) || fields["roles"] == nil {
		return "", false
	}
	texts := make(map[string]bool)
	collectTexts(fields["roles"], texts)
	if len(texts) == 0 {
		return "", false // whoever wrote it may have meant to name one
	}
	for _, other := range docs {
		for _, p := range other.allPolicies() {
			for item := range p.AllItems() {
				for _, role := range item.Roles {
					if texts[policy.FoldPrincipal(role)] {
						return role, false
					}
				}
			}
		}
		if other == d || other.roles == nil {
			continue
		}
		for i := range other.roles.RangerRoles {
			for _, role := range other.roles.RangerRoles[i].Roles {
				if texts[policy.FoldPrincipal(role.Name)] {
					return role.Name, false
				}
			}
		}
	}
	return "", true
}

// collectTexts adds every text in a value that is not empty, the keys of objects too, folded as names are compared.
func collectTexts(value json.RawMessage, texts map[string]bool) {
	var object map[string]json.RawMessage
	var list []json.RawMessage
	var text string
	switch {
	case json.Unmarshal(value, &object) == nil:
		for key, of := range object {
			texts[policy.FoldPrincipal(key)] = true
			collectTexts(of, texts)
		}
	case json.Unmarshal(value, &list) == nil:
		for _, of := range list {
			collectTexts(of, texts)
		}
	case json.Unmarshal(value, &text) == nil && text != "":
		texts[policy.FoldPrincipal(text)] = true
	}
}
