package emulator

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
)

// modelVersion is a version of a registered model. Versions are made by MLflow, not by the catalog, so here by a seed. A
// stored one is immutable.
type modelVersion struct {
	Version         int    `json:"version"`
	Status          string `json:"status"`
	Source          string `json:"source,omitempty"`
	RunID           string `json:"run_id,omitempty"`
	StorageLocation string `json:"storage_location,omitempty"`
	Comment         string `json:"comment,omitempty"`
	CreatedAt       int64  `json:"created_at"`
	CreatedBy       string `json:"created_by"`
	UpdatedAt       int64  `json:"updated_at"`
	UpdatedBy       string `json:"updated_by"`
}

// modelAlias is a name for a version, as answers show it.
type modelAlias struct {
	AliasName   string `json:"alias_name"`
	VersionNum  int    `json:"version_num"`
	CatalogName string `json:"catalog_name,omitempty"`
	SchemaName  string `json:"schema_name,omitempty"`
	ModelName   string `json:"model_name,omitempty"`
}

// modelVersions holds the versions of a model, and the names that some of them have.
type modelVersions struct {
	versions map[int]modelVersion
	aliases  map[string]int
}

func (s *Server) registerVersions() {
	base := prefix + "/models/{name}"
	reads, owns := s.resources["models"].groundFor(toRead).String(), managesVersions.String()
	s.route("GET "+base+"/versions", reads, s.listVersions)
	s.route("GET "+base+"/versions/{version}", reads, s.getVersion)
	s.route("PATCH "+base+"/versions/{version}", owns, s.updateVersion)
	s.route("DELETE "+base+"/versions/{version}", owns, s.deleteVersion)
	s.route("GET "+base+"/aliases/{alias}", reads, s.getByAlias)
	s.route("PUT "+base+"/aliases/{alias}", owns, s.setAlias)
	s.route("DELETE "+base+"/aliases/{alias}", owns, s.deleteAlias)
}

// readModel returns the model of the path, if the caller may read it.
func (s *Server) readModel(c *call) (*object, *modelDetail, error) {
	o, err := s.find(s.resources["models"], c.req.PathValue("name"))
	if err == nil {
		err = c.check(toRead, o)
	}
	if err != nil {
		return nil, nil, err
	}
	return o, o.detail.(*modelDetail), nil
}

// changeModel returns the model of the path with versions and aliases of its own to change, if the caller may.
func (s *Server) changeModel(c *call) (*object, *modelDetail, error) {
	o, err := s.find(s.resources["models"], c.req.PathValue("name"))
	if err != nil {
		return nil, nil, err
	}
	if !managesVersions.is(c, o) {
		return nil, nil, denied("User may not change versions of %s '%s': this takes %s.", displayLabel(o.res.label), o.fullName(), managesVersions)
	}
	if err := c.checkBinding(toUpdate, o); err != nil {
		return nil, nil, err
	}
	next := *o.detail.(*modelDetail)
	next.versions, next.aliases = maps.Clone(next.versions), maps.Clone(next.aliases)
	return o, &next, nil
}

// versionOf returns the version that the path names.
func (c *call) versionOf(o *object, d *modelDetail) (modelVersion, error) {
	text := c.req.PathValue("version")
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return modelVersion{}, invalid("'%s' is not a number of a version.", text)
	}
	if v, ok := d.versions[n]; ok {
		return v, nil
	}
	return modelVersion{}, notFound("MODEL_VERSION", o.fullName()+"/"+text)
}

// shownVersion is a version as answers show it; lists leave its aliases out.
type shownVersion struct {
	modelVersion
	ID          string       `json:"id"`
	CatalogName string       `json:"catalog_name"`
	SchemaName  string       `json:"schema_name"`
	ModelName   string       `json:"model_name"`
	MetastoreID string       `json:"metastore_id"`
	Aliases     []modelAlias `json:"aliases,omitempty"`
}

func (v modelVersion) shown(o *object, aliases []modelAlias) shownVersion {
	return shownVersion{v, uuid(0x0de1, o.id<<16|int64(v.Version)), o.parent.parent.name, o.parent.name, o.name, o.top().uuid(), aliases}
}

// aliasesOf returns the aliases of a version, or of all for 0, by name.
func (d *modelDetail) aliasesOf(o *object, version int) []modelAlias {
	var list []modelAlias
	for _, name := range slices.Sorted(maps.Keys(d.aliases)) {
		if n := d.aliases[name]; version == 0 || n == version {
			list = append(list, modelAlias{name, n, o.parent.parent.name, o.parent.name, o.name})
		}
	}
	return list
}

