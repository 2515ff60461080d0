package emulator

import (
	"iter"
	"net/http"
	"strconv"
	"strings"
)

type tableSummary struct {
	FullName  string `json:"full_name"`
	TableType string `json:"table_type"`
}

// tableSummaries lists the tables of a catalog whose schema and name match LIKE patterns, in order of schema and name.
func (s *Server) tableSummaries(c *call) (any, error) {
	if c.req.Method == http.MethodPost { // the specification's form: the same parameters as a JSON object
		if err := c.mergeBodyIntoQuery(); err != nil {
			return nil, err
		}
	}
	query := c.req.URL.Query()
	if query.Get("catalog_name") == "" {
		return nil, invalid("catalog_name is required.")
	}
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	schemas, tables := newLikePattern(query.Get("schema_name_pattern")), newLikePattern(query.Get("table_name_pattern"))
	s.mu.RLock()
	defer s.mu.RUnlock()
	catalog, err := s.find(s.catalogResource, query.Get("catalog_name"))
	if err != nil {
		return nil, err
	}
	if err := c.checkIn(toList, s.schemaResource, catalog); err != nil {
		return nil, err
	}
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, tableSummary] {
		return func(yield func(string, tableSummary) bool) {
			for table := range s.visibleInSchemas(c, catalog, s.resources["tables"], after, schemas, tables) {
				key := table.parent.name + "." + table.name
				if !yield(key, tableSummary{table.fullName(), table.detail.(*tableDetail).TableType}) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("tables", page, next), nil
}

// visibleInSchemas ranges over the visible objects of one type in all schemas of a catalog, in order of schema and name,
// starting above "schema.name".
func (s *Server) visibleInSchemas(c *call, catalog *object, res *resource, after string, schemas, names likePattern) iter.Seq[*object] {
	afterSchema, afterName, resumed := strings.Cut(after, ".")
	return func(yield func(*object) bool) {
		inSchema := func(schema *object, after string) bool {
			prefix := names.prefix()
			for o := range s.children(c, schema, res.typ, after) {
				if prefix != "" && o.name > prefix && !strings.HasPrefix(o.name, prefix) {
					return true // names are in order: nothing further matches
				}
				if res.includes(o) && names.match(o.name) && c.may(toSee, o) && !yield(o) {
					return false
				}
			}
			return true
		}
		if resumed {
			if schema := catalog.list(typeSchema).get(afterSchema); schema != nil && !inSchema(schema, afterName) {
				return
			}
		}
		for schema := range s.children(c, catalog, typeSchema, afterSchema) {
			if schemas.match(schema.name) && res.groundFor(toList).is(c, schema) && !inSchema(schema, "") {
				return
			}
		}
	}
}

// mergeBodyIntoQuery makes the fields of the JSON body, when there is one, parameters of the query.
func (c *call) mergeBodyIntoQuery() error {
	if len(c.body) == 0 {
		return nil
	}
	var in struct {
		CatalogName       string `json:"catalog_name"`
		SchemaNamePattern string `json:"schema_name_pattern"`
		TableNamePattern  string `json:"table_name_pattern"`
		MaxResults        int32  `json:"max_results"`
		PageToken         string `json:"page_token"`
	}
	if _, err := c.object(""); err != nil {
		return err
	}
	if err := decode(c.body, &in); err != nil {
		return err
	}
	query := c.req.URL.Query()
	for name, value := range map[string]string{"catalog_name": in.CatalogName, "schema_name_pattern": in.SchemaNamePattern,
		"table_name_pattern": in.TableNamePattern, "page_token": in.PageToken} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if in.MaxResults != 0 {
		query.Set("max_results", strconv.Itoa(int(in.MaxResults)))
	}
	c.req.URL.RawQuery = query.Encode()
	return nil
}
