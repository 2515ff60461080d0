package emulator

import (
	"cmp"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// warehouse is a SQL warehouse. It runs statements itself. A stored one is immutable.
type warehouse struct {
	ID            string          `json:"id"`
	Name          string          `json:"name"`
	State         string          `json:"state"`
	CreatorName   string          `json:"creator_name,omitempty"`
	ClusterSize   string          `json:"cluster_size"`
	MinClusters   int             `json:"min_num_clusters"`
	MaxClusters   int             `json:"max_num_clusters"`
	NumClusters   int             `json:"num_clusters"`
	AutoStopMins  int             `json:"auto_stop_mins"`
	EnablePhoton  bool            `json:"enable_photon"`
	Serverless    bool            `json:"enable_serverless_compute"`
	WarehouseType string          `json:"warehouse_type"`
	SpotPolicy    string          `json:"spot_instance_policy"`
	Channel       json.RawMessage `json:"channel,omitempty"`
	Tags          json.RawMessage `json:"tags,omitempty"`

	permissions map[string]string // levels by principal; replaced, never changed
	runs        time.Time         // when it has started; zero where that took no time
}

// defaultWarehouse is the id of the warehouse of a seed that names none, as a new workspace has one.
const defaultWarehouse = "5a1e000000000001"

// States of a warehouse.
const (
	warehouseRunning  = "RUNNING"
	warehouseStopped  = "STOPPED"
	warehouseStarting = "STARTING" // shown until one that is to run has started, never stored
)

// started returns the warehouse as it is once somebody starts it, or uses it.
func (s *Server) started(c *call, w warehouse) warehouse {
	if w.State != warehouseRunning && c.req.Context().Value(replayed{}) == nil && s.opts.WarehouseStart > 0 {
		w.runs = time.Now().Add(s.opts.WarehouseStart)
	}
	w.State, w.NumClusters = warehouseRunning, max(w.NumClusters, w.MinClusters)
	return w
}

// Levels of permission on a warehouse, the least first. Each includes those before it.
var warehouseLevels = []string{"CAN_VIEW", "CAN_USE", "CAN_MONITOR", "CAN_MANAGE", "IS_OWNER"}

var warehouseFields = fields{"name": "R/O", "cluster_size": "O/O", "min_num_clusters": "O/O", "max_num_clusters": "O/O",
	"auto_stop_mins": "O/O", "enable_photon": "O/O", "enable_serverless_compute": "O/O", "warehouse_type": "O/O", "spot_instance_policy": "O/O",
	"channel": "O/O", "tags": "O/O"}

func (s *Server) registerWarehouses() {
	const base = "/api/2.0/sql/warehouses"
	const manages = "workspace admin, or CAN_MANAGE on it"
	s.route("GET "+base, "any user; shows what the caller may get", s.listWarehouses)
	s.route("POST "+base, anyUser.String(), s.createWarehouse)
	s.route("GET "+base+"/{id}", "workspace admin, or CAN_VIEW on it", s.getWarehouse)
	s.route("DELETE "+base+"/{id}", manages, s.changeWarehouse("CAN_MANAGE", func(*call, warehouse) warehouse { return warehouse{} }))
	s.route("POST "+base+"/{id}/edit", manages, s.editWarehouse)
	s.route("POST "+base+"/{id}/start", "workspace admin, or CAN_USE on it", s.changeWarehouse("CAN_USE", s.started))
	s.route("POST "+base+"/{id}/stop", manages, s.changeWarehouse("CAN_MANAGE", func(_ *call, w warehouse) warehouse {
		w.State, w.NumClusters, w.runs = warehouseStopped, 0, time.Time{}
		return w
	}))
	const permissions = "/api/2.0/permissions/warehouses/{id}"
	s.route("GET "+permissions, manages, s.warehousePermissions)
	s.route("PUT "+permissions, manages, s.setWarehousePermissions)
	s.route("PATCH "+permissions, manages, s.setWarehousePermissions)
	s.route("GET "+permissions+"/permissionLevels", anyUser.String(), listLevels(warehouseLevels))
	const config = "/api/2.0/sql/config/warehouses"
	s.route("GET "+config, workspaceAdmin.String(), s.getWarehouseConfig)
	s.route("PUT "+config, workspaceAdmin.String(), s.putWarehouseConfig)
}

// findWarehouse returns the warehouse of that id, if the caller has the level on it.
func (s *Server) findWarehouse(c *call, id, level string) (warehouse, error) {
	w, ok := s.warehouses[id]
	if !ok {
		return w, &apiError{status: 404, code: "RESOURCE_DOES_NOT_EXIST", message: "SQL warehouse " + id + " does not exist."}
	}
	if c.levelIn(warehouseLevels, w.permissions) < slices.Index(warehouseLevels, level) {
		return w, denied("User may not use SQL warehouse %s so: this takes %s on it.", id, level)
	}
	return w, nil
}

// check sets defaults, and returns an error that names a wrong value.
func (w *warehouse) check() error {
	if strings.TrimSpace(w.Name) == "" {
		return invalid("name is required.")
	}
	if err := oneOf("cluster_size", &w.ClusterSize, "2X-Small", "2X-Small", "X-Small", "Small", "Medium", "Large", "X-Large", "2X-Large", "3X-Large", "4X-Large", "5X-Large"); err != nil {
		return err
	}
	if err := oneOf("warehouse_type", &w.WarehouseType, "PRO", "PRO", "CLASSIC"); err != nil {
		return err
	}
	if err := oneOf("spot_instance_policy", &w.SpotPolicy, "COST_OPTIMIZED", "COST_OPTIMIZED", "RELIABILITY_OPTIMIZED", "POLICY_UNSPECIFIED"); err != nil {
		return err
	}
	w.MinClusters, w.MaxClusters = max(w.MinClusters, 1), max(w.MaxClusters, 1)
	switch {
	case w.MaxClusters < w.MinClusters:
		return invalid("max_num_clusters must not be below min_num_clusters.")
	case w.AutoStopMins < 0:
		return invalid("auto_stop_mins must not be negative.")
	}
	return nil
}

// shown is a warehouse as answers show it.
func (s *Server) shownWarehouse(c *call, w warehouse) any {
	path := "/sql/1.0/warehouses/" + w.ID
	if time.Now().Before(w.runs) {
		w.State, w.NumClusters = warehouseStarting, 0
	}
	return struct {
		warehouse
		JDBC   string         `json:"jdbc_url"`
		ODBC   map[string]any `json:"odbc_params"`
		Health map[string]any `json:"health"`
	}{w, "jdbc:spark://" + c.req.Host + "/default;transportMode=http;httpPath=" + path,
		map[string]any{"hostname": c.req.Host, "path": path, "port": 443, "protocol": "https"}, map[string]any{"status": "HEALTHY"}}
}

func (s *Server) listWarehouses(c *call) (any, error) {
	size, err := c.sizeOfPage("page_size")
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, any] {
		return func(yield func(string, any) bool) {
			for _, id := range slices.Sorted(maps.Keys(s.warehouses)) {
				if w := s.warehouses[id]; id > after && c.levelIn(warehouseLevels, w.permissions) >= 0 && !yield(id, s.shownWarehouse(c, w)) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("warehouses", page, next), nil
}

func (s *Server) getWarehouse(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	w, err := s.findWarehouse(c, c.req.PathValue("id"), "CAN_VIEW")
	if err != nil {
		return nil, err
	}
	return s.shownWarehouse(c, w), nil
}

// createWarehouse makes a warehouse that runs.
func (s *Server) createWarehouse(c *call) (any, error) {
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	picked, err := warehouseFields.pick(body, false)
	if err != nil {
		return nil, err
	}
	w := warehouse{AutoStopMins: 120, EnablePhoton: true, State: warehouseRunning, CreatorName: c.who.name}
	if err := decode(picked, &w); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.addWarehouse(&w); err != nil {
		return nil, err
	}
	w.permissions = map[string]string{c.who.name: "IS_OWNER"}
	s.warehouses[w.ID] = w
	return map[string]string{"id": w.ID}, nil
}

// addWarehouse checks a new warehouse and gives it an id, unless it has one. The caller stores it.
func (s *Server) addWarehouse(w *warehouse) error {
	if err := w.check(); err != nil {
		return err
	}
	for _, other := range s.warehouses {
		if other.Name == w.Name || other.ID == w.ID {
			return &apiError{status: 409, code: "RESOURCE_ALREADY_EXISTS", message: "SQL warehouse '" + other.Name + "' already exists."}
		}
	}
	if w.State == warehouseRunning {
		w.NumClusters = w.MinClusters
	}
	s.lastID++
	w.ID = cmp.Or(w.ID, strings.ReplaceAll(uuid(0x5a1e, s.lastID), "-", "")[16:])
	return nil
}

// editWarehouse changes the fields that are given.
func (s *Server) editWarehouse(c *call) (any, error) {
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	picked, err := warehouseFields.pick(body, true)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.findWarehouse(c, c.req.PathValue("id"), "CAN_MANAGE")
	if err != nil {
		return nil, err
	}
	w.Channel, w.Tags = slices.Clone(w.Channel), slices.Clone(w.Tags) // which a decoder writes into
	if err := decode(picked, &w); err != nil {
		return nil, err
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	for _, other := range s.warehouses {
		if other.Name == w.Name && other.ID != w.ID {
			return nil, &apiError{status: 409, code: "RESOURCE_ALREADY_EXISTS", message: "SQL warehouse '" + w.Name + "' already exists."}
		}
	}
	s.warehouses[w.ID] = w
	return nil, nil
}

// changeWarehouse returns a handler that changes a warehouse, for who has the level on it; one without an id is deleted.
func (s *Server) changeWarehouse(level string, change func(*call, warehouse) warehouse) handlerFunc {
	return func(c *call) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w, err := s.findWarehouse(c, c.req.PathValue("id"), level)
		if err != nil {
			return nil, err
		}
		if next := change(c, w); next.ID == "" {
			delete(s.warehouses, w.ID)
		} else {
			s.warehouses[w.ID] = next
		}
		return nil, nil
	}
}

func (s *Server) warehousePermissions(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	w, err := s.findWarehouse(c, c.req.PathValue("id"), "CAN_MANAGE")
	if err != nil {
		return nil, err
	}
	return s.shownWarehousePermissions(w), nil
}

// setWarehousePermissions changes the levels that are given, and, as a PUT, removes all others but the owner's.
func (s *Server) setWarehousePermissions(c *call) (any, error) {
	list, err := c.accessControls()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.findWarehouse(c, c.req.PathValue("id"), "CAN_MANAGE")
	if err != nil {
		return nil, err
	}
	if w.permissions, err = c.changedLevels(warehouseLevels, w.permissions, list); err != nil {
		return nil, err
	}
	s.warehouses[w.ID] = w
	return s.shownWarehousePermissions(w), nil
}

func (s *Server) shownWarehousePermissions(w warehouse) any {
	return s.shownPermissions("/sql/warehouses/"+w.ID, "warehouses", w.permissions)
}

func (s *Server) getWarehouseConfig(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !workspaceAdmin.met(c, nil) {
		return nil, denied("User may not read the configuration of SQL warehouses: this takes %s.", workspaceAdmin)
	}
	return s.warehouseConfig, nil
}

// putWarehouseConfig replaces the configuration, which changes nothing in the emulator.
func (s *Server) putWarehouseConfig(c *call) (any, error) {
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !workspaceAdmin.met(c, nil) {
		return nil, denied("User may not change the configuration of SQL warehouses: this takes %s.", workspaceAdmin)
	}
	s.warehouseConfig = body
	return nil, nil
}
