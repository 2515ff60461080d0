package emulator

import (
	"cmp"
	"iter"
	"math"
	"net/netip"
	"slices"
	"strings"
)

func recipients() *resource {
	return &resource{path: "recipients", label: "RECIPIENT", typ: typeRecipient, parent: typeMetastore,
		fields: fields{"name": "R/O", "new_name": "-/O", "authentication_type": "R/I", "comment": "O/O", "owner": "I/O",
			"data_recipient_global_metastore_id": "O/I", "ip_access_list": "O/O", "sharing_code": "O/I", "expiration_time": "O/O",
			"properties_kvpairs": "O/O"},
		list:      (*Server).listRecipients,
		newDetail: func() detail { return &recipientDetail{} }}
}

// The ways in which recipients and providers sign in.
const (
	byToken      = "TOKEN"
	byDatabricks = "DATABRICKS"
)

type recipientToken struct {
	ID             string `json:"id"`
	ActivationURL  string `json:"activation_url"` // empty once it is used
	ExpirationTime int64  `json:"expiration_time,omitempty"`
	CreatedAt      int64  `json:"created_at"`
	CreatedBy      string `json:"created_by"`
	UpdatedAt      int64  `json:"updated_at"`
	UpdatedBy      string `json:"updated_by"`
}

type ipAccessList struct {
	AllowedIPAddresses []string `json:"allowed_ip_addresses,omitempty"`
}

type recipientProperties struct {
	Properties stringMap `json:"properties"`
}

type recipientDetail struct {
	AuthenticationType string               `json:"authentication_type"`
	GlobalMetastoreID  string               `json:"data_recipient_global_metastore_id,omitempty"`
	IPAccessList       *ipAccessList        `json:"ip_access_list,omitempty"`
	SharingCode        string               `json:"sharing_code,omitempty"`
	ExpirationTime     int64                `json:"expiration_time,omitempty"` // epoch milliseconds
	Properties         *recipientProperties `json:"properties_kvpairs,omitempty"`
	tokens             []recipientToken
	grantee            int64 // id of the grantee in grants on shares
}

// clone leaves out what a decoder would write into; prepare restores it.
func (d *recipientDetail) clone() detail {
	c := *d
	c.IPAccessList, c.Properties = nil, nil
	return &c
}

func (d *recipientDetail) prepare(c *call, o *object, old detail) error {
	was, isUpdate := old.(*recipientDetail)
	if err := oneOf("authentication_type", &d.AuthenticationType, "", byToken, byDatabricks); err != nil {
		return err
	}
	if err := d.checkByType(); err != nil {
		return err
	}
	if isUpdate {
		d.IPAccessList, d.Properties = cmp.Or(d.IPAccessList, was.IPAccessList), cmp.Or(d.Properties, was.Properties)
		return nil
	}
	d.grantee = c.srv.directory.register(recipientKind, o.name).id
	if d.AuthenticationType == byToken {
		d.tokens = []recipientToken{d.newToken(c, o)}
	}
	return nil
}

// checkByType checks what only recipients of one authentication type have.
func (d *recipientDetail) checkByType() error {
	isToken := d.AuthenticationType == byToken
	switch {
	case isToken && d.GlobalMetastoreID != "":
		return invalid("data_recipient_global_metastore_id is only for authentication_type DATABRICKS.")
	case !isToken && d.IPAccessList != nil:
		return invalid("ip_access_list is only for authentication_type TOKEN.")
	case d.ExpirationTime < 0:
		return invalid("expiration_time must be at least 0.")
	}
	if d.GlobalMetastoreID != "" {
		d.GlobalMetastoreID = strings.ToLower(d.GlobalMetastoreID)
		if parts := strings.Split(d.GlobalMetastoreID, ":"); len(parts) != 3 || slices.Contains(parts, "") {
			return invalid("data_recipient_global_metastore_id must be <cloud>:<region>:<uuid>.")
		}
	}
	if d.IPAccessList != nil {
		return checkAddresses(d.IPAccessList.AllowedIPAddresses)
	}
	return nil
}

// checkAddresses returns an error unless the list holds at most 100 addresses, alone or with a length of prefix.
func checkAddresses(list []string) error {
	if len(list) > 100 {
		return invalid("ip_access_list holds at most 100 addresses.")
	}
	for _, text := range list {
		if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
			continue
		}
		if _, err := netip.ParsePrefix(text); err != nil {
			return invalid("ip_access_list: '%s' is no IP address and no CIDR.", text)
		}
	}
	return nil
}

