package emulator

import (
	"encoding/json"
	"slices"
	"strings"
)

type partitionValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Op    string `json:"op"`
}

type partition struct {
	Values []partitionValue `json:"values"`
}

type dataObject struct {
	Name           string      `json:"name"`
	Comment        string      `json:"comment,omitempty"`
	SharedAs       string      `json:"shared_as,omitempty"`
	Partitions     []partition `json:"partitions,omitempty"`
	CDFEnabled     bool        `json:"cdf_enabled,omitempty"`
	StartVersion   int64       `json:"start_version,omitempty"`
	DataObjectType string      `json:"data_object_type,omitempty"`
	AddedAt        int64       `json:"added_at,omitempty"` // output
	AddedBy        string      `json:"added_by,omitempty"` // output
}

// shareDetail is a share. Updates is only set while an update is processed.
type shareDetail struct {
	Updates []struct {
		Action     string      `json:"action"`
		DataObject *dataObject `json:"data_object"`
	} `json:"updates"`
	objects []dataObject // immutable once stored
}

func (d *shareDetail) clone() detail { return &shareDetail{objects: d.objects} }

func (d *shareDetail) prepare(c *call, o *object, old detail) error {
	updates := d.Updates
	d.Updates = nil
	if old == nil {
		return nil // objects are added by updates only
	}
	next := slices.Clone(d.objects)
	for _, update := range updates {
		if update.DataObject == nil {
			return invalid("data_object is required.")
		}
		object := *update.DataObject
		object.Name = canonicalName(object.Name)
		at := slices.IndexFunc(next, func(other dataObject) bool { return other.Name == object.Name })
		switch {
		case update.Action == "ADD" && at < 0:
			if err := c.prepareSharedObject(o, &object); err != nil {
				return err
			}
			next = append(next, object)
		case update.Action == "ADD":
			return alreadyExists("RESOURCE", object.Name)
		case update.Action != "REMOVE" && update.Action != "UPDATE":
			return invalid("action '%s' is not one of ADD, REMOVE, UPDATE.", update.Action)
		case at < 0:
			return notFound("RESOURCE", object.Name)
		case update.Action == "REMOVE":
			next = slices.Delete(next, at, at+1)
		default:
			object.AddedAt, object.AddedBy, object.DataObjectType = next[at].AddedAt, next[at].AddedBy, next[at].DataObjectType
			if object.SharedAs == "" {
				object.SharedAs = next[at].SharedAs
			}
			next[at] = object
		}
	}
	names := make(map[string]bool, len(next))
	for _, object := range next {
		if names[object.SharedAs] {
			return invalid("shared_as '%s' is used twice in the share.", object.SharedAs)
		}
		names[object.SharedAs] = true
	}
	d.objects = next
	return nil
}

// prepareSharedObject checks a table that is added to a share, and sets its defaults. The share's owner needs SELECT on
// it.
func (c *call) prepareSharedObject(share *object, object *dataObject) error {
	if err := oneOf("data_object_type", &object.DataObjectType, "TABLE", "TABLE", "VIEW", "MATERIALIZED_VIEW", "STREAMING_TABLE"); err != nil {
		return err
	}
	table, err := c.srv.find(c.srv.types[typeTable], object.Name)
	if err != nil {
		return err
	}
	owner := &call{srv: c.srv, req: c.req, who: c.srv.callerOf(share.owner)}
	if !owner.mayRead(table) {
		return denied("The owner of Share '%s' needs SELECT on Table '%s'.", share.name, object.Name)
	}
	if object.SharedAs == "" {
		object.SharedAs = table.parent.name + "." + table.name
	}
	object.SharedAs = canonicalName(object.SharedAs)
	if strings.Count(object.SharedAs, ".") != 1 {
		return invalid("shared_as '%s' must be schema.table.", object.SharedAs)
	}
	for _, p := range object.Partitions {
		for _, value := range p.Values {
			if value.Op != "EQUAL" && value.Op != "LIKE" {
				return invalid("op '%s' is not one of EQUAL, LIKE.", value.Op)
			}
		}
	}
	object.AddedAt, object.AddedBy = nowMillis(), c.who.name
	return nil
}

func (d *shareDetail) render(h commonFields) any {
	return struct {
		commonFields
		Objects []dataObject `json:"objects,omitempty"`
	}{h, d.objects}
}

type recipientToken struct {
	ID             string `json:"id"`
	ActivationURL  string `json:"activation_url,omitempty"`
	ExpirationTime int64  `json:"expiration_time,omitempty"`
	CreatedAt      int64  `json:"created_at"`
	CreatedBy      string `json:"created_by"`
	UpdatedAt      int64  `json:"updated_at"`
	UpdatedBy      string `json:"updated_by"`
}

type ipAccessList struct {
	AllowedIPAddresses []string `json:"allowed_ip_addresses,omitempty"`
}

