package emulator

import (
	"iter"
	"slices"
)

// systemSchemas are the schemas that the service keeps about itself, in order; one of them is always there.
var systemSchemas = []string{"access", "ai_gateway", "billing", "compute", "data_classification", "information_schema", "lakeflow",
	"marketplace", "mlflow", "operational_data", "query", "serving", "sharing", "storage"}

const (
	systemCatalog     = "system"
	informationSchema = "information_schema"
	systemUser        = "System user" // owns what the service made
)

type systemSchema struct {
	Schema string `json:"schema"`
	State  string `json:"state"`
}

func (s *Server) registerSystemSchemas() {
	base := prefix + "/metastores/{name}/systemschemas"
	who := managesSystem.String()
	s.route("GET "+base, who, s.listSystemSchemas)
	s.route("PUT "+base+"/{schema}", who, s.enableSystemSchema)
	s.route("DELETE "+base+"/{schema}", who, s.disableSystemSchema)
}

// findSystem returns the metastore of the path, if the caller may enable schemas in it, and its catalog of them, if there is
// one yet.
func (s *Server) findSystem(c *call) (metastore, catalog *object, err error) {
	metastore, err = s.find(s.metastoreResource, c.req.PathValue("name"))
	if err != nil {
		return nil, nil, err
	}
	if !managesSystem.is(c, metastore) {
		return nil, nil, denied("User may not manage the system schemas of Metastore '%s': this takes %s.", metastore.name, managesSystem)
	}
	return metastore, metastore.list(typeCatalog).get(systemCatalog), nil
}

func enabled(catalog *object, schema string) *object {
	if catalog == nil {
		return nil
	}
	return catalog.list(typeSchema).get(schema)
}

func (s *Server) listSystemSchemas(c *call) (any, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, catalog, err := s.findSystem(c)
	if err != nil {
		return nil, err
	}
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, systemSchema] {
		return func(yield func(string, systemSchema) bool) {
			for _, name := range systemSchemas {
				state := "AVAILABLE"
				switch {
				case name == informationSchema:
					state = "MANAGED"
				case enabled(catalog, name) != nil:
					state = "ENABLE_COMPLETED"
				}
				if name > after && !yield(name, systemSchema{name, state}) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("schemas", page, next), nil
}

// changedSystemSchema returns the schema that the path names, in lower case, if it is one that can be enabled.
func (c *call) changedSystemSchema() (string, error) {
	name := canonicalName(c.req.PathValue("schema"))
	switch {
	case !slices.Contains(systemSchemas, name):
		return "", notFound("SCHEMA", systemCatalog+"."+name)
	case name == informationSchema:
		return "", invalid("Schema '%s' is always there.", name)
	}
	return name, nil
}

// enableSystemSchema makes the schema, in a catalog that is made with the first.
func (s *Server) enableSystemSchema(c *call) (any, error) {
	var body struct {
		CatalogName string `json:"catalog_name"`
	}
	if len(c.body) > 0 {
		if err := c.decodeBody(&body); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	metastore, catalog, err := s.findSystem(c)
	if err != nil {
		return nil, err
	}
	name, err := c.changedSystemSchema()
	switch {
	case err != nil:
		return nil, err
	case body.CatalogName != "" && canonicalName(body.CatalogName) != systemCatalog:
		return nil, invalid("catalog_name must be '%s'.", systemCatalog)
	case enabled(catalog, name) != nil:
		return nil, alreadyExists("SCHEMA", name)
	}
	if catalog == nil {
		catalog = s.newObject(s.catalogResource, metastore, systemCatalog, systemUser)
		catalog.detail = &catalogDetail{CatalogType: "SYSTEM_CATALOG", IsolationMode: "OPEN"}
		s.attach(catalog)
	}
	schema := s.newObject(s.schemaResource, catalog, name, systemUser)
	schema.detail = &schemaDetail{}
	s.attach(schema)
	return nil, nil
}

func (s *Server) disableSystemSchema(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, catalog, err := s.findSystem(c)
	if err != nil {
		return nil, err
	}
	name, err := c.changedSystemSchema()
	if err != nil {
		return nil, err
	}
	schema := enabled(catalog, name)
	if schema == nil {
		return nil, notFound("SCHEMA", systemCatalog+"."+name)
	}
	s.detach(schema)
	return nil, nil
}
