package connector_test

import (
	"maps"
	"testing"

	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/connector/memory"
	"ucwarden/policy"
)

// unreadSchema has a table be granted SELECT and MODIFY by themselves, beside ALL_PRIVILEGES: they are on the schema, which
// cannot be read.
var unreadSchema = emulator.Fault{Method: "GET", Path: "*/permissions/schema/sales.emea", Status: 500}

// newWrittenOut returns a rig of a workspace that shows ALL_PRIVILEGES written out; analysts are to have it on the tables of a schema.
func newWrittenOut(t *testing.T, state memory.Store, f *fake) *rig {
	return newRig(t, rigOptions{attempts: 1, emulator: emulator.Options{ExpandAllPrivileges: true}, syncer: connector.Options{State: state}, wrap: through(f)},
		allow("table:sales.emea.*", "analysts", "all_privileges"))
}

// disturbed syncs while faults last.
func (r *rig) disturbed(faults ...emulator.Fault) {
	r.t.Helper()
	r.fault(faults...)
	_, _ = r.Sync(r.t.Context(), connector.Request{}) // what is left undone is done afterwards
	r.server.ClearFaults()
}

// restart continues with a new process that has the values of a store.
func (r *rig) restart(values map[string][]byte) {
	r.t.Helper()
	o := r.Options
	o.State = &inMemory{values: values}
	var err error
	if r.Syncer, err = connector.New(o); err != nil {
		r.t.Fatal(err)
	}
}

// What is granted beside ALL_PRIVILEGES that is shown written out is hidden by it: also where the answer was lost, and the process
// was killed then, it is revoked once it is not wanted.
func TestHiddenByLostAnswer(t *testing.T) {
	const table = "table:sales.emea.orders"
	for _, killed := range []bool{false, true} {
		state, f := &inMemory{}, &fake{}
		r := newWrittenOut(t, state, f)
		r.sync()
		r.expectOn(table, "analysts ALL_PRIVILEGES")

		var atRequest map[string][]byte // what was kept when the request was sent
		f.apply = func(c policy.Change) error {
			if c.Securable == sec(t, table) {
				state.mu.Lock()
				defer state.mu.Unlock()
				atRequest = maps.Clone(state.values)
			}
			return nil
		}
		r.disturbed(unreadSchema, emulator.Fault{Method: "PATCH", Path: "*/permissions/table/*", Status: 504, After: true})
		r.expectOn(table, "analysts ALL_PRIVILEGES MODIFY SELECT")
		f.apply = nil
		if killed {
			r.restart(atRequest)
		}
		r.sync()
		r.expectOn(table, "analysts ALL_PRIVILEGES")
		r.inSync()
	}
}

// What stood before ALL_PRIVILEGES was granted, and was wanted then, is hidden by it, too: it is revoked once it is not wanted.
func TestHiddenFromBefore(t *testing.T) {
	const table = "table:sales.emea.orders"
	for _, before := range []struct {
		granted []policy.Privilege
		then    string // what stands once ALL_PRIVILEGES is granted
	}{
		{[]policy.Privilege{"SELECT"}, "analysts ALL_PRIVILEGES SELECT"},
		{[]policy.Privilege{"SELECT", "MODIFY"}, "analysts ALL_PRIVILEGES MODIFY SELECT"},
		{[]policy.Privilege{"ALL_PRIVILEGES", "SELECT"}, "analysts ALL_PRIVILEGES SELECT"},
	} {
		r := newWrittenOut(t, &inMemory{}, &fake{})
		r.grant(table, "analysts", before.granted...)
		r.disturbed(unreadSchema)
		r.expectOn(table, before.then)
		r.sync()
		r.expectOn(table, "analysts ALL_PRIVILEGES")
		r.inSync()
	}
}
