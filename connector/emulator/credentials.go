package emulator

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// credentialKind is one way to sign in to a cloud: the field of a credential that holds it, and the fields in it.
type credentialKind struct {
	field    string
	required []string // of a new credential, and of one that changes its kind; an update may have any of them
	optional []string
	secret   string                            // which of them is in no answer, and not stored
	output   func(o *object) map[string]string // what the server adds; ignored on input
}

var credentialKinds = []*credentialKind{
	{field: "aws_iam_role", required: []string{"role_arn"}, output: func(o *object) map[string]string {
		return map[string]string{"unity_catalog_iam_arn": "arn:aws:iam::414351767826:role/unity-catalog-emulator", "external_id": o.uuid()}
	}},
	{field: "azure_service_principal", required: []string{"directory_id", "application_id", "client_secret"}, secret: "client_secret"},
	{field: "azure_managed_identity", required: []string{"access_connector_id"}, optional: []string{"managed_identity_id"}},
	{field: "gcp_service_account_key", required: []string{"email", "private_key_id", "private_key"}, secret: "private_key"},
	{field: "databricks_gcp_service_account", output: func(o *object) map[string]string {
		return map[string]string{"email": fmt.Sprintf("emulator-%d@unity-emulator.iam.gserviceaccount.com", o.id), "credential_id": o.uuid()}
	}},
	{field: "cloudflare_api_token", required: []string{"account_id", "access_key_id", "secret_access_key"}, secret: "secret_access_key"},
}

// credentialFields are those of storage and of service credentials.
func credentialFields() fields {
	f := fields{"name": "R/O", "new_name": "-/O", "comment": "O/O", "owner": "I/O", "skip_validation": "O/O", "force": "I/O",
		"read_only": "O/O", "isolation_mode": "O/O", "purpose": "O/I"}
	for _, kind := range credentialKinds {
		f[kind.field] = "O/O"
	}
	return f
}

func storageCredentials() *resource {
	return &resource{path: "storage-credentials", listKey: "storage_credentials", label: "STORAGE_CREDENTIAL",
		typ: typeStorageCredential, parent: typeMetastore, fields: credentialFields(), inUse: credentialInUse,
		newDetail: func() detail { return &credentialDetail{} }}
}

func serviceCredentials() *resource {
	return &resource{path: "credentials", label: "CREDENTIAL", typ: typeCredential, parent: typeMetastore,
		fields: credentialFields(), list: (*Server).listCredentials, newDetail: func() detail { return &credentialDetail{} }}
}

// credentialDetail is a storage credential or a service credential.
type credentialDetail struct {
	SkipValidation bool   `json:"skip_validation,omitempty"` // input
	Force          bool   `json:"force,omitempty"`           // input
	ReadOnly       bool   `json:"read_only"`
	Purpose        string `json:"purpose,omitempty"`
	IsolationMode  string `json:"isolation_mode,omitempty"`

	kind   *credentialKind
	values map[string]string                              // of the kind's fields, without the secret
	given  map[*credentialKind]map[string]json.RawMessage // input
}

// UnmarshalJSON decodes the kinds that are given, beside the fields.
func (d *credentialDetail) UnmarshalJSON(b []byte) error {
	type plain credentialDetail
	if err := json.Unmarshal(b, (*plain)(d)); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	d.given = make(map[*credentialKind]map[string]json.RawMessage)
	for _, kind := range credentialKinds {
		if raw, ok := all[kind.field]; ok {
			values, err := jsonObject(raw)
			if err != nil {
				return fmt.Errorf("field '%s' must be a JSON object", kind.field)
			}
			d.given[kind] = values
		}
	}
	return nil
}

func (d *credentialDetail) clone() detail { c := *d; c.given = nil; return &c }

func (d *credentialDetail) prepare(_ *call, o *object, old detail) error {
	given := d.given
	d.given, d.SkipValidation, d.Force = nil, false, false
	if len(given) > 1 || len(given) == 0 && old == nil {
		var names []string
		for _, kind := range credentialKinds {
			names = append(names, kind.field)
		}
		return invalid("exactly one of %s is required.", strings.Join(names, ", "))
	}
	for kind, values := range given {
		if err := d.setKind(kind, values); err != nil {
			return err
		}
	}
	d.Purpose = "STORAGE"
	if o.res.typ == typeCredential {
		d.Purpose = "SERVICE"
	}
	return oneOf("isolation_mode", &d.IsolationMode, "ISOLATION_MODE_OPEN", "ISOLATION_MODE_OPEN", "ISOLATION_MODE_ISOLATED")
}

