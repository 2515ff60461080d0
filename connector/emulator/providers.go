package emulator

import (
	"encoding/json"
	"iter"
)

func providers() *resource {
	return &resource{path: "providers", label: "PROVIDER", typ: typeProvider, parent: typeMetastore,
		fields: fields{"name": "R/O", "new_name": "-/O", "authentication_type": "R/I", "comment": "O/O", "owner": "I/O",
			"recipient_profile_str": "O/O"},
		list:      (*Server).listProviders,
		newDetail: func() detail { return &providerDetail{} }}
}

type recipientProfile struct {
	ShareCredentialsVersion int    `json:"share_credentials_version,omitempty"`
	Endpoint                string `json:"endpoint,omitempty"`
}

type providerDetail struct {
	AuthenticationType  string `json:"authentication_type"`
	RecipientProfileStr string `json:"recipient_profile_str,omitempty"` // stored without the bearer token
	profile             *recipientProfile
	globalID            string // of the metastore of a provider of Databricks
	shares              []string
}

func (d *providerDetail) clone() detail { c := *d; return &c }

// prepare implements detail. The bearer token in the profile is not stored.
func (d *providerDetail) prepare(_ *call, o *object, old detail) error {
	if err := oneOf("authentication_type", &d.AuthenticationType, "", byToken, byDatabricks); err != nil {
		return err
	}
	if d.AuthenticationType == byDatabricks {
		if d.RecipientProfileStr != "" {
			return invalid("recipient_profile_str is only for authentication_type TOKEN.")
		}
		if d.globalID == "" { // the real service learns it from the provider
			d.globalID = "aws:local:" + uuid(0x0b0d, o.id)
		}
		return nil
	}
	if was, ok := old.(*providerDetail); d.RecipientProfileStr == "" || ok && d.RecipientProfileStr == was.RecipientProfileStr {
		return nil
	}
	return d.setProfile()
}

func (d *providerDetail) setProfile() error {
	var profile struct {
		Version  int    `json:"shareCredentialsVersion"`
		Endpoint string `json:"endpoint"`
	}
	fields, err := jsonObject([]byte(d.RecipientProfileStr))
	if err != nil || json.Unmarshal([]byte(d.RecipientProfileStr), &profile) != nil || profile.Endpoint == "" {
		return invalid("recipient_profile_str is not a recipient profile.")
	}
	for name := range fields {
		if isSecret(name) {
			fields[name] = json.RawMessage(`"REDACTED"`)
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	d.RecipientProfileStr, d.profile = string(text), &recipientProfile{profile.Version, profile.Endpoint}
	return nil
}

func (d *providerDetail) render(h commonFields) any {
	side := h.setOtherSide(d.globalID)
	return struct {
		commonFields
		providerDetail
		otherSide
		GlobalID         string            `json:"data_provider_global_metastore_id,omitempty"`
		RecipientProfile *recipientProfile `json:"recipient_profile,omitempty"`
	}{h, *d, side, d.globalID, d.profile}
}

// listProviders lists providers: of one metastore, if the query says so.
func (s *Server) listProviders(res *resource) handlerFunc {
	return s.listWhere(res, "data_provider_global_metastore_id", func(o *object) string {
		return o.detail.(*providerDetail).globalID
	})
}

// providerShares lists the shares of a provider, which are those of its seed.
func (s *Server) providerShares(c *call) (any, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, err := s.find(s.types[typeProvider], c.req.PathValue("name"))
	if err == nil {
		err = c.check(toRead, o)
	}
	if err != nil {
		return nil, err
	}
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, map[string]string] {
		return func(yield func(string, map[string]string) bool) {
			for _, name := range o.detail.(*providerDetail).shares {
				if name > after && !yield(name, map[string]string{"name": name}) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("shares", page, next), nil
}
