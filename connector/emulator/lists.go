package emulator

import "iter"

// listIn returns the handler that lists a collection in the container that the query names.
func (s *Server) listIn(res *resource) handlerFunc {
	return func(c *call) (any, error) {
		view, err := s.viewFor(c, res)
		if err != nil {
			return nil, err
		}
		size, err := c.pageSize()
		if err != nil {
			return nil, err
		}
		if c.unbound, err = c.flag("include_unbound"); err != nil {
			return nil, err
		}
		query := c.req.URL.Query()
		s.mu.RLock()
		defer s.mu.RUnlock()
		parent, err := s.parentOf(res, query.Get("catalog_name"), query.Get("schema_name"))
		if err != nil {
			return nil, err
		}
		if err := c.checkIn(toList, res, parent); err != nil {
			return nil, err
		}
		return listObjects(c, size, res.key(), view, func(after string) iter.Seq2[string, *object] {
			return s.visible(c, res, parent, after)
		})
	}
}

// listWhere returns the handler that lists root objects, only those of which the field of the query has the value there, if
// the query has it.
func (s *Server) listWhere(res *resource, field string, value func(*object) string) handlerFunc {
	return func(c *call) (any, error) {
		size, err := c.pageSize()
		if err != nil {
			return nil, err
		}
		wanted := canonicalName(c.req.URL.Query().Get(field))
		s.mu.RLock()
		defer s.mu.RUnlock()
		metastore, err := s.metastore()
		if err != nil {
			return nil, err
		}
		return listObjects(c, size, res.key(), s.render, func(after string) iter.Seq2[string, *object] {
			return func(yield func(string, *object) bool) {
				for name, o := range s.visible(c, res, metastore, after) {
					if (wanted == "" || value(o) == wanted) && !yield(name, o) {
						return
					}
				}
			}
		})
	}
}

// visible ranges over the objects of res in parent that the caller may see, by name.
func (s *Server) visible(c *call, res *resource, parent *object, after string) iter.Seq2[string, *object] {
	return func(yield func(string, *object) bool) {
		for o := range s.children(c, parent, res.typ, after) {
			if res.includes(o) && c.may(toSee, o) && !yield(o.name, o) {
				return
			}
		}
	}
}
