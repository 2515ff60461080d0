package emulator

import (
	"fmt"
	"time"
)

// temporaryLife is how long temporary credentials are valid.
const temporaryLife = time.Hour

// registerTemporary registers the calls that hand out credentials for cloud storage and cloud services. There is no cloud, so
// they are of no use; who gets them is what counts.
func (s *Server) registerTemporary() {
	const base = "/api/2.0/unity-catalog"
	const enabled = "; the metastore needs external_access_enabled"
	s.route("POST "+base+"/temporary-table-credentials", externalUse.in("the table")+" and SELECT, or MODIFY, on it"+enabled, s.tableCredentials)
	s.route("POST "+base+"/temporary-volume-credentials", externalUse.in("the volume")+" and READ_VOLUME, or WRITE_VOLUME, on it"+enabled, s.volumeCredentials)
	s.route("POST "+base+"/temporary-path-credentials", externalUseLocation.in("the external location")+enabled, s.pathCredentials)
	s.route("POST "+prefix+"/temporary-service-credentials", usesCredential.in("the credential"), s.temporaryServiceCredentials)
}

// awsCredentials returns credentials that open nothing.
func (s *Server) awsCredentials(url string) map[string]any {
	s.lastID++
	answer := map[string]any{
		"aws_temp_credentials": map[string]any{"access_key_id": fmt.Sprintf("ASIAEMULATOR%08d", s.lastID), "secret_access_key": "emulator", "session_token": "emulator"},
		"expiration_time":      s.now().Add(temporaryLife).UnixMilli(),
	}
	if url != "" {
		answer["url"] = url
	}
	return answer
}

// checkExternalAccess returns an error unless the metastore lets outside engines read.
func (s *Server) checkExternalAccess() (*object, error) {
	m, err := s.metastore()
	if err == nil && !m.detail.(*metastoreDetail).ExternalAccessEnabled {
		err = invalidState("external_access_enabled of Metastore '%s' is not set.", m.name)
	}
	return m, err
}

// byID returns the object of the type with the id, or an error.
func byID(metastore *object, t securableType, id, label string) (*object, error) {
	for catalog := range metastore.list(typeCatalog).after("") {
		for schema := range catalog.list(typeSchema).after("") {
			for o := range schema.list(t).after("") {
				if o.uuid() == id {
					return o, nil
				}
			}
		}
	}
	return nil, notFound(label, id)
}

func (s *Server) tableCredentials(c *call) (any, error) {
	var in struct {
		TableID   string `json:"table_id"`
		Operation string `json:"operation"`
	}
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	if err := oneOf("operation", &in.Operation, "", "READ", "READ_WRITE"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.checkExternalAccess()
	if err != nil {
		return nil, err
	}
	o, err := byID(m, typeTable, in.TableID, "TABLE")
	if err != nil {
		return nil, err
	}
	needed := []privilege{selectRows}
	if in.Operation == "READ_WRITE" {
		needed = append(needed, "MODIFY")
	}
	if err := c.checkExternalUse(o, needed...); err != nil {
		return nil, err
	}
	d := o.detail.(*tableDetail)
	if o.kind != "" || d.RowFilter != nil {
		return nil, invalid("Table '%s' is a view, or protected: its files are not readable by others.", o.fullName())
	}
	for _, column := range d.Columns {
		if column.Mask != nil {
			return nil, invalid("Table '%s' has a column mask: its files are not readable by others.", o.fullName())
		}
	}
	return s.awsCredentials(d.location(o)), nil
}

// checkExternalUse returns an error unless the caller may read o, with the privileges, from outside.
func (c *call) checkExternalUse(o *object, needed ...privilege) error {
	ok := externalUse.is(c, o)
	for _, p := range needed {
		ok = ok && (owns.is(c, o) || holds(p).is(c, o))
	}
	if ok {
		return nil
	}
	return denied("User may not use %s '%s' from outside: this takes %s and %s on it.", displayLabel(o.res.label), o.fullName(), externalUse, needed)
}

func (s *Server) volumeCredentials(c *call) (any, error) {
	var in struct {
		VolumeID  string `json:"volume_id"`
		Operation string `json:"operation"`
	}
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	if err := oneOf("operation", &in.Operation, "", "READ_VOLUME", "WRITE_VOLUME"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.checkExternalAccess()
	if err != nil {
		return nil, err
	}
	o, err := byID(m, typeVolume, in.VolumeID, "VOLUME")
	if err == nil {
		err = c.checkExternalUse(o, privilege(in.Operation))
	}
	if err != nil {
		return nil, err
	}
	return s.awsCredentials(o.detail.(*volumeDetail).StorageLocation), nil
}

// pathCredentials hands out credentials for a path below an external location, and, where it is that of an external table, to
// who may read the table from outside, too.
func (s *Server) pathCredentials(c *call) (any, error) {
	var in struct {
		URL       string `json:"url"`
		Operation string `json:"operation"`
		DryRun    bool   `json:"dry_run"`
	}
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	if err := checkURL("url", in.URL, true); err != nil {
		return nil, err
	}
	if err := oneOf("operation", &in.Operation, "", "PATH_READ", "PATH_READ_WRITE", "PATH_CREATE_TABLE"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.checkExternalAccess()
	if err != nil {
		return nil, err
	}
	location := locationOf(m, in.URL)
	if location == nil {
		return nil, &apiError{status: 404, code: "EXTERNAL_LOCATION_DOES_NOT_EXIST", message: "No external location holds '" + in.URL + "'."}
	}
	if !externalUseLocation.is(c, location) {
		return nil, denied("User may not use paths of External location '%s' from outside: this takes %s.", location.name, externalUseLocation)
	}
	for table, d := range externalTables(m) {
		if urlsOverlap(d.StorageLocation, in.URL) {
			if err := c.checkExternalUse(table, selectRows); err != nil {
				return nil, err
			}
		}
	}
	if in.DryRun {
		return map[string]any{"url": in.URL}, nil
	}
	return s.awsCredentials(in.URL), nil
}

func (s *Server) temporaryServiceCredentials(c *call) (any, error) {
	var in struct {
		CredentialName string `json:"credential_name"`
	}
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	if in.CredentialName == "" {
		return nil, invalid("credential_name is required.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.find(s.resources["credentials"], in.CredentialName)
	if err != nil {
		return nil, err
	}
	if !usesCredential.is(c, o) {
		return nil, denied("User may not use Credential '%s': this takes %s.", o.name, usesCredential)
	}
	return s.awsCredentials(""), nil
}
