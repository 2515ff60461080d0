package emulator_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/connector/emulator"
)

// slowWarehouse is a server whose one warehouse takes a minute to start.
type slowWarehouse struct {
	*testing.T
	*emulator.Server
}

func newSlowWarehouse(t *testing.T) slowWarehouse {
	t.Helper()
	s, err := emulator.New(emulator.Options{
		WarehouseStart: time.Minute, Tokens: map[string]string{"owner": ""},
		Seed: &emulator.Seed{
			Metastore: emulator.SeedMetastore{SeedObject: emulator.SeedObject{Owner: "admin@x"}}, Users: []string{"admin@x", "ana@x"},
			Warehouses: []emulator.SeedWarehouse{{ID: "w1", Name: "one", State: "STOPPED"}},
			Catalogs:   []emulator.SeedCatalog{{SeedObject: emulator.SeedObject{Name: "sales"}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return slowWarehouse{t, s}
}

// call returns the answer of the API.
func (s slowWarehouse) call(method, path string, body any) map[string]any {
	s.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.Fatal(err)
	}
	r := httptest.NewRequest(method, "/api/2.0/sql/"+path, bytes.NewReader(text))
	r.Header.Set("Authorization", "Bearer owner")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		s.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		s.Fatal(err)
	}
	return answer
}

// execute grants USE_CATALOG on sales to ana, and returns the statement's id and state.
func (s slowWarehouse) execute(wait, onTimeout string) (id, state string) {
	s.Helper()
	answer := s.call("POST", "statements", map[string]any{"warehouse_id": "w1", "statement": "GRANT USE CATALOG ON CATALOG sales TO `ana@x`", "wait_timeout": wait, "on_wait_timeout": onTimeout})
	return answer["statement_id"].(string), answer["status"].(map[string]any)["state"].(string)
}

func (s slowWarehouse) expect(path, field, want string) {
	s.Helper()
	answer := s.call("GET", path, nil)
	if status, ok := answer["status"].(map[string]any); ok {
		answer = status
	}
	if answer[field] != want {
		s.Errorf("%s: %s is %v, want %s", path, field, answer[field], want)
	}
}

// TestSlowWarehouse: a statement starts its warehouse and takes effect once that runs, for who polls and for who waits.
func TestSlowWarehouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowWarehouse(t)
		start := s.State()
		s.expect("warehouses/w1", "state", "STOPPED")
		id, state := s.execute("10s", "CONTINUE")
		if state != "PENDING" {
			t.Errorf("a statement is %s while its warehouse starts", state)
		}
		s.expect("warehouses/w1", "state", "STARTING")
		time.Sleep(49 * time.Second)
		s.expect("statements/"+id, "state", "PENDING")
		if n := len(s.Grants()); n != 0 {
			t.Errorf("%d grants before the warehouse runs", n)
		}
		time.Sleep(2 * time.Second)
		s.expect("warehouses/w1", "state", "RUNNING")
		s.expect("statements/"+id, "state", "SUCCEEDED")
		if n := len(s.Grants()); n != 1 {
			t.Errorf("%d grants after the warehouse ran, want 1", n)
		}
		if n := s.Stats().Count("POST /api/2.0/sql/statements"); n != 1 {
			t.Errorf("%d statements are counted, of one that was pending", n)
		}
		if _, state := s.execute("10s", "CONTINUE"); state != "SUCCEEDED" {
			t.Errorf("a statement on a warehouse that runs is %s", state)
		}

		var last *emulator.Server
		for instant, err := range emulator.Replay(start, s.Trace()) {
			if err != nil {
				t.Fatal(err)
			}
			last = instant.Server
		}
		if last == nil || len(last.Grants()) != 1 {
			t.Error("the trace, carried out again, does not lead to the grant")
		}
	})
}

// TestStatementOfSlowWarehouse: who waits long enough gets the result; a statement canceled by its caller, by its time-out or by
// the end of the server has no effect.
func TestStatementOfSlowWarehouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowWarehouse(t)
		s.call("POST", "warehouses/w1/start", nil)
		s.expect("warehouses/w1", "state", "STARTING")
		id, _ := s.execute("0s", "CONTINUE")
		s.call("POST", "statements/"+id+"/cancel", nil)
		s.expect("statements/"+id, "state", "CANCELED")
		if id, state := s.execute("5s", "CANCEL"); state != "CANCELED" {
			t.Errorf("statement %s is %s after its time, want CANCELED", id, state)
		}
		time.Sleep(20 * time.Second)
		if n := len(s.Grants()); n != 0 {
			t.Errorf("%d grants of statements that were canceled", n)
		}
		begin := time.Now()
		if _, state := s.execute("50s", "CONTINUE"); state != "SUCCEEDED" || time.Since(begin) != 35*time.Second {
			t.Errorf("a statement is %s after %s, want SUCCEEDED when the warehouse has started", state, time.Since(begin))
		}
		s.call("POST", "warehouses/w1/stop", nil)
		late, _ := s.execute("0s", "CONTINUE")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s.expect("statements/"+late, "state", "CANCELED")
	})
}