// newToken returns a token for o. It ends when the recipient does, or after the time that the metastore sets.
func (d *recipientDetail) newToken(c *call, o *object) recipientToken {
	c.srv.lastID++
	id, now := uuid(0x70ce, d.grantee<<20|c.srv.lastID), c.srv.nowMillis()
	expires := d.ExpirationTime
	if life := o.top().detail.(*metastoreDetail).DeltaSharingTokenLife; expires == 0 && life != nil && *life > 0 {
		expires = now + int64(*life)*1000
	}
	return recipientToken{ID: id, ActivationURL: "https://emulator.invalid/delta_sharing/retrieve_config.html?id=" + id,
		ExpirationTime: expires, CreatedAt: now, CreatedBy: c.who.name, UpdatedAt: now, UpdatedBy: c.who.name}
}

// otherSide is where a recipient or provider of Databricks is: what it has in place of our metastore's id.
type otherSide struct {
	Cloud  string `json:"cloud,omitempty"`
	Region string `json:"region,omitempty"`
}

// setOtherSide takes the parts of a global metastore id; without one, nothing of it is shown.
func (h *commonFields) setOtherSide(globalID string) otherSide {
	parts := strings.Split(globalID, ":")
	if len(parts) != 3 {
		parts = make([]string, 3)
	}
	h.MetastoreID = parts[2]
	return otherSide{parts[0], parts[1]}
}

func (d *recipientDetail) render(h commonFields) any {
	side := h.setOtherSide(d.GlobalMetastoreID)
	answer := struct {
		commonFields
		recipientDetail
		otherSide
		ID            string           `json:"id"`
		Activated     bool             `json:"activated"`
		ActivationURL string           `json:"activation_url,omitempty"`
		Tokens        []recipientToken `json:"tokens,omitempty"`
	}{commonFields: h, recipientDetail: *d, otherSide: side, ID: h.o.uuid(), Tokens: d.tokens}
	if len(d.tokens) > 0 {
		answer.ActivationURL = d.tokens[0].ActivationURL
	}
	return answer
}

// listRecipients lists recipients: of one metastore, if the query says so.
func (s *Server) listRecipients(res *resource) handlerFunc {
	return s.listWhere(res, "data_recipient_global_metastore_id", func(o *object) string {
		return o.detail.(*recipientDetail).GlobalMetastoreID
	})
}

// removeRecipientGrants removes a deleted recipient's grants from every share. s.mu must be held.
func (s *Server) removeRecipientGrants(metastore *object, grantee int64) {
	s.directory.byID[grantee].deleted = true
	for share := range metastore.list(typeShare).after("") {
		if !share.grants.of(grantee).empty() {
			share.setGrants(share.grants.with(grantee, privilegeSet{}))
		}
	}
}

type sharePermissions struct {
	ShareName            string                `json:"share_name"`
	PrivilegeAssignments []privilegeAssignment `json:"privilege_assignments"`
}

// recipientPermissions lists the shares granted to a recipient.
func (s *Server) recipientPermissions(c *call) (any, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	recipient, err := s.find(s.types[typeRecipient], c.req.PathValue("name"))
	if err == nil {
		err = c.check(toRead, recipient)
	}
	if err != nil {
		return nil, err
	}
	id := recipient.detail.(*recipientDetail).grantee
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, sharePermissions] {
		return func(yield func(string, sharePermissions) bool) {
			for share := range recipient.parent.list(typeShare).after(after) {
				if share.grants.of(id).empty() {
					continue
				}
				if !yield(share.name, sharePermissions{share.name, s.assignments(share, share.grants, id)}) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("permissions_out", page, next), nil
}

// rotateToken adds a new token to a recipient and shortens the validity of the old ones; it never extends it.
func (s *Server) rotateToken(c *call) (any, error) {
	var body struct {
		Seconds *int64 `json:"existing_token_expire_in_seconds"`
	}
	_, readErr := c.object("")
	if readErr == nil {
		readErr = decode(c.body, &body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.find(s.types[typeRecipient], c.req.PathValue("name"))
	if err == nil {
		err = c.check(toRotate, o)
	}
	if err == nil {
		err = readErr
	}
	if err != nil {
		return nil, err
	}
	if body.Seconds == nil || *body.Seconds < 0 {
		return nil, invalid("existing_token_expire_in_seconds must be at least 0.")
	}
	next := *o.detail.(*recipientDetail)
	if next.AuthenticationType != byToken {
		return nil, invalid("Recipient '%s' has no token.", o.name)
	}
	now := c.srv.now()
	expires := now.UnixMilli() + min(*body.Seconds, math.MaxInt32)*1000
	next.tokens = slices.DeleteFunc(slices.Clone(next.tokens), func(t recipientToken) bool {
		return t.ExpirationTime != 0 && t.ExpirationTime <= now.UnixMilli()
	})
	for i := range next.tokens {
		if t := &next.tokens[i]; t.ExpirationTime == 0 || t.ExpirationTime > expires {
			t.ExpirationTime, t.UpdatedAt, t.UpdatedBy = expires, now.UnixMilli(), c.who.name
		}
	}
	next.tokens = append(next.tokens, next.newToken(c, o))
	o.detail = &next
	return s.render(o), nil
}
