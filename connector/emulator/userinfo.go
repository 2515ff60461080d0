package emulator

import "slices"

// registerUserInfo registers the calls about the caller.
func (s *Server) registerUserInfo() {
	s.route("GET "+prefix+"/userinfo/me", anyUser.String(), s.userInfo)
	s.route("GET "+prefix+"/userinfo/my-groups", anyUser.String(), s.myGroups)
}

func (s *Server) userInfo(c *call) (any, error) {
	if _, err := c.flag("for_account_level"); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := s.metastore()
	return map[string]bool{"is_metastore_admin": err == nil && metastoreAdmin.is(c, m)}, nil
}

// myGroups returns the names of the caller's groups: of the account, or those that the workspace knows, its own among
// them.
func (s *Server) myGroups(c *call) (any, error) {
	ofAccount, err := c.flag("for_account_level")
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	groups := []string{}
	for name := range c.who.identities {
		if p := s.directory.byName[name]; p != nil && p.kind == Group && !(ofAccount && p.local()) {
			groups = append(groups, name)
		}
	}
	slices.Sort(groups)
	return map[string][]string{"group_name": groups}, nil
}
