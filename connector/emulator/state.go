package emulator

import (
	"iter"
	"net/url"
	"slices"

	"ucwarden/policy"
)

// State returns the present state as a seed, sorted by name. A server made from it has the same objects and grants;
// secrets, ids and times are not part of it.
func (s *Server) State() *Seed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	seed := &Seed{WorkspaceID: s.assignment.WorkspaceID}
	for name := range s.accountAdmins {
		seed.AccountAdmins = append(seed.AccountAdmins, name)
	}
	slices.Sort(seed.AccountAdmins)
	s.seedPrincipals(seed)
	m, err := s.metastore()
	if err != nil {
		return seed
	}
	d := m.detail.(*metastoreDetail)
	seed.Metastore = SeedMetastore{s.seedObjectOf(m), d.id, d.Region, d.StorageRoot[:len(d.StorageRoot)-len(d.id)-1]}
	for o, in := range seedObjects(s, m, policy.StorageCredential) {
		seed.StorageCredentials = append(seed.StorageCredentials, SeedCredential{in, roleOf(o)})
	}
	for o, in := range seedObjects(s, m, policy.Credential) {
		seed.Credentials = append(seed.Credentials, SeedCredential{in, roleOf(o)})
	}
	for o, in := range seedObjects(s, m, policy.ExternalLocation) {
		d := o.detail.(*locationDetail)
		seed.ExternalLocations = append(seed.ExternalLocations, SeedLocation{in, d.URL, d.CredentialName, d.ReadOnly})
	}
	for o, in := range seedObjects(s, m, policy.Connection) {
		seed.Connections = append(seed.Connections, SeedConnection{in, o.detail.(*connectionDetail).ConnectionType})
	}
	for o, in := range seedObjects(s, m, policy.Recipient) {
		seed.Recipients = append(seed.Recipients, SeedRecipient{in, o.detail.(*recipientDetail).GlobalMetastoreID})
	}
	for _, in := range seedObjects(s, m, policy.Provider) {
		seed.Providers = append(seed.Providers, SeedProvider{in})
	}
	for o, in := range seedObjects(s, m, policy.Share) {
		share := SeedShare{SeedObject: in}
		for _, object := range o.detail.(*shareDetail).objects {
			share.Tables = append(share.Tables, object.Name)
		}
		seed.Shares = append(seed.Shares, share)
	}
	for o, in := range seedObjects(s, m, policy.Catalog) {
		catalog := SeedCatalog{SeedObject: in, Properties: o.detail.(*catalogDetail).Properties}
		for schema, in := range seedObjects(s, o, policy.Schema) {
			catalog.Schemas = append(catalog.Schemas, s.seedSchemaOf(schema, in))
		}
		seed.Catalogs = append(seed.Catalogs, catalog)
	}
	return seed
}

// Grants returns all grants in the metastore, without those of deleted principals.
func (s *Server) Grants() *policy.GrantSet {
	s.mu.RLock()
	defer s.mu.RUnlock()
	set := policy.NewGrantSet()
	if m, err := s.metastore(); err == nil {
		s.collectGrants(m, set)
	}
	return set
}

func (s *Server) collectGrants(o *object, set *policy.GrantSet) {
	var assignments []policy.Assignment
	for _, g := range o.grants {
		if p := s.directory.byID[g.id]; p != nil && !p.deleted {
			for _, x := range s.privs.list(g.privs) {
				assignments = append(assignments, policy.Assignment{Principal: p.principal(), Privilege: x})
			}
		}
	}
	if len(assignments) > 0 {
		set.Set(o.securable(), assignments)
	}
	for _, list := range o.children {
		for child := range list.after("") {
			s.collectGrants(child, set)
		}
	}
}

func (s *Server) seedPrincipals(seed *Seed) {
	for name, p := range s.directory.byName {
		switch {
		case p.kind == User:
			seed.Users = append(seed.Users, name)
		case p.kind == ServicePrincipal:
			seed.ServicePrincipals = append(seed.ServicePrincipals, name)
		case name != policy.AccountUsers.Name:
			seed.Groups = append(seed.Groups, SeedGroup{name, slices.Sorted(slices.Values(p.members))})
		}
	}
	slices.Sort(seed.Users)
	slices.Sort(seed.ServicePrincipals)
	slices.SortFunc(seed.Groups, func(a, b SeedGroup) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

func (s *Server) seedObjectOf(o *object) SeedObject {
	in := SeedObject{Name: o.name, Owner: o.owner, Comment: o.comment}
	if len(o.grants) > 0 {
		in.Grants = make(SeedGrants, len(o.grants))
	}
	for _, g := range o.grants {
		name := s.directory.nameOfID(g.id)
		if name == "" {
			name = deletedPrefix + jsonNumber(g.id)
		}
		in.Grants[name] = s.privs.list(g.privs)
	}
	return in
}

// seedObjects ranges over the objects of one type in parent, with their common seed fields.
func seedObjects(s *Server, parent *object, t policy.SecurableType) iter.Seq2[*object, SeedObject] {
	return func(yield func(*object, SeedObject) bool) {
		for o := range parent.list(t).after("") {
			if !yield(o, s.seedObjectOf(o)) {
				return
			}
		}
	}
}

func (s *Server) seedSchemaOf(o *object, in SeedObject) SeedSchema {
	schema := SeedSchema{SeedObject: in, Properties: o.detail.(*schemaDetail).Properties}
	for o, in := range seedObjects(s, o, policy.Table) {
		d := o.detail.(*tableDetail)
		table := SeedTable{SeedObject: in, Type: d.TableType, Format: d.DataSourceFormat, Location: d.StorageLocation,
			Definition: d.ViewDefinition, Properties: d.Properties}
		for _, c := range d.Columns {
			table.Columns = append(table.Columns, SeedColumn{c.Name, c.TypeName})
		}
		schema.Tables = append(schema.Tables, table)
	}
	for o, in := range seedObjects(s, o, policy.Function) {
		if o.kind == policy.KindModel {
			schema.Models = append(schema.Models, SeedItem{in})
		} else {
			schema.Functions = append(schema.Functions, SeedItem{in})
		}
	}
	for o, in := range seedObjects(s, o, policy.Volume) {
		volume := SeedVolume{SeedObject: in}
		if d := o.detail.(*volumeDetail); d.VolumeType == "EXTERNAL" {
			volume.Location = d.StorageLocation
		}
		schema.Volumes = append(schema.Volumes, volume)
	}
	return schema
}

func roleOf(o *object) string {
	if role := o.detail.(*credentialDetail).AWSRole; role != nil {
		return role.RoleARN
	}
	return ""
}

// escapePath returns a name escaped for a storage URL.
func escapePath(name string) string { return url.PathEscape(policy.CanonicalName(name)) }
