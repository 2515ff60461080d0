// Package rangertest is a Ranger Admin for tests: [Server] is an http.Handler that serves the four downloads of its
// API, with versions, policy deltas, logins and not-modified answers, and [Fault] makes them fail. It rejects what
// Ranger Admin rejects. Tests of package source and of the commands set the policies and point a source at it.
package rangertest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"ucwarden/policy/delta"
	"ucwarden/policy/ranger"
)

// Part is one of the downloads.
type Part string

// The downloads.
const (
	Policies Part = "policies"
	Roles    Part = "roles"
	Users    Part = "xusers"
	Tags     Part = "tags"
)

// Fault makes a download fail. The zero Fault is none.
type Fault struct {
	Status    int               // answered with a message in JSON
	Header    map[string]string // added to the answer
	LoginPage bool              // 200 with the HTML of a login page
	Redirect  string            // 302 to this URL
	Body      string            // 200 with this body, as JSON
	Empty     bool              // 200 with no body
	Truncate  bool              // the right answer, cut off half-way
	Drop      bool              // no answer: the connection is closed
	Gzip      bool              // the right answer, compressed
	Delay     func()            // called before anything else
}

// Request is one download request that the server received.
type Request struct {
	Part   Part
	Secure bool
	Query  map[string]string
	Status int
}

// Server is a Ranger Admin with one service. Use it as an http.Handler. Safe for concurrent use.
type Server struct {
	// Service is the name of the service. User and Password, when set, are required by the secure downloads; the plain
	// ones are then forbidden, as is Ranger's default.
	Service, User, Password string

	mu         sync.Mutex
	disabled   bool
	policies   ranger.ServicePolicies
	history    map[int64][]ranger.Policy // by version, for deltas
	roles      *ranger.ServiceRoles
	users      *ranger.UserStore
	tags       *ranger.ServiceTags
	faults     map[Part]Fault
	alterDelta func(*ranger.ServicePolicies) // changes each delta before it is sent; nil: none
	requests   []Request
}

// New returns a server whose service has no policies yet, no roles, an empty user store and no tags, each of version 1.
func New(service string) *Server {
	s := &Server{Service: service, history: map[int64][]ranger.Policy{}, faults: map[Part]Fault{}}
	s.policies = ranger.ServicePolicies{ServiceName: service, ServiceID: 7, PolicyVersion: 1, Policies: []ranger.Policy{}}
	s.history[1] = nil
	s.roles = &ranger.ServiceRoles{ServiceName: service, RoleVersion: 1}
	s.users = &ranger.UserStore{UserStoreVersion: 1}
	s.tags = &ranger.ServiceTags{ServiceName: service, TagVersion: 1}
	return s
}

// SetPolicies replaces the policies and returns their new version.
func (s *Server) SetPolicies(list ...ranger.Policy) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if list == nil {
		list = []ranger.Policy{}
	}
	s.policies.Policies = list
	s.policies.PolicyVersion++
	s.history[s.policies.PolicyVersion] = list
	return s.policies.PolicyVersion
}

// Restore puts an older version back, as restoring the database does.
func (s *Server) Restore(version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policies.PolicyVersion = version
	s.policies.Policies = s.history[version]
}

// Edit changes the policy document in any other way; f must set the version itself.
func (s *Server) Edit(f func(*ranger.ServicePolicies)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.policies)
	s.history[s.policies.PolicyVersion] = s.policies.Policies
}

// AlterDeltas makes the server call f on each delta before it is sent, to send wrong ones; nil ends that.
func (s *Server) AlterDeltas(f func(*ranger.ServicePolicies)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterDelta = f
}

// SetRoles replaces the roles.
func (s *Server) SetRoles(list ...ranger.Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles = &ranger.ServiceRoles{ServiceName: s.Service, RoleVersion: s.roles.RoleVersion + 1, RangerRoles: list}
}

