package emulator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ucwarden/connector/emulator/statement"
)

// Bounds of statements: characters of one, rows of a chunk of its result, and how many are remembered.
const (
	maxStatement    = 16 << 20
	rowsPerChunk    = 5000
	rememberedAtAll = 1000
)

// executed is a statement, with its result once it is over, when it is immutable.
type executed struct {
	caller    string
	state     string // PENDING, SUCCEEDED, FAILED or CANCELED
	sqlState  string
	message   string
	columns   []string
	rows      [][]*string
	truncated bool
}

// statementLog holds the statements that clients may ask for.
type statementLog struct {
	byID  map[string]*executed
	order []string // ids, the oldest first
}

func (l *statementLog) add(id string, e *executed) {
	if len(l.order) == rememberedAtAll {
		delete(l.byID, l.order[0])
		l.order = slices.Delete(l.order, 0, 1)
	}
	l.byID[id] = e
	l.order = append(l.order, id)
}

type statementRequest struct {
	Statement     string `json:"statement"`
	WarehouseID   string `json:"warehouse_id"`
	Catalog       string `json:"catalog"`
	Schema        string `json:"schema"`
	RowLimit      int    `json:"row_limit"`
	Disposition   string `json:"disposition"`
	Format        string `json:"format"`
	WaitTimeout   string `json:"wait_timeout"`
	OnWaitTimeout string `json:"on_wait_timeout"`
	Parameters    []struct {
		Name  string  `json:"name"`
		Type  string  `json:"type"`
		Value *string `json:"value"`
	} `json:"parameters"`
}

func (s *Server) registerStatements() {
	const base = "/api/2.0/sql/statements"
	const runner = "who executed it"
	s.route("POST "+base, "CAN_USE on the warehouse; then as for what the statement does", s.executeStatement)
	s.route("GET "+base+"/{id}", runner, s.getStatement)
	s.route("GET "+base+"/{id}/result/chunks/{chunk}", runner, s.getChunk)
	s.route("POST "+base+"/{id}/cancel", runner, s.cancelStatement)
}

// check returns an error about the request itself, and how long it waits.
func (r *statementRequest) check() (wait time.Duration, err error) {
	switch {
	case strings.TrimSpace(r.Statement) == "":
		return 0, invalid("statement is required.")
	case len(r.Statement) > maxStatement:
		return 0, invalid("statement is longer than %d bytes.", maxStatement)
	case r.WarehouseID == "":
		return 0, invalid("warehouse_id is required.")
	case r.RowLimit < 0:
		return 0, invalid("row_limit must not be negative.")
	}
	if err := oneOf("disposition", &r.Disposition, "INLINE", "INLINE", "EXTERNAL_LINKS"); err != nil {
		return 0, err
	}
	if err := oneOf("format", &r.Format, "JSON_ARRAY", "JSON_ARRAY", "ARROW_STREAM", "CSV"); err != nil {
		return 0, err
	}
	if r.Disposition != "INLINE" || r.Format != "JSON_ARRAY" {
		return 0, invalid("disposition %s with format %s is not supported by the emulator: it answers INLINE, JSON_ARRAY.", r.Disposition, r.Format)
	}
	if err := oneOf("on_wait_timeout", &r.OnWaitTimeout, "CONTINUE", "CONTINUE", "CANCEL"); err != nil {
		return 0, err
	}
	wait, err = time.ParseDuration(cmp.Or(r.WaitTimeout, "10s"))
	if err != nil || wait != 0 && (wait < 5*time.Second || wait > 50*time.Second) {
		return 0, invalid("wait_timeout must be 0s, or from 5s to 50s, not '%s'.", r.WaitTimeout)
	}
	return wait, nil
}

