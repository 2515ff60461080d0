package emulator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ucwarden/connector/emulator/statement"
)

// loader fills a server from a seed. Every object is checked as by the API, except for the caller's access.
type loader struct {
	s *Server
	c *call // with the metastore's owner as caller

	// The columns converted last: generated tables share their columns, which are immutable once stored.
	lastSeedColumns *SeedColumn
	lastColumns     []column
}

func (s *Server) load(seed *Seed) error {
	m := seed.Metastore
	m.Name, m.Owner = cmp.Or(m.Name, "emulator"), cmp.Or(m.Owner, "admin@example.com")
	s.addSeedPrincipals(seed, m.Owner)
	m.Owner = s.directory.spelled(m.Owner)
	l := &loader{s: s, c: &call{srv: s, who: s.callerOf(m.Owner)}}
	metastore, err := l.metastore(m)
	if err != nil {
		return err
	}
	s.assignment = assignment{MetastoreID: metastore.uuid(), WorkspaceID: cmp.Or(seed.WorkspaceID, 1)}
	for _, in := range seed.StorageCredentials {
		if _, err := l.add("storage-credentials", metastore, in.SeedObject, in.detail()); err != nil {
			return err
		}
	}
	for _, in := range seed.Credentials {
		if _, err := l.add("credentials", metastore, in.SeedObject, in.detail()); err != nil {
			return err
		}
	}
	for _, in := range seed.ExternalLocations {
		d := &locationDetail{URL: in.URL, CredentialName: in.Credential, ReadOnly: in.ReadOnly}
		if _, err := l.add("external-locations", metastore, in.SeedObject, d); err != nil {
			return err
		}
	}
	for _, in := range seed.Connections {
		d := &connectionDetail{ConnectionType: cmp.Or(in.Type, "POSTGRESQL")}
		if _, err := l.add("connections", metastore, in.SeedObject, d); err != nil {
			return err
		}
	}
	for i := range seed.Catalogs {
		if err := l.catalog(metastore, &seed.Catalogs[i]); err != nil {
			return err
		}
	}
	for _, in := range seed.Warehouses {
		w := warehouse{ID: in.ID, Name: in.Name, State: in.State, AutoStopMins: 120, EnablePhoton: true, CreatorName: m.Owner,
			permissions: map[string]string{m.Owner: "IS_OWNER", workspaceUsers: "CAN_USE"}}
		err := oneOf("state", &w.State, warehouseRunning, warehouseRunning, warehouseStopped)
		if err == nil {
			err = s.addWarehouse(&w)
		}
		if err != nil {
			return seedError("warehouses", in.Name, err)
		}
		s.warehouses[w.ID] = w
	}
	if len(seed.Warehouses) == 0 {
		w := warehouse{ID: defaultWarehouse, Name: "Starter Warehouse", State: warehouseStopped, AutoStopMins: 10, EnablePhoton: true, Serverless: true,
			CreatorName: m.Owner, permissions: map[string]string{m.Owner: "IS_OWNER", workspaceUsers: "CAN_USE"}}
		if err := w.check(); err != nil {
			return seedError("warehouses", w.Name, err)
		}
		s.warehouses[w.ID] = w
	}
	for _, in := range seed.Pipelines {
		if err := s.addSeedPipeline(in, m.Owner); err != nil {
			return seedError("pipelines", in.Name, err)
		}
	}
	return l.sharing(metastore, seed)
}

// addSeedPrincipals adds the seed's principals to the directory.
func (s *Server) addSeedPrincipals(seed *Seed, owner string) {
	for _, name := range seed.Users {
		s.directory.add(User, name, nil)
	}
	for _, name := range seed.ServicePrincipals {
		s.directory.add(ServicePrincipal, name, nil)
	}
	for _, group := range seed.Groups { // first all groups, so that a group that is a member is not taken for another kind
		s.directory.add(Group, group.Name, nil)
	}
	for _, group := range seed.Groups {
		for _, member := range group.Members {
			s.directory.add(guessKind(member), member, nil)
		}
		s.directory.add(Group, group.Name, group.Members)
	}
	s.directory.add(guessKind(owner), owner, nil)
	if len(seed.AccountAdmins) == 0 {
		s.accountAdmins[s.directory.spelled(owner)] = true
	}
	for _, name := range seed.AccountAdmins {
		s.directory.add(guessKind(name), name, nil)
		s.accountAdmins[s.directory.spelled(name)] = true
	}
}

