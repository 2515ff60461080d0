package suite

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ucwarden/policy/evaluate"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
)

// suiteRequest is a request as suites write it.
type suiteRequest struct {
	Resource          suiteResource     `json:"resource"`
	AccessType        string            `json:"accessType"`
	User              string            `json:"user"`
	UserGroups        []string          `json:"userGroups"`
	UserRoles         []string          `json:"userRoles"`
	AccessTime        json.RawMessage   `json:"accessTime"`
	Context           map[string]any    `json:"context"`
	Action            string            `json:"action"`
	ClientType        string            `json:"clientType"`
	ClientIPAddress   string            `json:"clientIPAddress"`
	RemoteIPAddress   string            `json:"remoteIPAddress"`
	Forwarded         any               `json:"forwardedAddresses"` // not looked at
	RequestData       string            `json:"requestData"`
	MatchingScope     string            `json:"resourceMatchingScope"`
	ElementScopes     map[string]string `json:"resourceElementMatchingScopes"`
	IgnoreDescendants *bool             `json:"ignoreDescendantDeny"`
	DenyIgnored       *bool             `json:"isDescendantDenyIgnored"`  // the same, by the name of Ranger's field
	CheckDescendants  bool              `json:"checkForDescendantDenial"` // the opposite, in older suites
}

type suiteResource struct {
	OwnerUser string                  `json:"ownerUser"`
	Elements  map[string]suiteElement `json:"elements"`
}

// suiteElement is a text or a list of texts.
type suiteElement []string

func (e *suiteElement) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case 'n':
		return nil
	case '[':
		return json.Unmarshal(data, (*[]string)(e))
	}
	*e = make(suiteElement, 1)
	return json.Unmarshal(data, &(*e)[0])
}

// resource returns the elements in the order of their names; the evaluator finds their levels. Older suites state one
// scope for all elements.
func (r suiteResource) resource(scopes map[string]string, scope string) match.Resource {
	var resource match.Resource
	for _, name := range slices.Sorted(maps.Keys(r.Elements)) {
		values := r.Elements[name]
		if values == nil {
			continue
		}
		e := match.Element{Name: name}
		if len(values) > 0 {
			e.Value, e.Also = values[0], values[1:]
		}
		own, ok := scopes[name]
		if !ok {
			own = scope
		}
		switch own {
		case "SELF_OR_CHILD":
			e.Scope = match.ElementSelfOrChild
		case "SELF_OR_PREFIX":
			e.Scope = match.ElementSelfOrPrefix
		}
		resource = append(resource, e)
	}
	return resource
}

// The names in a request's context that stand for parts of the request.
const (
	contextTags        = "TAGS"
	contextTogether    = "REQUESTED_RESOURCES"
	contextAnyAccess   = "ISANYACCESS"
	contextAccesses    = "ALLACCESSTYPES"
	contextGroups      = "ALLACCESSTYPEGROUPS"
	contextOptional    = "IGNOREIFNOTDENIEDACCESSTYPES"
	contextOldAccesses = "ACCESSTYPES" // until Ranger 2.4
)

func isFalse(b *bool) bool { return b != nil && !*b }

func (s *suiteRequest) request(now time.Time) (evaluate.Request, error) {
	r := evaluate.Request{
		Resource: s.Resource.resource(s.ElementScopes, s.MatchingScope), Owner: s.Resource.OwnerUser, AccessType: s.AccessType,
		User: s.User, Groups: s.UserGroups, Roles: s.UserRoles, Time: now, Context: s.Context,
		Descendant: s.MatchingScope == "SELF_OR_DESCENDANTS", CountDescendantDeny: s.CheckDescendants || isFalse(s.IgnoreDescendants) || isFalse(s.DenyIgnored),
		ClientIP: s.ClientIPAddress, ClientType: s.ClientType, Action: s.Action, Data: s.RequestData,
	}
	if r.Groups == nil {
		r.Groups = []string{}
	}
	if s.MatchingScope == "SELF_AND_ALL_DESCENDANTS" {
		r.Descendant, r.CountDescendantDeny = true, true
	}
	if r.ClientIP == "" {
		r.ClientIP = s.RemoteIPAddress
	}
	if len(s.AccessTime) > 0 && string(s.AccessTime) != "null" {
		var err error
		if r.Time, err = suiteTime(s.AccessTime); err != nil {
			return r, err
		}
	}
	var err error
	if r.Tags, err = s.tags(); err != nil {
		return r, err
	}
	if r.Together, err = s.together(); err != nil {
		return r, err
	}
	return r, s.accesses(&r)
}

func (s *suiteRequest) tags() ([]evaluate.RequestTag, error) {
	text, ok := s.Context[contextTags].(string)
	if !ok {
		return nil, nil
	}
	tags := []evaluate.RequestTag{}
	if strings.TrimSpace(text) == "" {
		return tags, nil
	}
	var list []struct {
		ranger.Tag
		MatchType string `json:"matchType"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("request.context.%s: %w", contextTags, err)
	}
	for _, t := range list {
		periods, err := t.Periods()
		if err != nil {
			return nil, fmt.Errorf("request.context.%s: tag %q: %s: %w", contextTags, t.Type, ranger.TagPeriodsOption, err)
		}
		tags = append(tags, evaluate.RequestTag{Type: t.Type, Attributes: t.Attributes, Match: match.ParseType(t.MatchType), Validity: periods})
	}
	return tags, nil
}

func (s *suiteRequest) together() ([]match.Resource, error) {
	text, ok := s.Context[contextTogether].(string)
	if !ok || strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var doc struct {
		RequestedResources []suiteResource `json:"requestedResources"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("request.context.%s: %w", contextTogether, err)
	}
	var list []match.Resource
	for _, r := range doc.RequestedResources {
		list = append(list, r.resource(nil, ""))
	}
	return list, nil
}

func (s *suiteRequest) accesses(r *evaluate.Request) error {
	var err error
	texts := func(key string) []string {
		raw, ok := s.Context[key]
		if !ok || raw == nil {
			return nil
		}
		list, ok := raw.([]any)
		var names []string
		for _, v := range list {
			name, isText := v.(string)
			ok = ok && isText
			names = append(names, name)
		}
		if !ok {
			err = fmt.Errorf("request.context.%s: want a list of access types", key)
		}
		return names
	}
	r.AccessTypes, r.Optional = texts(contextAccesses), texts(contextOptional)
	r.AnyOf, _ = s.Context[contextAnyAccess].(bool)
	if old := texts(contextOldAccesses); r.AccessTypes == nil && old != nil {
		r.AccessTypes = old
		if !r.AnyOf {
			for _, name := range old {
				r.AccessGroups = append(r.AccessGroups, []string{name})
			}
		}
	}
	if groups, ok := s.Context[contextGroups].([]any); ok {
		for _, g := range groups {
			list, _ := g.([]any)
			var group []string
			for _, v := range list {
				group = append(group, match.TextOf(v))
			}
			r.AccessGroups = append(r.AccessGroups, group)
		}
	}
	return err
}
