package emulator

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// tagTarget is what in an object a tag is on: a column by its name in lower case, or the object itself for "".
type tagTarget string

// tagAssignment is a tag on an object or on a column of a table. Keys and values keep their case.
type tagAssignment struct {
	value     string
	updatedAt int64 // epoch milliseconds
	updatedBy string
}

// tagLists holds the tags of an object and of its columns, by key.
type tagLists map[tagTarget]map[string]tagAssignment

// tagged is an entity in the API of tags, with the spelling of its type and full name in answers.
type tagged struct {
	o        *object
	target   tagTarget
	typ      string
	fullName string
}

type tagAnswer struct {
	EntityType string `json:"entity_type"`
	EntityName string `json:"entity_name"`
	TagKey     string `json:"tag_key"`
	TagValue   string `json:"tag_value,omitempty"`
	UpdateTime string `json:"update_time"` // RFC 3339
	UpdatedBy  string `json:"updated_by"`
}

// Bounds of plain tags: characters of keys and values, and how many an object has.
const (
	maxTagKey   = 255
	maxTagValue = 1000
	maxTags     = 50
)

func (s *Server) registerTags() {
	base := prefix + "/entity-tag-assignments"
	one := base + "/{type}/{name}/tags/{key}"
	s.route("POST "+base, tags.String(), s.createTag)
	s.route("GET "+base+"/{type}/{name}/tags", readsTags, s.listTags)
	s.route("GET "+one, readsTags, s.getTag)
	s.route("PATCH "+one, tags.String(), s.updateTag)
	s.route("DELETE "+one, tags.String(), s.deleteTag)
}

const readsTags = "who may get it; of a column, its table"

// findTagged returns the entity of that type and full name, a column's being that of its table and its own.
func (s *Server) findTagged(entityType, fullName string) (tagged, error) {
	entityType = strings.ToLower(entityType)
	if fullName == "" {
		return tagged{}, invalid("entity_name is required.")
	}
	path, name := entityType, ""
	switch entityType {
	case "catalogs", "schemas", "tables", "volumes":
	case "columns":
		parts := strings.SplitN(fullName, ".", 4)
		if len(parts) < 4 || parts[3] == "" {
			return tagged{}, invalid("'%s' is not a full name of a column: want 4 names joined by dots.", fullName)
		}
		path, fullName, name = "tables", strings.Join(parts[:3], "."), parts[3]
	default:
		return tagged{}, invalid("entity_type '%s' is not one of catalogs, schemas, tables, columns, volumes.", entityType)
	}
	o, err := s.find(s.resources[path], fullName)
	if err != nil {
		return tagged{}, err
	}
	e := tagged{o: o, typ: entityType, fullName: o.fullName()}
	if name != "" {
		columns := o.detail.(*tableDetail).Columns
		i := slices.IndexFunc(columns, func(c column) bool { return strings.EqualFold(c.Name, name) })
		if i < 0 {
			return tagged{}, notFound("COLUMN", fullName+"."+name)
		}
		e.target, e.fullName = tagTarget(strings.ToLower(columns[i].Name)), e.fullName+"."+columns[i].Name
	}
	return e, nil
}

// taggedOfPath returns the entity that the path names, if the caller may read it.
func (s *Server) taggedOfPath(c *call) (tagged, error) {
	e, err := s.findTagged(c.req.PathValue("type"), c.req.PathValue("name"))
	if err == nil {
		err = c.check(toRead, e.o)
	}
	return e, err
}

// changedTag returns the entity that the path names and its tag of that key, if the caller may change it.
func (s *Server) changedTag(c *call) (tagged, tagAssignment, error) {
	e, err := s.findTagged(c.req.PathValue("type"), c.req.PathValue("name"))
	if err != nil {
		return e, tagAssignment{}, err
	}
	if err := c.checkTags(e.o); err != nil {
		return e, tagAssignment{}, err
	}
	tag, err := e.tag(c.req.PathValue("key"))
	return e, tag, err
}

func (c *call) checkTags(o *object) error {
	if tags.is(c, o) {
		return nil
	}
	return denied("User may not change tags of %s '%s': this takes %s.", displayLabel(o.res.label), o.fullName(), tags)
}

