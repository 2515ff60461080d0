package emulator

// artifactMatcher allows artifacts, those whose path begins with Artifact.
type artifactMatcher struct {
	Artifact  string `json:"artifact"`
	MatchType string `json:"match_type"`
}

// artifactAllowlist says which artifacts of a type may be used on shared compute. A stored one is immutable.
type artifactAllowlist struct {
	ArtifactMatchers []artifactMatcher `json:"artifact_matchers,omitempty"`
	CreatedAt        int64             `json:"created_at,omitempty"`
	CreatedBy        string            `json:"created_by,omitempty"`
	MetastoreID      string            `json:"metastore_id"`
}

func (s *Server) registerAllowlists() {
	path := prefix + "/artifact-allowlists/{type}"
	who := managesAllowlists.in("the metastore")
	s.route("GET "+path, who, s.getAllowlist)
	s.route("PUT "+path, who, s.putAllowlist)
}

// findAllowlist returns the metastore and the type of the path, if the caller may read and change the list.
func (s *Server) findAllowlist(c *call) (*object, string, error) {
	typ := c.req.PathValue("type")
	if err := oneOf("artifact_type", &typ, "", "INIT_SCRIPT", "LIBRARY_JAR", "LIBRARY_MAVEN"); err != nil {
		return nil, "", err
	}
	m, err := s.metastore()
	if err != nil {
		return nil, "", err
	}
	if !managesAllowlists.is(c, m) {
		return nil, "", denied("User may not manage artifact allow-lists: this takes %s.", managesAllowlists.in("the metastore"))
	}
	return m, typ, nil
}

func (s *Server) getAllowlist(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, typ, err := s.findAllowlist(c)
	if err != nil {
		return nil, err
	}
	list := s.allowlists[m.uuid()+"/"+typ]
	list.MetastoreID = m.uuid()
	return list, nil
}

// putAllowlist replaces a list.
func (s *Server) putAllowlist(c *call) (any, error) {
	var in struct {
		ArtifactMatchers *[]artifactMatcher `json:"artifact_matchers"`
	}
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, typ, err := s.findAllowlist(c)
	if err != nil {
		return nil, err
	}
	if in.ArtifactMatchers == nil {
		return nil, invalid("artifact_matchers is required.")
	}
	for i := range *in.ArtifactMatchers {
		matcher := &(*in.ArtifactMatchers)[i]
		if matcher.Artifact == "" {
			return nil, invalid("every one of artifact_matchers needs an artifact.")
		}
		if err := oneOf("match_type", &matcher.MatchType, "", "PREFIX_MATCH"); err != nil {
			return nil, err
		}
	}
	list := artifactAllowlist{*in.ArtifactMatchers, s.nowMillis(), c.who.name, m.uuid()}
	s.allowlists[m.uuid()+"/"+typ] = list
	return list, nil
}