// executeStatement carries a statement out before it answers; to who does not want to wait, it says that it is pending. Where
// the warehouse has to start first, the statement is pending until it has.
func (s *Server) executeStatement(c *call) (any, error) {
	var r statementRequest
	if err := c.decodeBody(&r); err != nil {
		return nil, err
	}
	wait, err := r.check()
	if err != nil {
		return nil, err
	}
	parameters := make(map[string]string, len(r.Parameters))
	for _, p := range r.Parameters {
		if p.Name == "" || p.Value == nil {
			return nil, invalid("every one of parameters needs a name and a value.")
		}
		parameters[p.Name] = *p.Value
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.findWarehouse(c, r.WarehouseID, "CAN_USE")
	if err != nil {
		return nil, err
	}
	w = s.started(c, w)
	s.warehouses[w.ID] = w
	if delay := time.Until(w.runs); delay > 0 && c.req.Context().Value(replayed{}) == nil && c.deferred == "" {
		return s.deferStatement(c, delay, wait, r.OnWaitTimeout == "CANCEL"), nil
	}
	s.lastID++
	id := uuid(0x5717, s.lastID)
	e := s.carryOut(c, r, parameters)
	if c.deferred != "" {
		if waiting := s.statements.byID[c.deferred]; waiting != nil {
			*waiting = *e
		}
		return nil, nil
	}
	s.statements.add(id, e)
	if wait == 0 {
		return map[string]any{"statement_id": id, "status": map[string]any{"state": "PENDING"}}, nil
	}
	return e.response(id), nil
}

// carryOut parses and runs a statement. s.mu must be held.
func (s *Server) carryOut(c *call, r statementRequest, parameters map[string]string) *executed {
	e := &executed{caller: c.who.name, state: "SUCCEEDED"}
	parsed, err := statement.Parse(r.Statement, parameters)
	if err == nil {
		run := &sqlRun{s: s, c: c, catalog: cmp.Or(r.Catalog, s.assignment.DefaultCatalogName), schema: cmp.Or(r.Schema, "default")}
		e.columns, e.rows, err = run.statement(parsed)
	}
	if err != nil {
		e.state = "FAILED"
		e.sqlState, e.message = sqlError(err)
		e.columns, e.rows = nil, nil
	}
	if r.RowLimit > 0 && len(e.rows) > r.RowLimit {
		e.rows, e.truncated = e.rows[:r.RowLimit], true
	}
	return e
}

// sqlError returns the SQLSTATE of an error and its message, which begins with its class.
func sqlError(err error) (state, message string) {
	var mistake *statement.Error
	var api *apiError
	class := "INTERNAL_ERROR"
	state, message = "XX000", err.Error()
	switch {
	case errors.As(err, &mistake) && mistake.Unsupported:
		class, state = "UNSUPPORTED_FEATURE", "0A000"
	case errors.As(err, &mistake):
		class, state = "PARSE_SYNTAX_ERROR", "42601"
	case errors.As(err, &api):
		class, state, message = api.code, "22023", api.message
		switch class {
		case "TABLE_DOES_NOT_EXIST":
			class, state = "TABLE_OR_VIEW_NOT_FOUND", "42P01"
		case "SCHEMA_DOES_NOT_EXIST":
			class, state = "SCHEMA_NOT_FOUND", "42704"
		case "CATALOG_DOES_NOT_EXIST":
			class, state = "CATALOG_NOT_FOUND", "42704"
		case "FUNCTION_DOES_NOT_EXIST":
			class, state = "ROUTINE_NOT_FOUND", "42883"
		case "FUNCTION_ALREADY_EXISTS":
			class, state = "ROUTINE_ALREADY_EXISTS", "42723"
		case "SCHEMA_ALREADY_EXISTS":
			state = "42P06"
		case "UNRESOLVED_COLUMN":
			state = "42703"
		case "UC_DEPENDENCY_DOES_NOT_EXIST":
			state = "42704"
		case "UC_ABAC_MULTIPLE_ROW_FILTERS", "COLUMN_MASKS_FEATURE_NOT_SUPPORTED.MULTIPLE_MASKS":
			state = "0A000"
		case "PERMISSION_DENIED", "UNAUTHORIZED":
			class, state = "INSUFFICIENT_PERMISSIONS", "42501"
		}
	}
	return state, fmt.Sprintf("[%s] %s SQLSTATE: %s", class, message, state)
}

// response returns the state of a statement with the first chunk of its result.
func (e *executed) response(id string) any {
	status := map[string]any{"state": e.state}
	answer := map[string]any{"statement_id": id, "status": status}
	switch e.state {
	case "FAILED":
		status["error"], status["sql_state"] = map[string]string{"error_code": "BAD_REQUEST", "message": e.message}, e.sqlState
		return answer
	case "PENDING", "CANCELED":
		return answer
	}
	columns := []map[string]any{}
	for i, name := range e.columns {
		columns = append(columns, map[string]any{"name": name, "position": i, "type_name": "STRING", "type_text": "STRING"})
	}
	chunks := []map[string]any{}
	for i := range e.chunks() {
		from, to := e.bounds(i)
		chunks = append(chunks, map[string]any{"chunk_index": i, "row_offset": from, "row_count": to - from})
	}
	answer["manifest"] = map[string]any{"format": "JSON_ARRAY", "schema": map[string]any{"column_count": len(columns), "columns": columns},
		"total_row_count": len(e.rows), "total_chunk_count": len(chunks), "chunks": chunks, "truncated": e.truncated}
	answer["result"] = map[string]any{}
	if len(chunks) > 0 {
		answer["result"] = e.chunk(id, 0)
	}
	return answer
}

func (e *executed) chunks() int { return (len(e.rows) + rowsPerChunk - 1) / rowsPerChunk }

// bounds returns the first row of a chunk, and the one after its last.
func (e *executed) bounds(i int) (from, to int) {
	return i * rowsPerChunk, min((i+1)*rowsPerChunk, len(e.rows))
}

func (e *executed) chunk(id string, i int) map[string]any {
	from, to := e.bounds(i)
	data := map[string]any{"chunk_index": i, "row_offset": from, "row_count": to - from, "data_array": e.rows[from:to]}
	if i+1 < e.chunks() {
		data["next_chunk_index"] = i + 1
		data["next_chunk_internal_link"] = fmt.Sprintf("/api/2.0/sql/statements/%s/result/chunks/%d?row_offset=%d", id, i+1, to)
	}
	return data
}

// findStatement returns the statement of the path, if the caller executed it.
func (s *Server) findStatement(c *call) (string, *executed, error) {
	id := c.req.PathValue("id")
	e, ok := s.statements.byID[id]
	switch {
	case !ok:
		return id, e, &apiError{status: 404, code: "NOT_FOUND", message: "The statement " + id + " was not found."}
	case e.caller != c.who.name:
		return id, e, denied("User did not execute statement %s.", id)
	}
	return id, e, nil
}

func (s *Server) getStatement(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, e, err := s.findStatement(c)
	if err != nil {
		return nil, err
	}
	return e.response(id), nil
}

func (s *Server) getChunk(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	id, e, err := s.findStatement(c)
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(c.req.PathValue("chunk"))
	if err != nil || i < 0 || i >= e.chunks() {
		return nil, invalid("statement %s has no chunk '%s'.", id, c.req.PathValue("chunk"))
	}
	return e.chunk(id, i), nil
}

// cancelStatement takes a statement back that is pending. It has no effect on one that is over.
func (s *Server) cancelStatement(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _, err := s.findStatement(c)
	if err == nil {
		s.cancelPending(id)
	}
	return nil, err
}