func (e tagged) tag(key string) (tagAssignment, error) {
	if tag, ok := e.o.tags[e.target][key]; ok {
		return tag, nil
	}
	return tagAssignment{}, notFound("TAG_ASSIGNMENT", key)
}

func (e tagged) answer(key string, tag tagAssignment) tagAnswer {
	return tagAnswer{e.typ, e.fullName, key, tag.value, time.UnixMilli(tag.updatedAt).UTC().Format(time.RFC3339Nano), tag.updatedBy}
}

// set stores a tag. The maps are the object's own.
func (e tagged) set(key string, tag tagAssignment) {
	if e.o.tags == nil {
		e.o.tags = make(tagLists)
	}
	if e.o.tags[e.target] == nil {
		e.o.tags[e.target] = make(map[string]tagAssignment)
	}
	e.o.tags[e.target][key] = tag
}

type tagInput struct {
	EntityType string `json:"entity_type"`
	EntityName string `json:"entity_name"`
	TagKey     string `json:"tag_key"`
	TagValue   string `json:"tag_value"`
}

func (in *tagInput) check() error {
	switch {
	case in.TagKey == "":
		return invalid("tag_key is required.")
	case utf8.RuneCountInString(in.TagKey) > maxTagKey:
		return invalid("tag_key is longer than %d characters.", maxTagKey)
	case strings.ContainsAny(in.TagKey, ".,-=/:"), strings.TrimSpace(in.TagKey) != in.TagKey:
		return invalid("tag_key '%s' must not hold any of . , - = / : and no space at its ends.", in.TagKey)
	}
	return checkTagValue(in.TagValue)
}

func checkTagValue(value string) error {
	if utf8.RuneCountInString(value) > maxTagValue {
		return invalid("tag_value is longer than %d characters.", maxTagValue)
	}
	return nil
}

func (s *Server) createTag(c *call) (any, error) {
	var in tagInput
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.findTagged(in.EntityType, in.EntityName)
	if err != nil {
		return nil, err
	}
	if err := c.checkTags(e.o); err != nil {
		return nil, err
	}
	if err := s.checkTag(in.TagKey, in.TagValue); err != nil {
		return nil, err
	}
	if _, err := e.tag(in.TagKey); err == nil {
		return nil, alreadyExists("TAG_ASSIGNMENT", in.TagKey)
	}
	if len(e.o.tags[e.target]) == maxTags {
		return nil, invalid("'%s' has %d tags, which is as many as there may be.", e.fullName, maxTags)
	}
	tag := tagAssignment{in.TagValue, s.nowMillis(), c.who.name}
	e.set(in.TagKey, tag)
	return e.answer(in.TagKey, tag), nil
}

func (s *Server) getTag(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.taggedOfPath(c)
	if err != nil {
		return nil, err
	}
	key := c.req.PathValue("key")
	tag, err := e.tag(key)
	if err != nil {
		return nil, err
	}
	return e.answer(key, tag), nil
}

// updateTag changes the value, which the mask must name.
func (s *Server) updateTag(c *call) (any, error) {
	var in tagInput
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	if mask := c.req.URL.Query().Get("update_mask"); mask != "tag_value" && mask != "*" {
		return nil, invalid("update_mask must be tag_value, not '%s'.", mask)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _, err := s.changedTag(c)
	if err == nil {
		err = s.checkTag(c.req.PathValue("key"), in.TagValue)
	}
	if err != nil {
		return nil, err
	}
	key := c.req.PathValue("key")
	tag := tagAssignment{in.TagValue, s.nowMillis(), c.who.name}
	e.set(key, tag)
	return e.answer(key, tag), nil
}

func (s *Server) deleteTag(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _, err := s.changedTag(c)
	if err != nil {
		return nil, err
	}
	delete(e.o.tags[e.target], c.req.PathValue("key"))
	return nil, nil
}

func (s *Server) listTags(c *call) (any, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.taggedOfPath(c)
	if err != nil {
		return nil, err
	}
	list := e.o.tags[e.target]
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, tagAnswer] {
		return func(yield func(string, tagAnswer) bool) {
			for _, key := range slices.Sorted(maps.Keys(list)) {
				if key > after && !yield(key, e.answer(key, list[key])) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("tag_assignments", page, next), nil
}
