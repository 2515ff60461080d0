package emulator

import (
	"iter"
	"strings"
)

func registeredModels() *resource {
	return &resource{path: "models", listKey: "registered_models", label: "REGISTERED_MODEL", typ: typeFunction, kind: kindModel,
		byKind: true, parent: typeSchema,
		fields: fields{"name": "R/O", "new_name": "-/O", "catalog_name": "R/I", "schema_name": "R/I", "comment": "O/O",
			"owner": "I/O", "storage_location": "O/I"},
		list: (*Server).listModels, view: modelParts, newDetail: func() detail { return &modelDetail{} }}
}

type modelDetail struct {
	StorageLocation string `json:"storage_location,omitempty"`
	modelVersions
}

func (d *modelDetail) clone() detail { c := *d; return &c }

func (d *modelDetail) prepare(*call, *object, detail) error {
	return checkURL("storage_location", d.StorageLocation, false)
}

func (d *modelDetail) render(h commonFields) any {
	return struct {
		commonFields
		modelDetail
		ID string `json:"id"`
	}{h, *d, h.o.uuid()}
}

// modelParts renders models with their aliases, if the query asks for them.
func modelParts(c *call) (func(o *object) any, error) {
	with, err := c.flag("include_aliases")
	if err != nil || !with {
		return c.srv.render, err
	}
	return func(o *object) any {
		if aliases := o.detail.(*modelDetail).aliasesOf(o, 0); len(aliases) > 0 {
			return withField{c.srv.render(o), "aliases", aliases}
		}
		return c.srv.render(o)
	}, nil
}

// maxModelsPage is the largest page of all models of the metastore (client library, ListRegisteredModelsRequest).
const maxModelsPage = 1000

// listModels lists the models of a schema, or those of the whole metastore when no schema is named.
func (s *Server) listModels(res *resource) handlerFunc {
	return func(c *call) (any, error) {
		query := c.req.URL.Query()
		catalog, schema := query.Get("catalog_name"), query.Get("schema_name")
		switch {
		case catalog != "" && schema != "":
			return s.listIn(res)(c)
		case catalog != "" || schema != "":
			return nil, invalid("catalog_name and schema_name must be given together, or neither.")
		}
		size, err := c.pageSize()
		if err != nil {
			return nil, err
		}
		s.mu.RLock()
		defer s.mu.RUnlock()
		metastore, err := s.metastore()
		if err != nil {
			return nil, err
		}
		return listObjects(c, min(size, maxModelsPage), res.key(), s.render, func(after string) iter.Seq2[string, *object] {
			return s.allModels(c, metastore, after)
		})
	}
}

// allModels ranges over the visible models of the metastore, keyed by full name, after the given one.
func (s *Server) allModels(c *call, metastore *object, after string) iter.Seq2[string, *object] {
	afterCatalog, rest, resumed := strings.Cut(after, ".")
	return func(yield func(string, *object) bool) {
		in := func(catalog *object, after string) bool {
			if !s.schemaResource.groundFor(toList).is(c, catalog) {
				return true
			}
			for o := range s.visibleInSchemas(c, catalog, s.resources["models"], after, newLikePattern(""), newLikePattern("")) {
				if !yield(o.fullName(), o) {
					return false
				}
			}
			return true
		}
		if resumed {
			if catalog := metastore.list(typeCatalog).get(afterCatalog); catalog != nil && !in(catalog, rest) {
				return
			}
		}
		for catalog := range s.children(c, metastore, typeCatalog, afterCatalog) {
			if !in(catalog, "") {
				return
			}
		}
	}
}
