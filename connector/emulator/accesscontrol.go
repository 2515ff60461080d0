package emulator

import (
	"cmp"
	"maps"
	"slices"
)

// accessControl is a level of permission of a user, a group or a service principal, on an object of the workspace.
type accessControl struct {
	UserName             string `json:"user_name,omitempty"`
	GroupName            string `json:"group_name,omitempty"`
	ServicePrincipalName string `json:"service_principal_name,omitempty"`
	PermissionLevel      string `json:"permission_level,omitempty"`
}

// levelIn returns the index in levels, the least first, of the caller's level by the permissions on an object, -1 for none.
func (c *call) levelIn(levels []string, permissions map[string]string) int {
	best := -1
	if workspaceAdmin.met(c, nil) {
		best = slices.Index(levels, "CAN_MANAGE")
	}
	for name, level := range permissions {
		if c.who.identities[name] || name == workspaceUsers {
			best = max(best, slices.Index(levels, level))
		}
	}
	return best
}

// shownPermissions returns the permissions on an object as answers show them.
func (s *Server) shownPermissions(id, typ string, permissions map[string]string) any {
	type shown struct {
		accessControl
		All []map[string]any `json:"all_permissions"`
	}
	list := []shown{}
	for _, name := range slices.Sorted(maps.Keys(permissions)) {
		entry := shown{All: []map[string]any{{"permission_level": permissions[name], "inherited": false}}}
		switch p := s.directory.find(name); {
		case p != nil && p.kind == User:
			entry.UserName = name
		case p != nil && p.kind == ServicePrincipal:
			entry.ServicePrincipalName = name
		default:
			entry.GroupName = name
		}
		list = append(list, entry)
	}
	return map[string]any{"object_id": id, "object_type": typ, "access_control_list": list}
}

// accessControls returns the levels that the body asks for.
func (c *call) accessControls() ([]accessControl, error) {
	var body struct {
		List []accessControl `json:"access_control_list"`
	}
	if err := c.decodeBody(&body); err != nil {
		return nil, err
	}
	return body.List, nil
}

// changedLevels returns the permissions with those of the list, and, for a PUT, without all others but the owner's.
func (c *call) changedLevels(levels []string, permissions map[string]string, list []accessControl) (map[string]string, error) {
	next := maps.Clone(permissions)
	if c.req.Method == "PUT" {
		maps.DeleteFunc(next, func(_, level string) bool { return level != "IS_OWNER" })
	}
	for _, entry := range list {
		if err := oneOf("permission_level", &entry.PermissionLevel, "", levels...); err != nil {
			return nil, err
		}
		name := cmp.Or(entry.UserName, entry.GroupName, entry.ServicePrincipalName)
		if c.srv.directory.find(name) == nil && name != workspaceUsers && name != workspaceAdmins {
			return nil, principalNotFound(name)
		}
		if entry.PermissionLevel == "IS_OWNER" { // of whom there is one
			maps.DeleteFunc(next, func(_, level string) bool { return level == "IS_OWNER" })
		}
		next[c.srv.directory.spelled(name)] = entry.PermissionLevel
	}
	return next, nil
}

// listLevels returns the handler that lists the levels that there are.
func listLevels(levels []string) handlerFunc {
	return func(*call) (any, error) {
		list := []map[string]string{}
		for _, level := range levels {
			list = append(list, map[string]string{"permission_level": level, "description": displayLabel(level)})
		}
		return pageOf("permission_levels", list, ""), nil
	}
}
