package unitycatalog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector/apply"
	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
)

func assign(principal string, privileges ...policy.Privilege) []policy.Assignment {
	var list []policy.Assignment
	for _, p := range privileges {
		list = append(list, policy.Assignment{Principal: policy.NewPrincipal(policy.UnknownKind, principal), Privilege: p})
	}
	return list
}

func TestGrants(t *testing.T) {
	const path = "GET " + uc + "permissions/table/a.b.t"
	w := newWorkspace(t, map[string][]string{
		path: {`{"privilege_assignments":[{"principal":"ann@example.com","privileges":["SELECT","MODIFY"]},
			{"principal":"","principal_id":17,"privileges":["SELECT"]},{"principal_id":18,"privileges":["ALL_PRIVILEGES"]}],"next_page_token":"n"}`},
		path + "?page_token=n":  {`{"next_page_token":"n2"}`},
		path + "?page_token=n2": {`{"privilege_assignments":[{"principal":"Data Team","privileges":["USE SCHEMA"]}]}`},
	})
	got, err := w.client(t).Grants(t.Context(), securable(t, "table:a.b.t"))
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(assign("ann@example.com", "SELECT", "MODIFY"), []policy.Assignment{
		{Principal: policy.DeletedPrincipal(17), Privilege: policy.Select}, {Principal: policy.DeletedPrincipal(18), Privilege: policy.AllPrivileges},
	}, assign("Data Team", "USE_SCHEMA"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
}

func TestGrantsFailWhole(t *testing.T) {
	const path = "GET " + uc + "permissions/table/a.b.t"
	first := []string{`{"privilege_assignments":[{"principal":"ann","privileges":["SELECT"]}],"next_page_token":"n"}`}
	for name, test := range map[string]struct {
		answers map[string][]string
		want    policy.Code
	}{
		"second page fails": {map[string][]string{path: first, path + "?page_token=n": {"500 {}"}}, policy.CodeUnavailable},
		"token repeats":     {map[string][]string{path: first, path + "?page_token=n": first}, policy.CodeUnavailable},
		"not a list":        {map[string][]string{path: {`{"privilege_assignments":"none"}`}}, policy.CodeUnavailable},
		"securable is gone": {map[string][]string{path: {`404 {"error_code":"TABLE_DOES_NOT_EXIST"}`}}, policy.CodeNotFound},
		"others' grants":    {map[string][]string{path: {`403 {"error_code":"PERMISSION_DENIED","message":"only administrators"}`}}, policy.CodeForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newWorkspace(t, test.answers).client(t).Grants(t.Context(), securable(t, "table:a.b.t"))
			checkCode(t, err, test.want, "read grants on TABLE:a.b.t")
			if got != nil {
				t.Errorf("grants in spite of an error: %v", got)
			}
		})
	}
}

func TestPermissionPaths(t *testing.T) {
	for s, path := range map[string]string{
		"metastore:m": "permissions/metastore/m", "catalog:a": "permissions/catalog/a", "schema:a.b": "permissions/schema/a.b",
		"view:a.b.v": "permissions/table/a.b.v", "model:a.b.m": "permissions/function/a.b.m", "volume:a.b.v": "permissions/volume/a.b.v",
		"external_location:l": "permissions/external_location/l", "storage_credential:c": "permissions/storage_credential/c",
		"credential:c": "permissions/credential/c", "connection:c": "permissions/connection/c", "share:s": "shares/s/permissions",
		"recipient:r": "permissions/recipient/r", "provider:p": "permissions/provider/p",
	} {
		w := newWorkspace(t, map[string][]string{"GET " + uc + path: {"{}"}})
		if _, err := w.client(t).Grants(t.Context(), securable(t, s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestApply(t *testing.T) {
	const path = "PATCH " + uc + "permissions/schema/a.b"
	w := newWorkspace(t, map[string][]string{path: {"503 {}", `{"privilege_assignments":[{"principal":"bob","privileges":["SELECT"]}]}`}})
	got, err := w.client(t).Apply(t.Context(), policy.Change{
		Securable: securable(t, "schema:a.b"),
		Add:       slices.Concat(assign("zoe", "SELECT"), assign("bob", "SELECT", "MODIFY", "SELECT")),
		Remove:    slices.Concat(assign("bob", "USE_SCHEMA"), assign("ann", "SELECT", "EXECUTE")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(assign("bob", "SELECT"), got); diff != "" {
		t.Errorf("grants afterwards (-want +got):\n%s", diff)
	}
	want := `{"changes":[{"principal":"ann","remove":["EXECUTE","SELECT"]},{"principal":"bob","add":["MODIFY","SELECT"],"remove":["USE_SCHEMA"]},{"principal":"zoe","add":["SELECT"]}]}`
	if diff := cmp.Diff([]string{want, want}, w.body); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestApplyRefusals(t *testing.T) {
	change := policy.Change{Securable: policy.Securable{Type: policy.Schema, FullName: "a.b"},
		Add: slices.Concat(assign("ann", "SELECT"), assign("ann@example.com", "SELECT"), assign("bob", "SELECT"))}
	tests := []struct {
		answer    string
		want      policy.Code
		unknown   bool // a PrincipalError
		principal string
	}{
		{`404 {"error_code":"PRINCIPAL_DOES_NOT_EXIST","message":"Could not find principal with name ann@example.com"}`, policy.CodeInvalid, true, "ann@example.com"},
		{`404 {"error_code":"PRINCIPAL_DOES_NOT_EXIST","message":"Principal 'bob' does not exist."}`, policy.CodeInvalid, true, "bob"},
		{`400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Could not find principal with name bob"}`, policy.CodeInvalid, true, "bob"},
		{`404 {"error_code":"PRINCIPAL_DOES_NOT_EXIST","message":"ann or bob"}`, policy.CodeInvalid, true, ""},
		{`404 {"error_code":"PRINCIPAL_DOES_NOT_EXIST"}`, policy.CodeInvalid, true, ""},
		{`404 {"error_code":"SCHEMA_DOES_NOT_EXIST","message":"Schema 'a.b' does not exist."}`, policy.CodeNotFound, false, ""},
		{`400 {"error_code":"INVALID_PARAMETER_VALUE","message":"Privilege SELECT is not applicable"}`, policy.CodeInvalid, false, ""},
		{`403 {"error_code":"PERMISSION_DENIED","message":"not the owner"}`, policy.CodeForbidden, false, ""},
	}
	for _, test := range tests {
		t.Run(test.answer, func(t *testing.T) {
			w := newWorkspace(t, map[string][]string{"PATCH " + uc + "permissions/schema/a.b": {test.answer}})
			_, err := w.client(t).Apply(t.Context(), change)
			checkCode(t, err, test.want, "change grants on SCHEMA:a.b")
			var unknown *apply.PrincipalError
			if got := errors.As(err, &unknown); got != test.unknown {
				t.Fatalf("a PrincipalError: %t, want %t: %v", got, test.unknown, err)
			}
			if unknown != nil && unknown.Principal.Name != test.principal {
				t.Errorf("unknown principal %q, want %q", unknown.Principal, test.principal)
			}
			if calls := w.sent(); len(calls) != 1 {
				t.Errorf("%d requests, want 1: the same would be refused again", len(calls))
			}
		})
	}
}

func TestApplyWithoutSending(t *testing.T) {
	s := policy.Securable{Type: policy.Schema, FullName: "a.b"}
	t.Run("contradiction", func(t *testing.T) {
		w := newWorkspace(t, nil)
		_, err := w.client(t).Apply(t.Context(), policy.Change{Securable: s, Add: assign("ann", "SELECT"), Remove: assign("ann", "SELECT")})
		checkCode(t, err, policy.CodeInvalid, "both added and removed")
		_, err = w.client(t).Apply(t.Context(), policy.Change{Securable: s, Add: assign("", "SELECT")})
		checkCode(t, err, policy.CodeInvalid, "no name")
		if calls := w.sent(); len(calls) > 0 {
			t.Errorf("calls %q", calls)
		}
	})
	t.Run("empty change", func(t *testing.T) {
		w := newWorkspace(t, map[string][]string{"GET " + uc + "permissions/schema/a.b": {`{"privilege_assignments":[{"principal":"ann","privileges":["SELECT"]}]}`}})
		got, err := w.client(t).Apply(t.Context(), policy.Change{Securable: s})
		if diff := cmp.Diff(assign("ann", "SELECT"), got); diff != "" || err != nil {
			t.Errorf("%v, grants (-want +got):\n%s", err, diff)
		}
	})
}

// A change whose answer is lost, or breaks off, is sent again: the server's state is the same after one and after two.
func TestApplyAfterALostAnswer(t *testing.T) {
	for name, lose := range map[string]func(http.ResponseWriter){
		"connection closed": func(w http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"answer breaks off": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"privilege_assignments":[`)
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			held := map[string]bool{"MODIFY": true}
			lost := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, uc) {
					http.NotFound(w, r)
					return
				}
				var diff struct {
					Changes []struct{ Add, Remove []string }
				}
				if err := json.NewDecoder(r.Body).Decode(&diff); err != nil {
					t.Errorf("request body: %v", err)
				}
				for _, c := range diff.Changes {
					for _, p := range c.Add {
						held[p] = true
					}
					for _, p := range c.Remove {
						delete(held, p)
					}
				}
				w.Header().Set("Content-Type", "application/json")
				if lost < 2 {
					lost++
					lose(w)
				}
				var list []string
				for p := range held {
					list = append(list, fmt.Sprintf("%q", p))
				}
				fmt.Fprintf(w, `{"privilege_assignments":[{"principal":"ann","privileges":[%s]}]}`, strings.Join(list, ","))
			}))
			defer server.Close()
			c := newClient(t, unitycatalog.Options{Host: server.URL, Token: secret, Pacing: quick})
			got, err := c.Apply(t.Context(), policy.Change{Securable: policy.Securable{Type: policy.Schema, FullName: "a.b"},
				Add: assign("ann", "SELECT"), Remove: assign("ann", "MODIFY")})
			if diff := cmp.Diff(assign("ann", "SELECT"), got); diff != "" || err != nil || lost != 2 {
				t.Errorf("%v after %d lost answers, grants (-want +got):\n%s", err, lost, diff)
			}
		})
	}
}
