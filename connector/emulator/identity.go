package emulator

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// registerIdentity registers the calls about principals (SCIM), and OAuth machine-to-machine.
func (s *Server) registerIdentity() {
	s.route("GET /api/2.0/preview/scim/v2/Me", anyUser.String(), s.scimMe)
	for _, base := range []string{"/api/2.0/preview/scim/v2/", "/api/2.0/accounts/{account}/scim/v2/"} {
		for path, kind := range map[string]PrincipalKind{"Users": User, "Groups": Group, "ServicePrincipals": ServicePrincipal} {
			s.route("GET "+base+path, anyUser.String(), s.scimList(kind))
			s.route("GET "+base+path+"/{id}", anyUser.String(), s.scimGet(kind))
		}
	}
	s.routePublic("GET /.well-known/databricks-config", s.hostMetadata)
	s.routePublic("GET /oidc/.well-known/oauth-authorization-server", s.oauthMetadata)
	s.routePublic("POST "+tokenPath, s.issueToken)
}

// scimValue is a reference to another resource in SCIM.
type scimValue struct {
	Value   string `json:"value"`
	Display string `json:"display,omitempty"`
	Type    string `json:"type,omitempty"`
	Ref     string `json:"$ref,omitempty"`
	Primary bool   `json:"primary,omitempty"`
}

// scimResource is a user, group or service principal in SCIM.
type scimResource struct {
	Schemas       []string    `json:"schemas"`
	ID            string      `json:"id"`
	UserName      string      `json:"userName,omitempty"`
	DisplayName   string      `json:"displayName,omitempty"`
	ApplicationID string      `json:"applicationId,omitempty"`
	Active        *bool       `json:"active,omitempty"` // not of groups
	Emails        []scimValue `json:"emails,omitempty"`
	Groups        []scimValue `json:"groups,omitempty"`
	Members       []scimValue `json:"members,omitempty"`
	ExternalID    string      `json:"externalId,omitempty"`
	Meta          *scimMeta   `json:"meta,omitempty"`
}

// scimMeta tells groups of the account from those of the workspace alone.
type scimMeta struct {
	ResourceType string `json:"resourceType"`
}

func scimPath(kind PrincipalKind) string {
	switch kind {
	case Group:
		return "Groups/"
	case ServicePrincipal:
		return "ServicePrincipals/"
	}
	return "Users/"
}

// scimResourceOf returns the SCIM form of a principal. s.mu must be held.
func (s *Server) scimResourceOf(p *principal) scimResource {
	active := !p.inactive
	r := scimResource{ID: jsonNumber(p.id), DisplayName: p.shownName(), ExternalID: p.externalID}
	switch p.kind {
	case User:
		r.Schemas = []string{"urn:ietf:params:scim:schemas:core:2.0:User"}
		r.UserName, r.Active = p.name, &active
		r.Emails = []scimValue{{Value: p.name, Type: "work", Primary: true}}
	case ServicePrincipal:
		r.Schemas = []string{"urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal"}
		r.ApplicationID, r.Active = p.name, &active
	case Group:
		r.Schemas = []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}
		r.Meta = &scimMeta{"Group"}
		if p.local() {
			r.Meta.ResourceType = "WorkspaceGroup"
		}
		for _, name := range p.members {
			if member := s.directory.byName[name]; member != nil {
				r.Members = append(r.Members, scimValue{Value: jsonNumber(member.id), Display: member.name, Ref: scimPath(member.kind) + jsonNumber(member.id)})
			}
		}
	}
	for _, name := range s.directory.groups[p.name] {
		if group := s.directory.byName[name]; group != nil {
			r.Groups = append(r.Groups, scimValue{Value: jsonNumber(group.id), Display: name, Type: "direct", Ref: scimPath(Group) + jsonNumber(group.id)})
		}
	}
	return r
}

// scimMe returns the caller. Like the real server it returns a service principal's application id as its user name.
func (s *Server) scimMe(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.directory.byName[c.who.name]
	if p == nil {
		return nil, unauthenticated("Invalid access token.")
	}
	r := s.scimResourceOf(p)
	r.UserName = p.name
	return r, nil
}

func (s *Server) scimGet(kind PrincipalKind) handlerFunc {
	return func(c *call) (any, error) {
		id, err := strconv.ParseInt(c.req.PathValue("id"), 10, 64)
		s.mu.RLock()
		defer s.mu.RUnlock()
		p := s.directory.byID[id]
		if err != nil || p == nil || p.deleted || p.kind != kind || c.ofAccount() && p.local() {
			return nil, &apiError{status: http.StatusNotFound, code: "RESOURCE_DOES_NOT_EXIST", message: "No such principal."}
		}
		return c.scimAttributes(s.scimResourceOf(p))
	}
}

// ofAccount reports whether the call is one of the account, not of the workspace.
func (c *call) ofAccount() bool { return c.req.PathValue("account") != "" }