func (s *Server) listVersions(c *call) (any, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, d, err := s.readModel(c)
	if err != nil {
		return nil, err
	}
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, shownVersion] {
		return func(yield func(string, shownVersion) bool) {
			for _, n := range slices.Sorted(maps.Keys(d.versions)) {
				if key := fmt.Sprintf("%09d", n); key > after && !yield(key, d.versions[n].shown(o, nil)) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("model_versions", page, next), nil
}

func (s *Server) getVersion(c *call) (any, error) {
	with, err := c.flag("include_aliases")
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, d, err := s.readModel(c)
	if err != nil {
		return nil, err
	}
	v, err := c.versionOf(o, d)
	if err != nil {
		return nil, err
	}
	var aliases []modelAlias
	if with {
		aliases = d.aliasesOf(o, v.Version)
	}
	return v.shown(o, aliases), nil
}

// updateVersion changes the comment, which is all that can be changed.
func (s *Server) updateVersion(c *call) (any, error) {
	var in struct {
		Comment *string `json:"comment"`
	}
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, d, err := s.changeModel(c)
	if err != nil {
		return nil, err
	}
	v, err := c.versionOf(o, d)
	if err != nil {
		return nil, err
	}
	if in.Comment != nil {
		v.Comment = *in.Comment
	}
	v.UpdatedAt, v.UpdatedBy = s.nowMillis(), c.who.name
	d.versions[v.Version] = v
	o.detail = d
	return v.shown(o, nil), nil
}

// deleteVersion deletes a version with its aliases.
func (s *Server) deleteVersion(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, d, err := s.changeModel(c)
	if err != nil {
		return nil, err
	}
	v, err := c.versionOf(o, d)
	if err != nil {
		return nil, err
	}
	delete(d.versions, v.Version)
	maps.DeleteFunc(d.aliases, func(_ string, n int) bool { return n == v.Version })
	o.detail = d
	return nil, nil
}

func (s *Server) getByAlias(c *call) (any, error) {
	with, err := c.flag("include_aliases")
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, d, err := s.readModel(c)
	if err != nil {
		return nil, err
	}
	n, ok := d.aliases[canonicalName(c.req.PathValue("alias"))]
	if !ok {
		return nil, notFound("REGISTERED_MODEL_ALIAS", c.req.PathValue("alias"))
	}
	var aliases []modelAlias
	if with {
		aliases = d.aliasesOf(o, n)
	}
	return d.versions[n].shown(o, aliases), nil
}

func (s *Server) setAlias(c *call) (any, error) {
	var in struct {
		VersionNum *int `json:"version_num"`
	}
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, d, err := s.changeModel(c)
	if err != nil {
		return nil, err
	}
	alias, err := checkName(c.req.PathValue("alias"))
	switch {
	case err != nil:
		return nil, err
	case in.VersionNum == nil:
		return nil, invalid("version_num is required.")
	case d.versions[*in.VersionNum].Version == 0:
		return nil, notFound("MODEL_VERSION", fmt.Sprintf("%s/%d", o.fullName(), *in.VersionNum))
	}
	if d.aliases == nil {
		d.aliases = make(map[string]int)
	}
	d.aliases[alias] = *in.VersionNum
	o.detail = d
	return modelAlias{alias, *in.VersionNum, o.parent.parent.name, o.parent.name, o.name}, nil
}

func (s *Server) deleteAlias(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, d, err := s.changeModel(c)
	if err != nil {
		return nil, err
	}
	alias := canonicalName(c.req.PathValue("alias"))
	if _, ok := d.aliases[alias]; !ok {
		return nil, notFound("REGISTERED_MODEL_ALIAS", alias)
	}
	delete(d.aliases, alias)
	o.detail = d
	return nil, nil
}

// seedVersions returns the versions and aliases of a seed, or an error that names what is wrong.
func (s *Server) seedVersions(in SeedModel, owner string) (modelVersions, error) {
	var out modelVersions
	if len(in.Versions)+len(in.Aliases) > 0 { // there may be a million models
		out = modelVersions{make(map[int]modelVersion), make(map[string]int)}
	}
	for _, v := range in.Versions {
		n := cmp.Or(v.Version, len(out.versions)+1)
		if _, taken := out.versions[n]; taken || n < 1 {
			return out, invalid("version %d is there twice, or below 1", n)
		}
		if err := oneOf("status", &v.Status, "READY", "READY", "PENDING_REGISTRATION", "FAILED_REGISTRATION"); err != nil {
			return out, err
		}
		now := s.nowMillis()
		out.versions[n] = modelVersion{Version: n, Status: v.Status, Source: v.Source, RunID: v.RunID, Comment: v.Comment,
			CreatedAt: now, CreatedBy: owner, UpdatedAt: now, UpdatedBy: owner}
	}
	for alias, n := range in.Aliases {
		if _, ok := out.versions[n]; !ok {
			return out, invalid("alias %q is for version %d, which is not there", alias, n)
		}
		out.aliases[canonicalName(alias)] = n
	}
	return out, nil
}

// seedModelOf returns a model as a seed has it.
func seedModelOf(o *object, in SeedObject) SeedModel {
	d := o.detail.(*modelDetail)
	model := SeedModel{SeedObject: in}
	if len(d.aliases) > 0 {
		model.Aliases = maps.Clone(d.aliases)
	}
	for _, n := range slices.Sorted(maps.Keys(d.versions)) {
		v := d.versions[n]
		model.Versions = append(model.Versions, SeedVersion{Version: n, Status: v.Status, Source: v.Source, RunID: v.RunID, Comment: v.Comment})
	}
	return model
}
