package emulator

import "encoding/json"

// registerValidation registers the calls that try credentials. There is no cloud, so all that is understood passes.
func (s *Server) registerValidation() {
	s.route("POST "+prefix+"/validate-storage-credentials", triesCredential, s.validateStorage)
	s.route("POST "+prefix+"/validate-credentials", triesCredential, s.validateCredential)
}

const triesCredential = "metastore admin, or owner of the credential, or CREATE_EXTERNAL_LOCATION on the metastore and on the credential"

type validation struct {
	Operation string `json:"operation,omitempty"`
	Result    string `json:"result"`
	Message   string `json:"message,omitempty"`
}

// checkTries returns an error unless the caller may try the credential, nil for one that is only in the request.
func (c *call) checkTries(m, credential *object) error {
	onMetastore := holds("CREATE_EXTERNAL_LOCATION").is(c, m)
	switch {
	case metastoreAdmin.is(c, m), credential == nil && onMetastore:
		return nil
	case credential != nil && (owner.is(c, credential) || onMetastore && holds("CREATE_EXTERNAL_LOCATION").is(c, credential)):
		return nil
	}
	return denied("User may not validate the credential: this takes %s.", triesCredential)
}

// tried returns the credential that the request names, nil when it has the details of one, and an error unless it is either.
func (s *Server) tried(c *call, name, path string, body map[string]json.RawMessage) error {
	m, err := s.metastore()
	if err != nil {
		return err
	}
	kinds := 0
	for _, kind := range credentialKinds {
		if raw, given := body[kind.field]; given && string(raw) != "null" {
			kinds++
		}
	}
	var credential *object
	switch {
	case name != "":
		if credential, err = s.find(s.resources[path], name); err != nil {
			return err
		}
	case kinds != 1:
		return invalid("the name of a credential, or one kind of details, is required.")
	}
	return c.checkTries(m, credential)
}

// checkWhere returns an error unless the request says where to try a storage credential.
func (s *Server) checkWhere(url, location string) error {
	if url != "" {
		return checkURL("url", url, true)
	}
	if location == "" {
		return invalid("url or external_location_name is required.")
	}
	_, err := s.find(s.types[typeExternalLocation], location)
	return err
}

func (s *Server) validateStorage(c *call) (any, error) {
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	var in struct {
		Name     string `json:"storage_credential_name"`
		Location string `json:"external_location_name"`
		URL      string `json:"url"`
		ReadOnly bool   `json:"read_only"`
	}
	if err := decode(c.body, &in); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.tried(c, in.Name, "storage-credentials", body); err != nil {
		return nil, err
	}
	if err := s.checkWhere(in.URL, in.Location); err != nil {
		return nil, err
	}
	return map[string]any{"isDir": true, "results": storageResults(in.ReadOnly)}, nil
}

func storageResults(readOnly bool) []validation {
	results := []validation{{"READ", "PASS", ""}, {"LIST", "PASS", ""}}
	for _, operation := range []string{"WRITE", "DELETE"} {
		if readOnly {
			results = append(results, validation{operation, "SKIP", "the location is for reading only"})
		} else {
			results = append(results, validation{operation, "PASS", ""})
		}
	}
	return append(results, validation{"PATH_EXISTS", "PASS", ""})
}

func (s *Server) validateCredential(c *call) (any, error) {
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	var in struct {
		Name     string `json:"credential_name"`
		Location string `json:"external_location_name"`
		URL      string `json:"url"`
		Purpose  string `json:"purpose"`
		ReadOnly bool   `json:"read_only"`
	}
	if err := decode(c.body, &in); err != nil {
		return nil, err
	}
	if err := oneOf("purpose", &in.Purpose, "SERVICE", "SERVICE", "STORAGE"); err != nil {
		return nil, err
	}
	path := map[string]string{"SERVICE": "credentials", "STORAGE": "storage-credentials"}[in.Purpose]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.tried(c, in.Name, path, body); err != nil {
		return nil, err
	}
	if in.Purpose == "SERVICE" {
		return map[string]any{"results": []validation{{"", "PASS", ""}}}, nil
	}
	if err := s.checkWhere(in.URL, in.Location); err != nil {
		return nil, err
	}
	return map[string]any{"isDir": true, "results": storageResults(in.ReadOnly)}, nil
}
