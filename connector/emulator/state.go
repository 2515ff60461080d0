package emulator

import (
	"cmp"
	"iter"
	"maps"
	"net/url"
	"slices"
)

// State returns the present state as a seed, sorted by name. A server made from it has the same objects and grants;
// secrets, ids, times, tags, policies of all kinds, bindings to workspaces, allow-lists, updates of pipelines and permissions on warehouses are not part
// of it.
func (s *Server) State() *Seed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	seed := &Seed{WorkspaceID: s.assignment.WorkspaceID}
	for name := range s.accountAdmins {
		seed.AccountAdmins = append(seed.AccountAdmins, name)
	}
	slices.Sort(seed.AccountAdmins)
	s.seedPrincipals(seed)
	for _, id := range slices.Sorted(maps.Keys(s.warehouses)) {
		w := s.warehouses[id]
		seed.Warehouses = append(seed.Warehouses, SeedWarehouse{id, w.Name, w.State})
	}
	for _, id := range slices.Sorted(maps.Keys(s.pipelines)) {
		seed.Pipelines = append(seed.Pipelines, s.pipelines[id].seed())
	}
	m, err := s.metastore()
	if err != nil {
		return seed
	}
	d := m.detail.(*metastoreDetail)
	seed.Metastore = SeedMetastore{s.seedObjectOf(m), d.id, d.Region, d.StorageRoot[:len(d.StorageRoot)-len(d.id)-1]}
	for o, in := range seedObjects(s, m, typeStorageCredential) {
		seed.StorageCredentials = append(seed.StorageCredentials, SeedCredential{in, roleOf(o)})
	}
	for o, in := range seedObjects(s, m, typeCredential) {
		seed.Credentials = append(seed.Credentials, SeedCredential{in, roleOf(o)})
	}
	for o, in := range seedObjects(s, m, typeExternalLocation) {
		d := o.detail.(*locationDetail)
		seed.ExternalLocations = append(seed.ExternalLocations, SeedLocation{in, d.URL, d.credential.name, d.ReadOnly})
	}
	for o, in := range seedObjects(s, m, typeConnection) {
		seed.Connections = append(seed.Connections, SeedConnection{in, o.detail.(*connectionDetail).ConnectionType})
	}
	for o, in := range seedObjects(s, m, typeRecipient) {
		seed.Recipients = append(seed.Recipients, SeedRecipient{in, o.detail.(*recipientDetail).GlobalMetastoreID})
	}
	for o, in := range seedObjects(s, m, typeProvider) {
		d := o.detail.(*providerDetail)
		seed.Providers = append(seed.Providers, SeedProvider{in, d.globalID, d.shares})
	}
	for o, in := range seedObjects(s, m, typeShare) {
		share := SeedShare{SeedObject: in}
		for _, object := range o.detail.(*shareDetail).objects {
			if object.target.res.typ == typeTable && !detached(object.target) {
				share.Tables = append(share.Tables, object.target.fullName())
			}
		}
		seed.Shares = append(seed.Shares, share)
	}
	for o, in := range seedObjects(s, m, typeCatalog) {
		catalog := SeedCatalog{SeedObject: in, Properties: o.detail.(*catalogDetail).Properties}
		for schema, in := range seedObjects(s, o, typeSchema) {
			catalog.Schemas = append(catalog.Schemas, s.seedSchemaOf(schema, in))
		}
		seed.Catalogs = append(seed.Catalogs, catalog)
	}
	return seed
}

// Grants returns all grants in the metastore, sorted by their fields, without those of deleted principals.
func (s *Server) Grants() []Grant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := s.metastore()
	if err != nil {
		return nil
	}
	list := s.collectGrants(m, nil)
	slices.SortFunc(list, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Privilege, b.Privilege))
	})
	return list
}