func (l *loader) metastore(in SeedMetastore) (*object, error) {
	name, err := checkName(in.Name)
	if err != nil {
		return nil, seedError("metastore", in.Name, err)
	}
	o := l.s.newObject(l.s.metastoreResource, nil, name, in.Owner)
	d := &metastoreDetail{StorageRoot: cmp.Or(in.StorageRoot, "s3://unity-emulator"), Region: in.Region}
	if err := d.prepare(l.c, o, nil); err != nil {
		return nil, seedError("metastore", in.Name, err)
	}
	if in.ID != "" {
		d.StorageRoot = strings.TrimSuffix(d.StorageRoot, d.id) + strings.ToLower(in.ID)
		d.id = strings.ToLower(in.ID)
	}
	o.detail, o.comment = d, in.Comment
	l.s.metastores[d.id] = o
	return o, l.grant(o, in.Grants)
}

// add adds one object to parent.
func (l *loader) add(path string, parent *object, in SeedObject, d detail) (*object, error) {
	res := l.s.resources[path]
	name, err := checkName(in.Name)
	if err == nil && parent.list(res.typ).get(name) != nil {
		err = alreadyExists(res.label, name)
	}
	if err != nil {
		return nil, seedError(path, in.Name, err)
	}
	o := l.s.newObject(res, parent, name, cmp.Or(in.Owner, l.c.who.name))
	o.owner = l.s.directory.add(guessKind(o.owner), o.owner, nil).name
	o.comment = in.Comment
	if err := d.prepare(l.c, o, nil); err != nil {
		return nil, seedError(path, o.fullName(), err)
	}
	o.detail = d
	parent.put(o)
	return o, l.grant(o, in.Grants)
}

func (l *loader) grant(o *object, grants SeedGrants) error {
	for name, privileges := range grants {
		set, err := l.s.parsePrivileges(o, privileges, true)
		if err != nil {
			return seedError("grants of", o.fullName(), err)
		}
		var p *principal
		switch {
		case strings.HasPrefix(name, deletedPrefix):
			p = l.s.directory.register(Group, name)
			p.deleted = true
		case o.res.typ == typeShare:
			if p, err = l.s.grantee(o, name); err != nil {
				return seedError("grants of", o.fullName(), err)
			}
		default:
			p = l.s.directory.add(guessKind(name), name, nil)
		}
		o.grants = o.grants.with(p.id, set)
	}
	return nil
}

