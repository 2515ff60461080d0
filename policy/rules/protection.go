package rules

import (
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
)

// ColumnOf writes a column of a table in the words of the service definition; ok is false when it has none for it.
func (m *Model) ColumnOf(table policy.Object, column string) (match.Resource, bool) {
	resource, ok := m.ResourceOf(table)
	if !ok {
		return nil, false
	}
	for _, h := range m.hierarchies[ranger.PolicyTypeAccess] {
		if n := len(resource); len(h) > n && h[n-1].Name == resource[n-1].Name {
			if level, known := resourceLevels[strings.ToLower(h[n].Name)]; known && level.level == 0 {
				return append(resource, match.Element{Name: h[n].Name, Value: naming.Canonical(column)}), true
			}
		}
	}
	return nil, false
}

// Transformer returns the expression by which the service definition says what a type of mask does, with {col} for the
// column; ok is false for a type that it does not have.
func (m *Model) Transformer(mask string) (expression string, ok bool) {
	if m.def.DataMaskDef == nil {
		return "", false
	}
	for _, d := range m.def.DataMaskDef.MaskTypes {
		if d.Name == mask {
			return d.Transformer, true
		}
	}
	return "", false
}

// MembersOf lists the direct members of a group, by the user store, or of a role, by its definition; known is false for one
// that neither mentions. The caller must not change the list.
func (m *Membership) MembersOf(id SubjectID) (members []SubjectID, known bool) {
	s := m.get(id)
	if m.table.Of(id).Kind == SubjectRole {
		return s.inRole, s.knownRole
	}
	return s.users, s.knownGroup
}
