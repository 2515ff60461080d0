package parse

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"

	"ucwarden/policy/ranger"
)

// schema is what the walker must know of a type: the fields of its objects and what is in them.
type schema struct {
	fields   [][]field // by the length of their names; nil for values without known fields
	names    []string
	elements *schema // of an array, or of an object with free keys
	array    bool
	policy   bool // the type is Policy
}

// field is a known field of an object.
type field struct {
	name    string
	bit     uint8 // in the set of fields seen; an object has at most 64
	ignored bool
	schema  *schema
}

// anything is the schema of values whose fields may have any name.
var anything = &schema{}

// field returns the field with that exact name, nil when there is none. It looks at the few names of the same length.
func (s *schema) field(name []byte) *field {
	if len(name) >= len(s.fields) {
		return nil
	}
	same := s.fields[len(name)]
	for i := range same {
		if same[i].name == string(name) {
			return &same[i]
		}
	}
	return nil
}

// fold reports whether a known field has that name but for case, as encoding/json compares names.
func (s *schema) fold(name string) bool {
	for _, known := range s.names {
		if strings.EqualFold(known, name) {
			return true
		}
	}
	return false
}

// elementOf returns the schema of the values in an array, or in an object with free keys. A value of another kind than
// the type wants is an error of decoding; what is in it has any schema.
func (s *schema) elementOf(object bool) *schema {
	if s.elements == nil || s.array == object {
		return anything
	}
	return s.elements
}

// baseFields are those of RangerBaseModelObject, which most objects of Ranger's model extend.
var baseFields = []string{"id", "guid", "isEnabled", "createdBy", "updatedBy", "createTime", "updateTime", "version"}

// wrapperFields stand around the lists of Ranger Admin's answers and exports: RangerExportPolicyList,
// RangerExportRoleList, VList, PList.
var wrapperFields = []string{"metaDataInfo", "startIndex", "pageSize", "totalCount", "resultSize", "sortType", "sortBy",
	"queryTimeMS"}

var labelFields = []string{"rbKeyLabel", "rbKeyDescription"}

var inputFields = []string{"validationRegEx", "validationMessage", "uiHint", "rbKeyValidationMessage"}

// rangerFields are the fields of Ranger's model, of its versions 0.4 to 2.9 and its main branch in 2026, that the types
// here do not hold because they say nothing about access. Sources: the classes of org.apache.ranger.plugin.model,
// plugin.util and view.
var rangerFields = map[reflect.Type][][]string{
	reflect.TypeFor[ranger.ServicePolicies](): {wrapperFields, {"auditMode"}},
	reflect.TypeFor[ranger.TagPolicies]():     {{"serviceId", "policyUpdateTime", "auditMode"}},
	reflect.TypeFor[ranger.PolicyDelta]():     {{"policiesVersion"}},
	reflect.TypeFor[ranger.Policy]():          {baseFields, {"resourceSignature"}},
	reflect.TypeFor[ranger.ServiceDef]():      {baseFields, labelFields, {"implClass", "configs", "enums"}},
	reflect.TypeFor[ranger.ResourceDef]():     {labelFields, inputFields},
	reflect.TypeFor[ranger.AccessTypeDef]():   {{"rbKeyLabel"}},
	reflect.TypeFor[ranger.ConditionDef]():    {labelFields, inputFields},
	reflect.TypeFor[ranger.DataMaskTypeDef](): {labelFields},
	reflect.TypeFor[ranger.Role]():            {baseFields, {"options", "createdByUser"}},
	reflect.TypeFor[ranger.ServiceRoles]():    {wrapperFields, {"roleUpdateTime"}},
	reflect.TypeFor[ranger.UserStore]():       {{"userStoreUpdateTime"}},
	reflect.TypeFor[ranger.ServiceTags]():     {{"tagUpdateTime", "tagsChangeExtent", "isTagsDeduped"}},
	reflect.TypeFor[ranger.TagDefinition]():   {baseFields, {"source"}},
	reflect.TypeFor[ranger.Tag]():             {baseFields},
	reflect.TypeFor[ranger.ServiceResource](): {baseFields, {"resourceSignature", "ownerUser", "additionalInfo"}},
}

// ignoredFields are fields of Ranger's model that decide access there and have no effect here: the roles of users and
// groups as Ranger 2.0.0 put them into the policy download, before the roles download replaced them.
var ignoredFields = map[reflect.Type][]string{
	reflect.TypeFor[ranger.ServicePolicies](): {"userRoles", "groupRoles"},
}

var (
	schemasLock sync.Mutex
	schemas     = map[reflect.Type]*schema{}
)

// schemaOf returns the schema of a type, made from the JSON names of its fields and from Ranger's further ones.
func schemaOf(t reflect.Type) *schema {
	schemasLock.Lock()
	defer schemasLock.Unlock()
	return makeSchema(t)
}

func makeSchema(t reflect.Type) *schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s := schemas[t]; s != nil {
		return s
	}
	s := &schema{}
	schemas[t] = s // before its fields, for types that hold themselves
	switch {
	case t.Kind() == reflect.Map:
		if s.elements = anything; !readsItself(t) {
			s.elements = makeSchema(t.Elem())
		}
	case readsItself(t):
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		s.array, s.elements = true, makeSchema(t.Elem())
	case t.Kind() == reflect.Struct:
		s.policy = t == reflect.TypeFor[ranger.Policy]()
		s.fields = [][]field{}
		s.addStruct(t)
	}
	return s
}

// readsItself reports whether the type has its own way to read JSON, so that its Go form says nothing of the names.
func readsItself(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
}

func (s *schema) addStruct(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case name == "" && f.Anonymous:
			s.addStruct(f.Type)
		case name == "":
			s.add(field{name: f.Name, schema: makeSchema(f.Type)})
		default:
			s.add(field{name: name, schema: makeSchema(f.Type)})
		}
	}
	for _, names := range rangerFields[t] {
		for _, name := range names {
			s.add(field{name: name, schema: anything})
		}
	}
	for _, name := range ignoredFields[t] {
		s.add(field{name: name, ignored: true, schema: anything})
	}
}

// add adds a field unless there is one of that name.
func (s *schema) add(f field) {
	if s.field([]byte(f.name)) != nil {
		return
	}
	for len(s.fields) <= len(f.name) {
		s.fields = append(s.fields, nil)
	}
	if len(s.names) == 64 {
		panic("more than 64 fields in one object: " + f.name)
	}
	f.bit = uint8(len(s.names))
	s.fields[len(f.name)] = append(s.fields[len(f.name)], f)
	s.names = append(s.names, f.name)
}