func (l *loader) catalog(metastore *object, in *SeedCatalog) error {
	catalog, err := l.add("catalogs", metastore, in.SeedObject, &catalogDetail{Properties: in.Properties})
	if err != nil {
		return err
	}
	for i := range in.Schemas {
		if err := l.schema(catalog, &in.Schemas[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) schema(catalog *object, in *SeedSchema) error {
	schema, err := l.add("schemas", catalog, in.SeedObject, &schemaDetail{Properties: in.Properties})
	if err != nil {
		return err
	}
	root := "s3://unity-emulator/" + escapePath(catalog.name) + "/" + escapePath(schema.name) + "/"
	for i := range in.Tables {
		table := &in.Tables[i]
		d := l.table(table, root)
		rows, err := seedRows(d.Columns, table.Rows)
		if err != nil {
			return seedError("tables", table.Name, err)
		}
		d.rows = rows
		if _, err := l.add("tables", schema, table.SeedObject, d); err != nil {
			return err
		}
		if d.TableType == tableManaged {
			d.StorageLocation = table.Location
		}
	}
	for _, function := range in.Functions {
		d, err := function.detail()
		if err != nil {
			return seedError("functions", function.Name, err)
		}
		if _, err := l.add("functions", schema, function.SeedObject, d); err != nil {
			return err
		}
	}
	for _, model := range in.Models {
		versions, err := l.s.seedVersions(model, l.c.who.name)
		if err != nil {
			return seedError("models", model.Name, err)
		}
		if _, err := l.add("models", schema, model.SeedObject, &modelDetail{modelVersions: versions}); err != nil {
			return err
		}
	}
	for _, volume := range in.Volumes {
		d := &volumeDetail{StorageLocation: volume.Location}
		if volume.Location != "" {
			d.VolumeType = "EXTERNAL"
		}
		if _, err := l.add("volumes", schema, volume.SeedObject, d); err != nil {
			return err
		}
	}
	return nil
}

// table returns the detail of a table, with defaults. root is the storage location of the schema's managed tables.
func (l *loader) table(t *SeedTable, root string) *tableDetail {
	d := &tableDetail{TableType: cmp.Or(t.Type, tableManaged), Properties: t.Properties, Columns: l.columns(t.Columns)}
	if f := t.RowFilter; f != nil {
		arguments, columns := f.arguments()
		d.RowFilter = &rowFilter{f.Function, columns, arguments}
	}
	switch d.TableType {
	case tableManaged, tableExternal:
		d.DataSourceFormat = cmp.Or(t.Format, "DELTA")
		if d.TableType == tableExternal {
			d.StorageLocation = cmp.Or(t.Location, root+escapePath(t.Name))
		}
	case tableView:
		d.ViewDefinition = cmp.Or(t.Definition, "SELECT 1")
	default:
		d.ViewDefinition = t.Definition
	}
	return d
}

func (l *loader) columns(in []SeedColumn) []column {
	if len(in) == 0 {
		return nil
	}
	if l.lastSeedColumns == &in[0] && len(l.lastColumns) == len(in) {
		return l.lastColumns
	}
	l.lastSeedColumns, l.lastColumns = &in[0], make([]column, len(in))
	for i, c := range in {
		typ := cmp.Or(c.Type, "STRING")
		l.lastColumns[i] = column{Name: c.Name, TypeName: typ, TypeText: strings.ToLower(typ), TypeJSON: typeJSON(c.Name, typ), Position: i, Nullable: true}
		if c.Mask != nil {
			arguments, columns := c.Mask.arguments()
			l.lastColumns[i].Mask = &columnMask{c.Mask.Function, columns, arguments}
		}
	}
	return l.lastColumns
}

// detail returns the detail of a function, by default one that returns NULL.
func (i SeedItem) detail() (*functionDetail, error) {
	returns, source := cmp.Or(i.Returns, "STRING"), cmp.Or(i.Body, "NULL")
	body, err := statement.ParseExpression(source)
	if err != nil {
		return nil, err
	}
	d := sqlFunction(canonicalName(i.Name), returns, source, body)
	for n, p := range i.Parameters {
		d.InputParams = d.InputParams.with(n, p.Name, p.Type)
	}
	return d, nil
}

// arguments returns the arguments of a row filter or mask, and the names of the columns among them.
func (p *SeedProtection) arguments() (list []inputArgument, columns []string) {
	for _, argument := range p.Arguments {
		list = append(list, inputArgument(argument))
		if argument.Constant == nil {
			columns = append(columns, argument.Column)
		}
	}
	return list, columns
}

func (c SeedCredential) detail() *credentialDetail {
	role, err := json.Marshal(cmp.Or(c.RoleARN, "arn:aws:iam::123456789012:role/"+c.Name))
	if err != nil {
		role = nil // a string always has a JSON form
	}
	return &credentialDetail{given: map[*credentialKind]map[string]json.RawMessage{credentialKinds[0]: {"role_arn": role}}}
}

func (l *loader) sharing(metastore *object, seed *Seed) error {
	for _, in := range seed.Recipients {
		d := &recipientDetail{AuthenticationType: byToken, GlobalMetastoreID: in.GlobalMetastoreID}
		if in.GlobalMetastoreID != "" {
			d.AuthenticationType = byDatabricks
		}
		if _, err := l.add("recipients", metastore, in.SeedObject, d); err != nil {
			return err
		}
	}
	for _, in := range seed.Providers {
		d := &providerDetail{AuthenticationType: byDatabricks, globalID: in.GlobalMetastoreID}
		for _, name := range in.Shares {
			d.shares = append(d.shares, canonicalName(name))
		}
		slices.Sort(d.shares)
		if _, err := l.add("providers", metastore, in.SeedObject, d); err != nil {
			return err
		}
	}
	for _, in := range seed.Shares {
		share, err := l.add("shares", metastore, in.SeedObject, &shareDetail{})
		if err != nil {
			return err
		}
		d := &shareDetail{}
		for _, name := range in.Tables {
			table, err := l.s.find(l.s.types[typeTable], name)
			if err != nil {
				return seedError("shares", in.Name, err)
			}
			d.objects = append(d.objects, sharedObject{target: table, sharedAs: defaultSharedAs(table), addedAt: l.s.nowMillis(), addedBy: l.c.who.name})
		}
		share.detail = d
	}
	return nil
}

// seedError returns an error that names the object of the seed.
func seedError(what, name string, err error) error {
	message := err.Error()
	var api *apiError
	if errors.As(err, &api) {
		message = api.message
	}
	return fmt.Errorf("seed: %s %q: %s", what, name, message)
}
