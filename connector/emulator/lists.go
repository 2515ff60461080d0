package emulator

import (
	"iter"
	"strings"
)

// registerLists registers the lists that are not the objects of one container.
func (s *Server) registerLists() {
	s.route("GET "+prefix+"/models", s.listModels)
	s.route("GET "+prefix+"/credentials", s.listCredentials)
}

// maxModelsPage is the largest page of all models of the metastore (client library, ListRegisteredModelsRequest).
const maxModelsPage = 1000

// listModels lists the models of a schema, or those of the whole metastore when no schema is named.
func (s *Server) listModels(c *call) (any, error) {
	res, query := s.resources["models"], c.req.URL.Query()
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
	objects, next, err := takePage(c, min(size, maxModelsPage), func(after string) iter.Seq2[string, *object] {
		return s.allModels(c, metastore, after)
	})
	if err != nil {
		return nil, err
	}
	return pageOf(res.key(), s.renderAll(objects), next), nil
}

// allModels ranges over the visible models of the metastore, keyed by full name, after the given one.
func (s *Server) allModels(c *call, metastore *object, after string) iter.Seq2[string, *object] {
	afterCatalog, rest, resumed := strings.Cut(after, ".")
	return func(yield func(string, *object) bool) {
		in := func(catalog *object, after string) bool {
			for o := range s.visibleInSchemas(c, catalog, s.resources["models"], after, newLikePattern(""), newLikePattern("")) {
				if !yield(o.fullName(), o) {
					return false
				}
			}
			return true
		}
		if resumed {
			if catalog := metastore.list(typeCatalog).get(afterCatalog); catalog != nil && c.mayUseContainer(catalog) && !in(catalog, rest) {
				return
			}
		}
		for catalog := range s.children(c, metastore, typeCatalog, afterCatalog) {
			if c.mayUseContainer(catalog) && !in(catalog, "") {
				return
			}
		}
	}
}

// listCredentials lists service credentials, or storage credentials, or, when the query names no purpose, both by name.
func (s *Server) listCredentials(c *call) (any, error) {
	purpose := c.req.URL.Query().Get("purpose")
	if err := oneOf("purpose", &purpose, "ANY", "ANY", "SERVICE", "STORAGE"); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	metastore, err := s.metastore()
	if err != nil {
		return nil, err
	}
	return listObjects(c, "credentials", func(after string) iter.Seq2[string, *object] {
		service := s.visible(c, s.resources["credentials"], metastore, after)
		storage := s.visible(c, s.resources["storage-credentials"], metastore, after)
		switch purpose {
		case "SERVICE":
			return service
		case "STORAGE":
			return storage
		}
		return mergeByKey(service, storage)
	})
}

// mergeByKey merges two sequences with ascending keys. Their keys are distinct.
func mergeByKey[T any](a, b iter.Seq2[string, T]) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		key, item, more := next()
		for k, v := range a {
			for ; more && key < k; key, item, more = next() {
				if !yield(key, item) {
					return
				}
			}
			if !yield(k, v) {
				return
			}
		}
		for ; more; key, item, more = next() {
			if !yield(key, item) {
				return
			}
		}
	}
}