// setKind takes the values of the kind; those that are not given stay, if the credential is of that kind already.
func (d *credentialDetail) setKind(kind *credentialKind, given map[string]json.RawMessage) error {
	next, same := make(map[string]string), d.kind == kind
	for _, name := range slices.Concat(kind.required, kind.optional) {
		text := ""
		if raw, ok := given[name]; ok && json.Unmarshal(raw, &text) != nil {
			return malformed("field '%s.%s' must be a string", kind.field, name)
		}
		_, has := given[name]
		switch {
		case text == "" && (has || !same) && slices.Contains(kind.required, name):
			return invalid("%s.%s is required.", kind.field, name)
		case name == kind.secret:
		case text == "" && same:
			next[name] = d.values[name]
		case text != "":
			next[name] = text
		}
	}
	d.kind, d.values = kind, next
	return nil
}

func (d *credentialDetail) render(h commonFields) any {
	values := make(map[string]string, len(d.values)+2)
	for name, value := range d.values {
		values[name] = value
	}
	if d.kind.output != nil {
		for name, value := range d.kind.output(h.o) {
			values[name] = value
		}
	}
	return withField{struct {
		commonFields
		credentialDetail
		ID string `json:"id"`
	}{h, *d, h.o.uuid()}, d.kind.field, values}
}

// withField is a struct with one more JSON field, whose name is not known before.
type withField struct {
	object any
	name   string
	value  any
}

// MarshalJSON implements json.Marshaler.
func (w withField) MarshalJSON() ([]byte, error) {
	object, err := json.Marshal(w.object)
	if err != nil {
		return nil, err
	}
	field, err := json.Marshal(map[string]any{w.name: w.value})
	if err != nil {
		return nil, err
	}
	return append(append(object[:len(object)-1], ','), field[1:]...), nil
}

// credentialInUse: the external locations and external tables of a credential keep it.
func credentialInUse(_ *Server, credential *object) string {
	for location := range credential.parent.list(typeExternalLocation).after("") {
		if location.detail.(*locationDetail).credential == credential {
			return "external location '" + location.name + "' uses it"
		}
	}
	for table, d := range externalTables(credential.parent) {
		if d.credential == credential {
			return "external table '" + table.fullName() + "' uses it"
		}
	}
	return ""
}

// listCredentials lists service credentials, or storage credentials, or, when the query names no purpose, both by name.
func (s *Server) listCredentials(*resource) handlerFunc {
	return func(c *call) (any, error) {
		purpose := c.req.URL.Query().Get("purpose")
		if err := oneOf("purpose", &purpose, "ANY", "ANY", "SERVICE", "STORAGE"); err != nil {
			return nil, err
		}
		size, err := c.pageSize()
		if err != nil {
			return nil, err
		}
		if c.unbound, err = c.flag("include_unbound"); err != nil {
			return nil, err
		}
		s.mu.RLock()
		defer s.mu.RUnlock()
		metastore, err := s.metastore()
		if err != nil {
			return nil, err
		}
		return listObjects(c, size, "credentials", s.render, func(after string) iter.Seq2[string, *object] {
			service := s.visible(c, s.resources["credentials"], metastore, after)
			storage := s.visible(c, s.resources["storage-credentials"], metastore, after)
			switch purpose {
			case "SERVICE":
				return service
			case "STORAGE":
				return storage
			}
			return mergeByKey(service, storage)
		})
	}
}

// mergeByKey merges two sequences with ascending keys. Their keys are distinct.
func mergeByKey[T any](a, b iter.Seq2[string, T]) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		key, item, more := next()
		for k, v := range a {
			for ; more && key < k; key, item, more = next() {
				if !yield(key, item) {
					return
				}
			}
			if !yield(k, v) {
				return
			}
		}
		for ; more; key, item, more = next() {
			if !yield(key, item) {
				return
			}
		}
	}
}
