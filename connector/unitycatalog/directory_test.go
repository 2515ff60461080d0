package unitycatalog_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
	"ucwarden/policy/directory"
)

// scim is a SCIM server of lists, two to a page.
type scim struct {
	mu    sync.Mutex
	lists map[string][]string // of JSON, by the path below the prefix
	each  map[string]string   // answers of single resources
	shift func(s *scim)       // called after each page of users
	seen  []string
}

func (s *scim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, ok := strings.CutPrefix(r.URL.Path, "/api/2.0/preview/scim/v2/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.seen = append(s.seen, path)
	w.Header().Set("Content-Type", "application/json")
	if one, found := s.each[path]; found {
		if status, body, has := strings.Cut(one, " "); has && len(status) == 3 {
			code, _ := strconv.Atoi(status)
			w.WriteHeader(code)
			one = body
		}
		fmt.Fprint(w, one)
		return
	}
	list, found := s.lists[path]
	if !found {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	start, _ := strconv.Atoi(r.URL.Query().Get("startIndex"))
	from := min(max(start-1, 0), len(list))
	count, _ := strconv.Atoi(r.URL.Query().Get("count"))
	page := list[from:min(from+min(count, 2), len(list))]
	raw := make([]json.RawMessage, 0, 2)
	for _, item := range page {
		members := ""
		if strings.Contains(r.URL.Query().Get("attributes"), "members") {
			members = `,"members":[{"value":"3"}` + strings.Repeat(`,{"value":"`+strings.Repeat("x", 1000)+`"}`, 34_000) + "]"
		}
		raw = append(raw, json.RawMessage(strings.Replace(item, manyMembers, members, 1)))
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"Resources": raw, "totalResults": len(list), "startIndex": start, "itemsPerPage": len(page)}); err != nil {
		panic(err)
	}
	if path == "Users" && s.shift != nil {
		s.shift(s)
	}
}

// manyMembers stands, in a group, for more members than an answer may hold.
const manyMembers = `,"members":"many"`

func newSCIM() *scim {
	return &scim{
		each: map[string]string{"Groups/12": `{"id":"12","displayName":"admins","meta":{"resourceType":"WorkspaceGroup"}}`, "Me": `{"id":"3","userName":"app-1","groups":[{"value":"10","display":"connectors"},{"value":"99","display":"account users"}]}`},
		lists: map[string][]string{
			"Users":             {`{"id":"1","userName":"Ana@x","displayName":"Ana"}`, `{"id":"2","userName":"bo@x","active":false}`, `{"id":"4","userName":"cy@x","active":true}`},
			"ServicePrincipals": {`{"id":"3","applicationId":"app-1","displayName":"etl"}`, `{"id":"5","displayName":"has no name"}`},
			"Groups": {`{"id":"10","displayName":"connectors","members":[{"value":"3"}],"groups":[{"value":"11"}]}`,
				`{"id":"11","displayName":"Operators","members":[{"value":"10"}]}`, `{"id":"12","displayName":"admins","meta":{"resourceType":"WorkspaceGroup"}}`},
		},
	}
}

func listingOf(t *testing.T, s *scim) (directory.Listing, error) {
	t.Helper()
	server := httptest.NewServer(s)
	defer server.Close()
	return newClient(t, unitycatalog.Options{Host: server.URL, Token: secret, Pacing: quick}).Principals(t.Context())
}

// names writes entries as "kind name" with what is said of them.
func names(l directory.Listing) []string {
	var list []string
	for _, e := range l.Entries {
		text := e.Kind.String() + " " + e.Name
		if e.Display != "" {
			text += " (" + e.Display + ")"
		}
		if e.Inactive {
			text += " inactive"
		}
		if e.Local {
			text += " local"
		}
		if len(e.Members) > 0 {
			text += " holds " + strings.Join(e.Members, ",")
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}

var everybody = []string{"group Operators holds 10", "group admins local", "group connectors holds 3", "service_principal app-1 (etl)", "user Ana@x (Ana)", "user bo@x inactive", "user cy@x"}

func TestPrincipals(t *testing.T) {
	l, err := listingOf(t, newSCIM())
	if err != nil {
		t.Fatal(err)
	}
	if got := names(l); !slices.Equal(got, everybody) {
		t.Errorf("got %q", got)
	}
	if d := directory.New(l); l.Self != "3" || !d.Own(policy.NewPrincipal(policy.Group, "Operators")) || d.Own(policy.NewPrincipal(policy.Group, "admins")) {
		t.Errorf("we are %q, in %v", l.Self, l.Groups)
	}
}

// TestPrincipalsShift holds that a listing that changes between its pages begins again, and is an error if it never holds
// still: part of one is no listing.
func TestPrincipalsShift(t *testing.T) {
	shifts := 0
	s := newSCIM()
	s.shift = func(s *scim) {
		if shifts++; shifts == 1 { // a page later, somebody before it is gone
			s.lists["Users"] = append(s.lists["Users"][1:], `{"id":"6","userName":"di@x"}`, `{"id":"7","userName":"ed@x"}`)
		}
	}
	l, err := listingOf(t, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"user bo@x inactive", "user cy@x", "user di@x", "user ed@x"} {
		if !slices.Contains(names(l), want) {
			t.Errorf("%s is missing in %q", want, names(l))
		}
	}
	s = newSCIM()
	s.shift = func(s *scim) {
		s.lists["Users"] = append(s.lists["Users"], fmt.Sprintf(`{"id":"n%d","userName":"n%[1]d@x"}`, len(s.lists["Users"])))
	}
	if l, err := listingOf(t, s); policy.CodeOf(err) != policy.CodeUnavailable || len(l.Entries) > 0 {
		t.Errorf("%d principals, %v", len(l.Entries), err)
	}
}

// TestPrincipalsHidden holds that groups are read one by one where the listing does not show who is in them, and that a group
// of ours that is not listed counts.
func TestPrincipalsHidden(t *testing.T) {
	s := newSCIM()
	s.lists["Groups"] = []string{`{"id":"10","displayName":"connectors"}`, `{"id":"11","displayName":"Operators"}`, `{"id":"12","displayName":"gone"}`}
	s.each["Groups/10"], s.each["Groups/11"] = `{"id":"10","displayName":"connectors","members":[{"value":"3"}]}`, `{"id":"11","displayName":"Operators","members":[{"value":"10"}]}`
	s.each["Groups/12"] = `404 {"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"Group not found.","status":"404"}`
	s.each["Me"] = `{"id":"3","userName":"app-1","groups":[{"value":"10","display":"connectors"},{"value":"13","display":"of the account"}]}`
	s.each["Groups/13"] = `404 {"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"Group not found.","status":"404"}`
	l, err := listingOf(t, s)
	if err != nil {
		t.Fatal(err)
	}
	d := directory.New(l)
	for name, want := range map[string]bool{"connectors": true, "Operators": true, "of the account": true, "gone": false} {
		if d.Own(policy.NewPrincipal(policy.Group, name)) != want {
			t.Errorf("we are in %s: %t", name, !want)
		}
	}
}

// TestPrincipalsEmpty holds that a group without members, which SCIM shows no list of, is empty once it was read by itself: not where
// that cannot be, where it comes from an identity provider, or where no group shows members.
func TestPrincipalsEmpty(t *testing.T) {
	known := func(s *scim) (list []string) {
		l, err := listingOf(t, s)
		if err != nil {
			t.Fatal(err)
		}
		d := directory.New(l)
		for _, name := range []string{"empty", "of the provider", "found to be", "refused", "gone", "full"} {
			if users, all := d.UsersIn(policy.NewPrincipal(policy.Group, name)); all {
				list = append(list, fmt.Sprint(name, users))
			}
		}
		return list
	}
	s := newSCIM()
	for i, name := range []string{"empty", "of the provider", "found to be", "refused", "gone", "full"} {
		s.lists["Groups"] = append(s.lists["Groups"], fmt.Sprintf(`{"id":"2%d","displayName":%q}`, i, name))
		s.each[fmt.Sprintf("Groups/2%d", i)] = fmt.Sprintf(`{"id":"2%d","displayName":%q}`, i, name)
	}
	s.lists["Groups"][4] = `{"id":"21","displayName":"of the provider","externalId":"e1"}`
	s.each["Groups/22"] = `{"id":"22","displayName":"found to be","externalId":"e2"}`
	s.each["Groups/23"] = `403 {"error_code":"PERMISSION_DENIED"}`
	s.each["Groups/24"] = `404 {"detail":"Group not found.","status":"404"}`
	s.each["Groups/25"] = `{"id":"25","displayName":"full","members":[{"value":"1"}]}`
	if got := known(s); !slices.Equal(got, []string{"empty[]", "full[Ana@x]"}) || slices.Contains(s.seen, "Groups/21") {
		t.Errorf("known are %q", got)
	}
	s.each["Me"] = `{"id":"3","userName":"app-1"}`
	s.lists["Groups"], s.each["Groups/25"] = s.lists["Groups"][3:], `{"id":"25","displayName":"full"}`
	if got := known(s); len(got) > 0 {
		t.Errorf("no group shows members, and known are %q", got)
	}
}

// TestPrincipalsMany holds that it is not known who is in a group of which no answer can hold the members, and that all else is read.
func TestPrincipalsMany(t *testing.T) {
	s := newSCIM()
	s.lists["Groups"] = slices.Insert(s.lists["Groups"], 1, `{"id":"13","displayName":"staff"`+manyMembers+`,"groups":[{"value":"11"}]}`)
	l, err := listingOf(t, s)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(everybody)
	want = append(want, "group staff")
	slices.Sort(want)
	if got := names(l); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if _, all := directory.New(l).UsersIn(policy.NewPrincipal(policy.Group, "staff")); all {
		t.Error("it counts as known who is in staff")
	}
	if slices.Contains(s.seen, "Groups/13") {
		t.Error("staff is read once more, by itself")
	}
}

// TestPrincipalsUnread holds that what cannot be read or understood is an error, never a smaller directory.
func TestPrincipalsUnread(t *testing.T) {
	for path, answer := range map[string]string{
		"Me": `403 {"error_code":"PERMISSION_DENIED"}`, "Users": `403 {"error_code":"PERMISSION_DENIED"}`, "Groups": `{"Resources":[{"id":"1"}]}`,
		"ServicePrincipals": `{"Resources":[{"applicationId":"x"}],"totalResults":1}`,
	} {
		s := newSCIM()
		s.each[path] = answer
		if l, err := listingOf(t, s); err == nil || policy.CodeOf(err) == policy.CodeInternal || len(l.Entries) > 0 {
			t.Errorf("%s: %d principals, %v", path, len(l.Entries), err)
		}
	}
}