// SetUsers replaces the user store by who is in which groups.
func (s *Server) SetUsers(groups map[string][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = &ranger.UserStore{UserStoreVersion: s.users.UserStoreVersion + 1, UserGroupMapping: groups}
}

// Disable switches the service off or on.
func (s *Server) Disable(off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disabled = off
}

// SetFault makes a download fail until it is set to the zero Fault.
func (s *Server) SetFault(part Part, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[part] = fault
}

// Requests returns the requests received since the last call.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.requests
	s.requests = nil
	return list
}

// ServeHTTP answers a download.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	part, secure, service, ok := route(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	fault := s.faults[part]
	s.mu.Unlock()
	if fault.Delay != nil {
		fault.Delay()
	}
	answer := &recorder{header: http.Header{}}
	s.answer(answer, r, part, secure, service, fault)

	query := map[string]string{}
	for key := range r.URL.Query() {
		query[key] = r.URL.Query().Get(key)
	}
	s.mu.Lock()
	s.requests = append(s.requests, Request{Part: part, Secure: secure, Query: query, Status: answer.status})
	s.mu.Unlock()
	answer.send(w, fault)
}

// route parses a path such as /service/tags/secure/download/name.
func route(path string) (part Part, secure bool, service string, ok bool) {
	steps := strings.Split(strings.TrimPrefix(path, "/service/"), "/")
	service, steps = steps[len(steps)-1], steps[:len(steps)-1]
	switch strings.Join(steps, "/") {
	case "plugins/policies/download":
		return Policies, false, service, true
	case "plugins/secure/policies/download":
		return Policies, true, service, true
	}
	if len(steps) > 0 {
		part = Part(steps[0])
	}
	if part != Roles && part != Users && part != Tags {
		return "", false, "", false
	}
	switch strings.Join(steps[1:], "/") {
	case "download":
		return part, false, service, true
	case "secure/download":
		return part, true, service, true
	}
	return "", false, "", false
}

func (s *Server) answer(w *recorder, r *http.Request, part Part, secure bool, service string, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, password, _ := r.BasicAuth()
	versionParam := map[Part]string{Policies: "lastKnownVersion", Roles: "lastKnownRoleVersion", Users: "lastKnownUserStoreVersion", Tags: "lastKnownVersion"}[part]
	last, err := strconv.ParseInt(r.URL.Query().Get(versionParam), 10, 64)
	_, errTime := strconv.ParseInt(r.URL.Query().Get("lastActivationTime"), 10, 64)
	_, errBits := strconv.ParseUint(r.URL.Query().Get("pluginCapabilities"), 16, 64)
	for key, value := range fault.Header {
		w.header.Set(key, value)
	}
	switch {
	case fault.Status != 0:
		w.message(fault.Status, "a fault was asked for")
	case fault.Redirect != "":
		w.header.Set("Location", fault.Redirect)
		w.status = http.StatusFound
	case fault.LoginPage:
		w.header.Set("Content-Type", "text/html;charset=UTF-8")
		w.status = http.StatusOK
		w.body.WriteString("<!DOCTYPE html><html><body><form action=\"/login\"></form></body></html>")
	case fault.Empty:
		w.header.Set("Content-Type", "application/json")
		w.status = http.StatusOK
	case fault.Body != "":
		w.header.Set("Content-Type", "application/json")
		w.status = http.StatusOK
		w.body.WriteString(fault.Body)
	case r.Method != http.MethodGet:
		w.message(http.StatusMethodNotAllowed, "only GET")
	case s.User != "" && !secure:
		w.message(http.StatusForbidden, "Unauthenticated access not allowed")
	case secure && (user != s.User || password != s.Password):
		w.message(http.StatusUnauthorized, "Authentication failed")
	case service != s.Service:
		w.message(http.StatusNotFound, fmt.Sprintf("RANGER_ERROR_SERVICE_NOT_FOUND: ServiceName=%s", service))
	case s.disabled:
		w.message(http.StatusBadRequest, "the service is disabled")
	case err != nil || errTime != nil || errBits != nil || r.URL.Query().Get("pluginId") == "":
		w.message(http.StatusBadRequest, "a parameter is missing or malformed")
	default:
		s.document(w, part, last, r.URL.Query().Get("supportsPolicyDeltas") == "true")
	}
}

