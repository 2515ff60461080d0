package emulator

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"ucwarden/connector/emulator/statement"
)

// sqlRun carries out statements for a caller. s.mu must be held.
type sqlRun struct {
	s               *Server
	c               *call
	catalog, schema string // where names without them are
}

// sqlTypes are the collections of the types of objects in SQL.
var sqlTypes = map[string]securableType{"CATALOG": typeCatalog, "SCHEMA": typeSchema, "TABLE": typeTable, "FUNCTION": typeFunction, "VOLUME": typeVolume,
	"EXTERNAL LOCATION": typeExternalLocation, "STORAGE CREDENTIAL": typeStorageCredential, "CREDENTIAL": typeCredential, "CONNECTION": typeConnection,
	"SHARE": typeShare, "RECIPIENT": typeRecipient, "PROVIDER": typeProvider}

// find returns the object that a statement names.
func (r *sqlRun) find(o statement.Object) (*object, error) {
	if o.Type == "METASTORE" {
		return r.s.metastore()
	}
	t := sqlTypes[o.Type]
	name, depth := o.Name, t.depth()
	if missing := depth - len(name); missing > 0 && missing < depth {
		name = slices.Concat([]string{r.catalog, r.schema}[:missing], name)
	}
	return r.s.find(r.s.types[t], strings.Join(name, "."))
}

func (r *sqlRun) statement(parsed statement.Statement) (columns []string, rows [][]*string, err error) {
	switch st := parsed.(type) {
	case *statement.Grant:
		return nil, nil, r.grant(st)
	case *statement.SetOwner:
		return nil, nil, r.setOwner(st)
	case *statement.SetTags:
		return nil, nil, r.setTags(st)
	case *statement.ShowGrants:
		return r.showGrants(st)
	case *statement.Select:
		return r.selectRows(st)
	case *statement.CreateFunction:
		return nil, nil, r.createFunction(st)
	case *statement.CreateSchema:
		return nil, nil, r.createSchema(st)
	case *statement.Drop:
		return nil, nil, r.drop(st)
	case *statement.Comment:
		return nil, nil, r.comment(st)
	case *statement.RowFilter:
		return nil, nil, r.setFilter(st)
	case *statement.Mask:
		return nil, nil, r.setMask(st)
	}
	return nil, nil, invalid("the statement is not supported by the emulator.")
}

func (r *sqlRun) grant(st *statement.Grant) error {
	o, err := r.find(st.On)
	if err != nil {
		return err
	}
	if err := r.c.checkChangesGrants(o); err != nil {
		return err
	}
	change := permissionsChange{Principal: st.Principal}
	if st.Revoke {
		change.Remove = st.Privileges
	} else {
		change.Add = st.Privileges
	}
	return r.s.changeGrants(r.c, o, []permissionsChange{change})
}

func (r *sqlRun) setOwner(st *statement.SetOwner) error {
	o, err := r.find(st.On)
	if err != nil {
		return err
	}
	owner, err := json.Marshal(st.Owner)
	if err != nil {
		return err
	}
	_, err = r.s.updateObject(r.c, o, map[string]json.RawMessage{"owner": owner})
	return err
}

// setTags changes all of the tags, or returns an error and changes nothing.
func (r *sqlRun) setTags(st *statement.SetTags) error {
	o, err := r.find(st.On)
	if err != nil {
		return err
	}
	if err := r.c.checkTags(o); err != nil {
		return err
	}
	e := tagged{o: o}
	switch o.res.typ {
	case typeCatalog, typeSchema, typeTable, typeVolume:
	default:
		return invalid("Tags of a %s are not supported by the emulator.", displayLabel(o.res.label))
	}
	if st.Column != "" {
		if e, err = r.s.findTagged("columns", o.fullName()+"."+st.Column); err != nil {
			return err
		}
	}
	added := 0
	for _, tag := range st.Set {
		if err := r.s.checkTag(tag.Key, tag.Value); err != nil {
			return err
		}
		if _, err := e.tag(tag.Key); err != nil {
			added++
		}
	}
	if len(o.tags[e.target])+added > maxTags {
		return invalid("'%s' would have more than %d tags.", o.fullName(), maxTags)
	}
	for _, tag := range st.Set {
		e.set(tag.Key, tagAssignment{tag.Value, r.s.nowMillis(), r.c.who.name})
	}
	for _, key := range st.Unset {
		delete(o.tags[e.target], key)
	}
	return nil
}

// showGrants lists the grants on an object, and those on what it is in, to who may read them; to others their own.
func (r *sqlRun) showGrants(st *statement.ShowGrants) (columns []string, rows [][]*string, err error) {
	o, err := r.find(st.On)
	if err != nil {
		return nil, nil, err
	}
	only := ""
	if st.Principal != "" {
		p, err := r.s.grantee(o, st.Principal)
		if err != nil {
			return nil, nil, err
		}
		only = p.name
	}
	all := managesGrants.is(r.c, o)
	if !all && only != "" && !r.c.who.identities[only] {
		return nil, nil, r.c.unauthorized("Only administrators or the owner of %s '%s' may read other users' permissions.", displayLabel(o.res.label), o.fullName())
	}
	for at := o; at != nil; at = at.container() {
		for _, a := range r.s.assignments(at, r.s.grantsFor(r.c, at), 0) {
			if only != "" && a.Principal != only || !all && !r.c.who.identities[a.Principal] {
				continue
			}
			for _, p := range a.Privileges {
				rows = append(rows, texts(a.Principal, strings.ReplaceAll(string(p), "_", " "), string(at.res.typ), at.fullName()))
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b []*string) int { return cmp.Or(cmp.Compare(*a[0], *b[0]), cmp.Compare(*a[1], *b[1])) })
	return []string{"Principal", "ActionType", "ObjectType", "ObjectKey"}, rows, nil
}

func texts(values ...string) []*string {
	row := make([]*string, len(values))
	for i := range values {
		row[i] = &values[i]
	}
	return row
}
