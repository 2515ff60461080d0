package emulator

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// quota limits how many objects of a type, given by its name, a container has.
type quota struct {
	parent securableType
	name   string
	limit  int
	count  func(o *object) int
}

func countOf(t securableType) func(*object) int {
	return func(o *object) int { return o.list(t).len() }
}

// quotas are those that the emulator counts. It refuses nothing because of them.
var quotas = []quota{
	{typeMetastore, "catalog-quota", 1000, countOf(typeCatalog)},
	{typeMetastore, "connection-quota", 1000, countOf(typeConnection)},
	{typeMetastore, "external-location-quota", 500, countOf(typeExternalLocation)},
	{typeMetastore, "provider-quota", 1000, countOf(typeProvider)},
	{typeMetastore, "recipient-quota", 5000, countOf(typeRecipient)},
	{typeMetastore, "share-quota", 1000, countOf(typeShare)},
	{typeMetastore, "storage-credential-quota", 200, countOf(typeStorageCredential)},
	{typeCatalog, "schema-quota", 10000, countOf(typeSchema)},
	{typeSchema, "function-quota", 10000, countOf(typeFunction)},
	{typeSchema, "table-quota", 10000, countOf(typeTable)},
	{typeSchema, "volume-quota", 10000, countOf(typeVolume)},
}

type quotaInfo struct {
	ParentSecurableType string `json:"parent_securable_type"`
	ParentFullName      string `json:"parent_full_name"`
	QuotaName           string `json:"quota_name"`
	QuotaCount          int    `json:"quota_count"`
	QuotaLimit          int    `json:"quota_limit"`
	LastRefreshedAt     int64  `json:"last_refreshed_at"`
}

func (s *Server) registerQuotas() {
	base := prefix + "/resource-quotas"
	s.route("GET "+base+"/all-resource-quotas", seesQuotas.String(), s.listQuotas)
	s.route("GET "+base+"/{type}/{name}/{quota}", "metastore admin, or account admin, or who may get it", s.getQuota)
}

func (s *Server) quotaOf(o *object, q quota) quotaInfo {
	return quotaInfo{string(o.res.typ), o.fullName(), q.name, q.count(o), q.limit, s.nowMillis()}
}

func (s *Server) getQuota(c *call) (any, error) {
	t, ok := securableTypes[strings.ToLower(c.req.PathValue("type"))]
	name := c.req.PathValue("quota")
	i := slices.IndexFunc(quotas, func(q quota) bool { return q.parent == t && q.name == name })
	if !ok || i < 0 {
		return nil, invalid("'%s' is not a quota of a %s.", name, c.req.PathValue("type"))
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, err := s.find(s.types[t], c.req.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if !seesQuotas.is(c, o) {
		if err := c.check(toRead, o); err != nil {
			return nil, err
		}
	}
	return map[string]quotaInfo{"quota_info": s.quotaOf(o, quotas[i])}, nil
}

// listQuotas lists the quotas of the metastore, then those of each catalog and of its schemas.
func (s *Server) listQuotas(c *call) (any, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := s.metastore()
	if err != nil {
		return nil, err
	}
	if !seesQuotas.is(c, m) {
		return nil, denied("User may not list resource quotas: this takes %s.", seesQuotas)
	}
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, quotaInfo] {
		return func(yield func(string, quotaInfo) bool) {
			each := func(o *object, catalog, schema string) bool {
				for i, q := range quotas {
					if key := fmt.Sprintf("%s\x00%s\x00%02d", catalog, schema, i); q.parent == o.res.typ && key > after && !yield(key, s.quotaOf(o, q)) {
						return false
					}
				}
				return true
			}
			if !each(m, "", "") {
				return
			}
			for catalog := range m.list(typeCatalog).after("") {
				if !each(catalog, catalog.name, "") {
					return
				}
				for schema := range catalog.list(typeSchema).after("") {
					if !each(schema, catalog.name, schema.name) {
						return
					}
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("quotas", page, next), nil
}