// scimAttributes returns a resource with the attributes that the query names, or without those that it excludes. The id is always
// shown.
func (c *call) scimAttributes(r scimResource) (any, error) {
	query := c.req.URL.Query()
	only, without := query.Get("attributes"), query.Get("excludedAttributes")
	if only == "" && without == "" {
		return r, nil
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	shown, err := jsonObject(encoded)
	if err != nil {
		return nil, err
	}
	names := func(list string) map[string]bool {
		set := make(map[string]bool)
		for name := range strings.SplitSeq(list, ",") {
			name, _, _ = strings.Cut(strings.TrimSpace(name), ".") // of "members.value" all of members
			set[strings.ToLower(name)] = true
		}
		return set
	}
	wanted, unwanted := names(only), names(without)
	for name := range shown {
		if key := strings.ToLower(name); key != "id" && key != "schemas" && (only != "" && !wanted[key] || unwanted[key]) {
			delete(shown, name)
		}
	}
	return shown, nil
}

// scimSort sorts principals, which are in the order of their names, by the attribute that the query names.
func (c *call) scimSort(names []string) error {
	query := c.req.URL.Query()
	switch by := strings.ToLower(query.Get("sortBy")); by {
	case "", "username", "displayname", "applicationid":
	case "id":
		byName := c.srv.directory.byName
		slices.SortFunc(names, func(a, b string) int { return cmp.Compare(byName[a].id, byName[b].id) })
	default:
		return invalid("sortBy '%s' is not one of userName, displayName, applicationId, id.", query.Get("sortBy"))
	}
	switch strings.ToLower(query.Get("sortOrder")) {
	case "", "ascending":
	case "descending":
		slices.Reverse(names)
	default:
		return invalid("sortOrder must be ascending or descending.")
	}
	return nil
}

// scimList returns a handler that pages by startIndex (from 1) and count, and filters. A list of the account's groups shows no
// members, as in accounts that are new since August 2025, nor groups of the workspace alone.
func (s *Server) scimList(kind PrincipalKind) handlerFunc {
	return func(c *call) (any, error) {
		query := c.req.URL.Query()
		start, err := positive(query, "startIndex", 1)
		if err != nil {
			return nil, err
		}
		count, err := positive(query, "count", s.opts.PageSize)
		if err != nil {
			return nil, err
		}
		wanted, err := scimFilter(query.Get("filter"))
		if err != nil {
			return nil, err
		}
		s.mu.RLock()
		defer s.mu.RUnlock()
		names := s.directory.names(kind)
		if query.Get("filter") != "" || query.Get("sortBy") != "" || query.Get("sortOrder") != "" || c.ofAccount() {
			all := names
			names = make([]string, 0, len(all))
			for _, name := range all {
				if p := s.directory.byName[name]; wanted(p) && !(c.ofAccount() && p.local()) {
					names = append(names, name)
				}
			}
		}
		if err := c.scimSort(names); err != nil {
			return nil, err
		}
		from := min(start-1, len(names))
		page := names[from:min(from+count, len(names))]
		resources := make([]any, len(page))
		for i, name := range page {
			r := s.scimResourceOf(s.directory.byName[name])
			if c.ofAccount() {
				r.Members = nil
			}
			if resources[i], err = c.scimAttributes(r); err != nil {
				return nil, err
			}
		}
		return map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, "totalResults": len(names),
			"startIndex": start, "itemsPerPage": len(page), "Resources": resources}, nil
	}
}

func positive(query url.Values, name string, fallback int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, invalid("%s must be a number of at least 0, not '%s'.", name, text)
	}
	if n == 0 {
		return fallback, nil
	}
	return n, nil
}

const tokenPath = "/oidc/v1/token"

// hostMetadata returns what the client library reads first: that this is a workspace, and the URL for tokens.
func (s *Server) hostMetadata(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return map[string]any{"oidc_endpoint": c.baseURL() + "/oidc", "workspace_id": jsonNumber(s.assignment.WorkspaceID), "host_type": "workspace"}, nil
}

func (s *Server) oauthMetadata(c *call) (any, error) {
	return map[string]any{
		"issuer": c.baseURL() + "/oidc", "token_endpoint": c.baseURL() + tokenPath,
		"authorization_endpoint": c.baseURL() + "/oidc/v1/authorize", "grant_types_supported": []string{"client_credentials"},
	}, nil
}

// baseURL returns the URL at which the caller reached the server.
func (c *call) baseURL() string {
	scheme := "http://"
	if c.req.TLS != nil {
		scheme = "https://"
	}
	return scheme + c.req.Host
}

// issueToken issues a token for OAuth 2.0 client credentials, with id and secret in basic authentication or in the form.
func (s *Server) issueToken(c *call) (any, error) {
	form, err := url.ParseQuery(string(c.body))
	if err != nil || form.Get("grant_type") != "client_credentials" {
		return nil, &apiError{status: http.StatusBadRequest, code: "unsupported_grant_type", oauth: true, message: "grant_type must be client_credentials"}
	}
	id, secret, ok := c.req.BasicAuth()
	if !ok {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	want := s.opts.Clients[id]
	if want == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(want)) != 1 {
		return nil, &apiError{status: http.StatusUnauthorized, code: "invalid_client", oauth: true, message: "client authentication failed"}
	}
	raw := make([]byte, 24)
	if _, err := rand.Read(raw); err != nil {
		return nil, err
	}
	token := hex.EncodeToString(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = id
	return map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": "all-apis"}, nil
}