func (s *Server) collectGrants(o *object, list []Grant) []Grant {
	for _, g := range o.grants {
		if name := s.directory.nameOfID(g.id); name != "" {
			for _, p := range s.privs.list(g.privs) {
				list = append(list, Grant{string(o.res.typ), o.fullName(), name, string(p)})
			}
		}
	}
	for _, children := range o.children {
		for child := range children.after("") {
			list = s.collectGrants(child, list)
		}
	}
	return list
}

func (s *Server) seedPrincipals(seed *Seed) {
	for name, p := range s.directory.byName {
		switch {
		case p.kind == User:
			seed.Users = append(seed.Users, name)
		case p.kind == ServicePrincipal:
			seed.ServicePrincipals = append(seed.ServicePrincipals, name)
		case name != accountUsers:
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
		for _, p := range s.privs.list(g.privs) {
			in.Grants[name] = append(in.Grants[name], string(p))
		}
	}
	return in
}

// seedObjects ranges over the objects of one type in parent, with their common seed fields.
func seedObjects(s *Server, parent *object, t securableType) iter.Seq2[*object, SeedObject] {
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
	for o, in := range seedObjects(s, o, typeTable) {
		d := o.detail.(*tableDetail)
		table := SeedTable{SeedObject: in, Type: d.TableType, Format: d.DataSourceFormat, Location: d.StorageLocation,
			Definition: d.ViewDefinition, Properties: d.Properties}
		table.RowFilter = d.RowFilter.seed()
		for _, row := range d.rows {
			table.Rows = append(table.Rows, seedRow(row))
		}
		for _, c := range d.Columns {
			table.Columns = append(table.Columns, SeedColumn{c.Name, c.TypeName, c.Mask.seed()})
		}
		schema.Tables = append(schema.Tables, table)
	}
	for o, in := range seedObjects(s, o, typeFunction) {
		if o.kind == kindModel {
			schema.Models = append(schema.Models, seedModelOf(o, in))
		} else {
			schema.Functions = append(schema.Functions, seedFunctionOf(o, in))
		}
	}
	for o, in := range seedObjects(s, o, typeVolume) {
		volume := SeedVolume{SeedObject: in}
		if d := o.detail.(*volumeDetail); d.VolumeType == "EXTERNAL" {
			volume.Location = d.StorageLocation
		}
		schema.Volumes = append(schema.Volumes, volume)
	}
	return schema
}

func roleOf(o *object) string { return o.detail.(*credentialDetail).values["role_arn"] }

// escapePath returns a name escaped for a storage URL.
func escapePath(name string) string { return url.PathEscape(canonicalName(name)) }

// seedFunctionOf returns the seed of a function. One that is not of SQL, or of another seed by default, is a name.
func seedFunctionOf(o *object, in SeedObject) SeedItem {
	d, item := o.detail.(*functionDetail), SeedItem{SeedObject: in}
	if d.body == nil || d.RoutineDefinition == "NULL" && d.FullDataType == "STRING" && d.InputParams == nil {
		return item
	}
	item.Returns, item.Body = d.FullDataType, d.RoutineDefinition
	if d.InputParams != nil {
		for _, p := range d.InputParams.Parameters {
			item.Parameters = append(item.Parameters, SeedParameter{p.Name, p.TypeText})
		}
	}
	return item
}

func (f *rowFilter) seed() *SeedProtection {
	if f == nil {
		return nil
	}
	return seedProtection(f.FunctionName, f.InputArguments, f.InputColumnNames)
}

func (m *columnMask) seed() *SeedProtection {
	if m == nil {
		return nil
	}
	return seedProtection(m.FunctionName, m.UsingArguments, m.UsingColumnNames)
}

func seedProtection(function string, arguments []inputArgument, columns []string) *SeedProtection {
	p := &SeedProtection{Function: function}
	if arguments == nil {
		arguments = argumentsOf(columns)
	}
	for _, argument := range arguments {
		p.Arguments = append(p.Arguments, SeedArgument(argument))
	}
	return p
}