// document answers with the document of a part, or 304 when its version equals last. Any other version counts as new.
func (s *Server) document(w *recorder, part Part, last int64, deltas bool) {
	switch part {
	case Policies:
		w.document(s.policies.PolicyVersion, last, s.policyDocument(last, deltas))
	case Roles:
		w.document(s.roles.RoleVersion, last, s.roles)
	case Users:
		w.document(s.users.UserStoreVersion, last, s.users)
	case Tags:
		w.document(s.tags.TagVersion, last, s.tags)
	}
}

// policyDocument returns the whole document, or the deltas since version last if the server still has it.
func (s *Server) policyDocument(last int64, deltas bool) any {
	old, found := s.history[last]
	if !deltas || !found || last >= s.policies.PolicyVersion {
		// policies must be there even when there are none
		body, err := json.Marshal(s.policies)
		if err != nil {
			panic(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(body, &doc); err != nil {
			panic(err)
		}
		if doc["policies"] == nil {
			doc["policies"] = []any{}
		}
		return doc
	}
	doc := s.policies
	doc.Policies = nil
	doc.PolicyDeltas = []ranger.PolicyDelta{}
	byID := func(list []ranger.Policy, id int64) int {
		return slices.IndexFunc(list, func(p ranger.Policy) bool { return p.ID == id })
	}
	for i := range s.policies.Policies {
		p := &s.policies.Policies[i]
		at := byID(old, p.ID)
		if at < 0 {
			doc.PolicyDeltas = append(doc.PolicyDeltas, ranger.PolicyDelta{ChangeType: delta.Create, Policy: p})
		} else if !equalPolicies(old[at], *p) {
			doc.PolicyDeltas = append(doc.PolicyDeltas, ranger.PolicyDelta{ChangeType: delta.Update, Policy: p})
		}
	}
	for _, p := range old {
		if byID(s.policies.Policies, p.ID) < 0 {
			doc.PolicyDeltas = append(doc.PolicyDeltas, ranger.PolicyDelta{ChangeType: delta.Delete, Policy: &ranger.Policy{ID: p.ID, Name: p.Name}})
		}
	}
	if s.alterDelta != nil {
		s.alterDelta(&doc)
	}
	return doc
}

func equalPolicies(a, b ranger.Policy) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// recorder holds an answer until it is sent.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) message(status int, text string) {
	w.status = status
	w.header.Set("Content-Type", "application/json")
	fmt.Fprintf(&w.body, `{"statusCode":1,"msgDesc":%q}`, text)
}

func (w *recorder) document(version, last int64, doc any) {
	if version == last {
		w.status = http.StatusNotModified
		return
	}
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err) // plain data: cannot happen
	}
	w.status = http.StatusOK
	w.header.Set("Content-Type", "application/json")
	w.body.Write(body)
}

func (w *recorder) send(to http.ResponseWriter, fault Fault) {
	if fault.Drop {
		panic(http.ErrAbortHandler)
	}
	body := w.body.Bytes()
	if fault.Gzip && len(body) > 0 {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(body)
		_ = z.Close()
		body = packed.Bytes()
		w.header.Set("Content-Encoding", "gzip")
	}
	for key, values := range w.header {
		to.Header()[key] = values
	}
	if w.status == http.StatusOK {
		to.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	to.WriteHeader(w.status)
	if fault.Truncate {
		_, _ = to.Write(body[:len(body)/2])
		if f, ok := to.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	_, _ = to.Write(body)
}