type recipientDetail struct {
	AuthenticationType string        `json:"authentication_type,omitempty"`
	GlobalMetastoreID  string        `json:"data_recipient_global_metastore_id,omitempty"`
	IPAccessList       *ipAccessList `json:"ip_access_list,omitempty"`
	tokens             []recipientToken
	grantee            int64 // id of the grantee in grants on shares
}

func (d *recipientDetail) clone() detail { c := *d; c.IPAccessList = nil; return &c }

func (d *recipientDetail) prepare(c *call, o *object, old detail) error {
	was, isUpdate := old.(*recipientDetail)
	if isUpdate {
		d.AuthenticationType, d.GlobalMetastoreID = was.AuthenticationType, was.GlobalMetastoreID
		if d.IPAccessList == nil {
			d.IPAccessList = was.IPAccessList
		}
	}
	if err := oneOf("authentication_type", &d.AuthenticationType, "", "TOKEN", "DATABRICKS"); err != nil {
		return err
	}
	byToken := d.AuthenticationType == "TOKEN"
	switch {
	case byToken && d.GlobalMetastoreID != "":
		return invalid("data_recipient_global_metastore_id is only for authentication_type DATABRICKS.")
	case !byToken && strings.Count(d.GlobalMetastoreID, ":") != 2:
		return invalid("data_recipient_global_metastore_id must be <cloud>:<region>:<uuid>.")
	case !byToken && d.IPAccessList != nil:
		return invalid("ip_access_list is only for authentication_type TOKEN.")
	case d.IPAccessList != nil && len(d.IPAccessList.AllowedIPAddresses) > 100:
		return invalid("ip_access_list holds at most 100 addresses.")
	}
	if isUpdate {
		return nil
	}
	d.grantee = c.srv.directory.register(recipientKind, o.name).id
	if byToken {
		d.tokens = []recipientToken{c.newRecipientToken(d.grantee)}
	}
	return nil
}

func (c *call) newRecipientToken(seed int64) recipientToken {
	c.srv.lastID++
	id, now := uuid(0x70ce, seed<<20|c.srv.lastID), nowMillis()
	return recipientToken{ID: id, ActivationURL: "https://emulator.invalid/delta_sharing/retrieve_config.html?id=" + id,
		CreatedAt: now, CreatedBy: c.who.name, UpdatedAt: now, UpdatedBy: c.who.name}
}

func (d *recipientDetail) render(h commonFields) any {
	answer := struct {
		commonFields
		recipientDetail
		ID          string           `json:"id"`
		Tokens      []recipientToken `json:"tokens,omitempty"`
		Cloud       string           `json:"cloud,omitempty"`
		Region      string           `json:"region,omitempty"`
		MetastoreID string           `json:"metastore_id,omitempty"`
	}{commonFields: h, recipientDetail: *d, ID: h.uuid, Tokens: d.tokens}
	if parts := strings.Split(d.GlobalMetastoreID, ":"); len(parts) == 3 {
		answer.Cloud, answer.Region, answer.MetastoreID = parts[0], parts[1], parts[2]
	}
	return answer
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

type recipientProfile struct {
	ShareCredentialsVersion int    `json:"share_credentials_version,omitempty"`
	Endpoint                string `json:"endpoint,omitempty"`
}

type providerDetail struct {
	AuthenticationType  string `json:"authentication_type,omitempty"`
	RecipientProfileStr string `json:"recipient_profile_str,omitempty"`
	profile             *recipientProfile
}

func (d *providerDetail) clone() detail { c := *d; return &c }

// prepare implements detail. The bearer token in the profile is not stored.
func (d *providerDetail) prepare(_ *call, _ *object, old detail) error {
	if was, ok := old.(*providerDetail); ok {
		d.AuthenticationType = was.AuthenticationType
	}
	if err := oneOf("authentication_type", &d.AuthenticationType, "", "TOKEN", "DATABRICKS"); err != nil {
		return err
	}
	text := d.RecipientProfileStr
	d.RecipientProfileStr = ""
	switch {
	case text == "" && d.AuthenticationType == "TOKEN" && d.profile == nil:
		return invalid("recipient_profile_str is required for authentication_type TOKEN.")
	case text != "" && d.AuthenticationType != "TOKEN":
		return invalid("recipient_profile_str is only for authentication_type TOKEN.")
	case text == "":
		return nil
	}
	var profile struct {
		Version  int    `json:"shareCredentialsVersion"`
		Endpoint string `json:"endpoint"`
	}
	if err := json.Unmarshal([]byte(text), &profile); err != nil || profile.Endpoint == "" {
		return invalid("recipient_profile_str is not a recipient profile.")
	}
	d.profile = &recipientProfile{profile.Version, profile.Endpoint}
	return nil
}

func (d *providerDetail) render(h commonFields) any {
	return struct {
		commonFields
		AuthenticationType string            `json:"authentication_type"`
		RecipientProfile   *recipientProfile `json:"recipient_profile,omitempty"`
	}{h, d.AuthenticationType, d.profile}
}
