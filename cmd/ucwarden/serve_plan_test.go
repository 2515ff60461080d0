package main

import (
	"errors"
	"slices"
	"testing"

	"ucwarden/apiserver/client"
	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
)

// The API shows what a full sync was refused for, and by which digest it is approved.
func TestPlanByTheAPI(t *testing.T) {
	t.Parallel()
	seed := oneSchema("t1", "t2")
	seed.Catalogs[0].Schemas[0].Tables[0].Grants = emulator.SeedGrants{"interns": {"SELECT"}}
	w := newWorld(t, seed, readTables)
	_, api := w.serve("--set", "guard.max_revokes=0")
	var missing *client.Error
	if _, err := api.Plan(t.Context(), "", 0); !errors.As(err, &missing) || missing.Status != 404 {
		t.Errorf("before any full sync: %v", err)
	}
	full := func(approve string, want ondemand.Status) ondemand.Task {
		accepted, err := api.Submit(t.Context(), ondemand.Task{Type: ondemand.FullSync, RequestInfo: ondemand.RequestInfo{Approve: approve}})
		if err != nil {
			t.Fatal(err)
		}
		return w.done(api, accepted.ID, want)
	}
	before := w.grants()
	refused := full("", ondemand.Failed)
	p, err := api.Plan(t.Context(), "", 0)
	if err != nil || p.Task != refused.ID || p.Adds != 2 || p.Removes != 1 || p.Changed != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	digest := ""
	for _, part := range p.Parts {
		if part.PolicyVersion == 0 || part.PlannedAt.IsZero() || (part.Digest == "") != (len(part.Changes) == 0) {
			t.Errorf("%+v", part)
		}
		for _, c := range part.Changes {
			if c.Principal == "interns" && c.Securable == "TABLE:c.s.t1" && slices.Equal(c.Remove, []string{"SELECT"}) && c.Causes["SELECT"] != "" {
				digest = part.Digest
			}
		}
	}
	if digest == "" {
		t.Fatalf("the revoke is not in the plan: %+v", p)
	}
	if p, err = api.Plan(t.Context(), refused.ID, 1); err != nil {
		t.Fatal(err)
	}
	shown, left := 0, 0
	for _, part := range p.Parts {
		shown, left = shown+len(part.Changes), left+part.LeftOut
	}
	if shown != 1 || left != 2 || p.Adds != 2 {
		t.Errorf("%d changes shown, %d left out, limit 1", shown, left)
	}
	if after := w.grants(); !slices.Equal(before, after) {
		t.Errorf("changed although it was refused: %v", after)
	}
	applied := full(digest, ondemand.Success)
	if p, err = api.Plan(t.Context(), applied.ID, 0); err != nil || p.Removes != 1 {
		t.Errorf("after it was applied: %+v, %v", p, err)
	}
	if _, err := api.Plan(t.Context(), refused.ID, 0); !errors.As(err, &missing) || missing.Status != 404 {
		t.Errorf("of an earlier full sync: %v", err)
	}
}
