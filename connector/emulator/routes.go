package emulator

import "net/http"

// servedRoute is a route of the API, and who may call it, for the table in API.md.
type servedRoute struct{ pattern, who string }

// route registers a handler for authenticated callers. who says which of them are let through; the handler checks it.
func (s *Server) route(pattern, who string, h handlerFunc) {
	s.served = append(s.served, servedRoute{pattern, who})
	s.mux.HandleFunc(pattern, s.handle(pattern, h, true))
}

// routePublic registers a handler for everyone.
func (s *Server) routePublic(pattern string, h handlerFunc) {
	s.served = append(s.served, servedRoute{pattern, "everybody, without a token"})
	s.mux.HandleFunc(pattern, s.handle(pattern, h, false))
}

// routes registers the handlers of a resource.
func (s *Server) routes(res *resource) {
	base := prefix + "/" + res.path
	list := s.listIn(res)
	if res.list != nil {
		list = res.list(s, res)
	}
	if res.typ == typeMetastore { // which is in nothing
		s.route("POST "+base, res.groundFor(toCreate).in("the metastore of the workspace"), s.createMetastore)
		s.route("GET "+base, res.groundFor(toRead).String(), s.listMetastores)
	} else {
		in := containerName(res.parent)
		s.route("POST "+base, res.groundFor(toCreate).in(in), s.create(res))
		shown := "the caller may get"
		if see := res.rules[toSee]; see.text != nil {
			shown = "is seen by " + see.String()
		}
		s.route("GET "+base, res.groundFor(toList).in(in)+"; shows what "+shown, list)
	}
	s.route("GET "+base+"/{name}", res.groundFor(toRead).String(), s.get(res))
	s.route("PATCH "+base+"/{name}", res.whoUpdates(), s.update(res))
	s.route("DELETE "+base+"/{name}", res.groundFor(toDelete).String(), s.remove(res))
}

func containerName(t securableType) string {
	switch t {
	case typeCatalog:
		return "the catalog"
	case typeSchema:
		return "the schema"
	}
	return "the metastore"
}

// whoUpdates says who may make which update.
func (r *resource) whoUpdates() string {
	who := r.groundFor(toUpdate).String()
	if alone := r.groundFor(toChangeOwner); alone.text != nil {
		who += "; the field owner alone: also " + alone.String()
	}
	if rename := r.rules[toRename]; rename.text != nil {
		who += "; the name: besides, " + rename.String()
	}
	return who
}

// register registers all routes.
func (s *Server) register() {
	s.resources = make(map[string]*resource)
	s.types = make(map[securableType]*resource)
	for _, res := range allResources() {
		res.rules = authorization[res.label]
		s.resources[res.path] = res
		if !res.byKind {
			s.types[res.typ] = res
		}
		s.routes(res)
	}
	s.types[typeFunction] = anyFunction()
	s.metastoreResource, s.catalogResource, s.schemaResource = s.resources["metastores"], s.resources["catalogs"], s.resources["schemas"]
	s.containerTypes = [2]*resource{s.catalogResource, s.schemaResource}
	s.registerMetastores()
	s.registerAccounts()
	s.registerTables()
	s.registerFiles()
	s.registerPermissions()
	s.registerSharing()
	s.registerTags()
	s.registerTagPolicies()
	s.registerPolicies()
	s.registerBindings()
	s.registerVersions()
	s.registerSystemSchemas()
	s.registerAllowlists()
	s.registerQuotas()
	s.registerTemporary()
	s.registerConstraints()
	s.registerRequests()
	s.registerValidation()
	s.registerWarehouses()
	s.registerStatements()
	s.registerPipelines()
	s.registerUserInfo()
	s.registerIdentity()
	s.registerSCIM()
	s.registerControl()
	s.unknown = s.handle("/", func(c *call) (any, error) {
		return nil, endpointNotFound(c.req)
	}, false)
	s.mux.HandleFunc("/", s.unknown)
}

var _ http.Handler = (*Server)(nil)
