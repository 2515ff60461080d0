package emulator

import (
	"cmp"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// tagPolicy governs a tag: it says which values it may have, none meaning that it has no value. A stored one is immutable.
// Who may assign a governed tag is not kept: whoever may tag an object may.
type tagPolicy struct {
	TagKey      string     `json:"tag_key"`
	ID          string     `json:"id"`
	Description string     `json:"description,omitempty"`
	Values      []tagValue `json:"values,omitempty"`
	CreateTime  string     `json:"create_time"` // RFC 3339
	UpdateTime  string     `json:"update_time"`

	creator string
}

type tagValue struct {
	Name string `json:"name"`
}

// Bounds of governed tags: characters of a key, and how many there are.
const (
	maxGovernedKey  = 256
	maxGovernedTags = 1000
)

func (s *Server) registerTagPolicies() {
	const base = "/api/2.1/tag-policies"
	const who = governsTags
	s.route("GET "+base, anyUser.String(), s.listTagPolicies)
	s.route("POST "+base, who, s.createTagPolicy)
	s.route("GET "+base+"/{key}", anyUser.String(), s.getTagPolicy)
	s.route("PATCH "+base+"/{key}", who+", or who created it", s.updateTagPolicy)
	s.route("DELETE "+base+"/{key}", who+", or who created it", s.deleteTagPolicy)
}

// governsTags says who may say which values a tag has.
const governsTags = "account admin, or workspace admin"

func (c *call) governsTags() bool { return accountAdmin.met(c, nil) || workspaceAdmin.met(c, nil) }

// checkTag returns an error unless a tag may have the value, which a policy may say.
func (s *Server) checkTag(key, value string) error {
	p, governed := s.tagPolicies[key]
	if !governed {
		return (&tagInput{TagKey: key, TagValue: value}).check()
	}
	if value == "" && len(p.Values) == 0 || slices.Contains(p.Values, tagValue{value}) {
		return nil
	}
	return invalid("tag_value '%s' is not one that the policy of tag '%s' allows.", value, key)
}

// check returns an error that names what is wrong.
func (p *tagPolicy) check() error {
	switch {
	case p.TagKey == "":
		return invalid("tag_key is required.")
	case utf8.RuneCountInString(p.TagKey) > maxGovernedKey:
		return invalid("tag_key is longer than %d characters.", maxGovernedKey)
	case strings.ContainsAny(p.TagKey, `*.<>%&?\=`), strings.TrimSpace(p.TagKey) != p.TagKey:
		return invalid(`tag_key '%s' must not hold any of * . < > %% & ? \ = and no space at its ends.`, p.TagKey)
	}
	seen := make(map[string]bool)
	for _, v := range p.Values {
		if v.Name == "" || seen[v.Name] {
			return invalid("values '%s' is empty or there twice.", v.Name)
		}
		if err := checkTagValue(v.Name); err != nil {
			return err
		}
		seen[v.Name] = true
	}
	return nil
}

func (s *Server) timeText() string {
	return time.UnixMilli(s.nowMillis()).UTC().Format(time.RFC3339Nano)
}

func (s *Server) createTagPolicy(c *call) (any, error) {
	var p tagPolicy
	if err := c.decodeBody(&p); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.governsTags() {
		return nil, denied("User may not create a tag policy: this takes %s.", governsTags)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if _, taken := s.tagPolicies[p.TagKey]; taken {
		return nil, alreadyExists("TAG_POLICY", p.TagKey)
	}
	if len(s.tagPolicies) == maxGovernedTags {
		return nil, invalid("there are %d tag policies, which is as many as there may be.", maxGovernedTags)
	}
	s.lastID++
	p.ID, p.creator, p.CreateTime = uuid(0x7a60, s.lastID), c.who.name, s.timeText()
	p.UpdateTime = p.CreateTime
	s.tagPolicies[p.TagKey] = p
	return p, nil
}

// findTagPolicy returns the policy that the path names.
func (s *Server) findTagPolicy(c *call) (tagPolicy, error) {
	key := c.req.PathValue("key")
	p, ok := s.tagPolicies[key]
	if !ok {
		return p, notFound("TAG_POLICY", key)
	}
	return p, nil
}

// changedTagPolicy returns the policy that the path names, if the caller may change it.
func (s *Server) changedTagPolicy(c *call) (tagPolicy, error) {
	p, err := s.findTagPolicy(c)
	if err == nil && p.creator != c.who.name && !c.governsTags() {
		err = denied("User may not change the policy of tag '%s': this takes %s.", p.TagKey, governsTags)
	}
	return p, err
}

func (s *Server) getTagPolicy(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.findTagPolicy(c)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// updateTagPolicy changes what the mask names; what of it the body does not have is cleared.
func (s *Server) updateTagPolicy(c *call) (any, error) {
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	mask := cmp.Or(c.req.URL.Query().Get("update_mask"), "*")
	if mask == "*" {
		mask = "description,values"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.changedTagPolicy(c)
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(mask, ",") {
		var target any
		switch name {
		case "description":
			p.Description = ""
			target = &p.Description
		case "values":
			p.Values = nil
			target = &p.Values
		default:
			return nil, invalid("update_mask names '%s', which is no field that can be changed.", name)
		}
		if raw, given := body[name]; given && json.Unmarshal(raw, target) != nil {
			return nil, malformed("field '%s' has the wrong type", name)
		}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	p.UpdateTime = s.timeText()
	s.tagPolicies[p.TagKey] = p
	return p, nil
}

// deleteTagPolicy leaves the tag where it is assigned, as a plain one.
func (s *Server) deleteTagPolicy(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.changedTagPolicy(c)
	if err != nil {
		return nil, err
	}
	delete(s.tagPolicies, p.TagKey)
	return nil, nil
}

func (s *Server) listTagPolicies(c *call) (any, error) {
	size, err := c.sizeOfPage("page_size")
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, tagPolicy] {
		return func(yield func(string, tagPolicy) bool) {
			for _, key := range slices.Sorted(maps.Keys(s.tagPolicies)) {
				if key > after && !yield(key, s.tagPolicies[key]) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("tag_policies", page, next), nil
}
