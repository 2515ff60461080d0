package parse

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ucwarden/jsontext"
	"ucwarden/policy"
	"ucwarden/policy/policytest/shareddata"
	"ucwarden/policy/ranger"
)

// documentTypes are the types that Parse functions read into.
var documentTypes = []reflect.Type{
	reflect.TypeFor[ranger.ServicePolicies](), reflect.TypeFor[[]ranger.Policy](), reflect.TypeFor[ranger.Policy](), reflect.TypeFor[ranger.ServiceRoles](), reflect.TypeFor[[]ranger.Role](),
	reflect.TypeFor[ranger.UserStore](), reflect.TypeFor[ranger.ServiceTags](), reflect.TypeFor[ranger.ServiceDef](), reflect.TypeFor[map[string]ranger.SecurityZone](),
}

// documentMaker writes a random valid document of a type. One object of it, the target-th, gets one key too many.
type documentMaker struct {
	*rand.Rand
	out       strings.Builder
	path      []string // its steps, "[3]" or "name"
	objects   int      // written so far
	target    int
	duplicate bool // the key too many is one that the object has; else one that its type does not have
	policyID  int64
	inPolicy  bool
	policy    string

	wanted *ranger.UnknownField // what must be found; nil when the target object takes no such key
}

func (m *documentMaker) space() {
	for m.IntN(8) == 0 {
		m.out.WriteByte(" \t\r\n"[m.IntN(4)])
	}
}

func (m *documentMaker) write(text string) {
	m.space()
	m.out.WriteString(text)
	m.space()
}

func (m *documentMaker) text() string {
	return []string{"", "a", "sales", `q"uote`, "back\\slash", "line\nend", "żółw", "{", "}]", "policies", "😀"}[m.IntN(11)]
}

// key writes a key, now and then with an escape in it.
func (m *documentMaker) key(name string) {
	quoted, _ := json.Marshal(name)
	if m.IntN(6) == 0 && len(name) > 0 && name[0] < 0x80 {
		rest, _ := json.Marshal(name[1:])
		quoted = append(fmt.Appendf(nil, `"\u%04x`, name[0]), rest[1:]...)
	}
	m.write(string(quoted))
	m.write(":")
}

func (m *documentMaker) at(step string, write func()) {
	m.path = append(m.path, step)
	write()
	m.path = m.path[:len(m.path)-1]
}

func (m *documentMaker) rendered(last string) string {
	var b strings.Builder
	for _, step := range append(slices.Clone(m.path), last) {
		if b.Len() > 0 && !strings.HasPrefix(step, "[") {
			b.WriteByte('.')
		}
		b.WriteString(step)
	}
	return b.String()
}

// object writes an object with the keys, and one too many when it is the target. typed says that its keys are fields.
func (m *documentMaker) object(keys []string, typed bool, value func(key string)) {
	m.objects++
	extra, name := -1, "zz"+strings.Repeat("y", m.IntN(3))
	if m.objects == m.target && (typed || m.duplicate) && (len(keys) > 0 || !m.duplicate) {
		extra = m.IntN(len(keys) + 1)
		if m.duplicate {
			name = keys[m.IntN(len(keys))]
		}
		m.wanted = &ranger.UnknownField{Path: m.rendered(name), Name: name, PolicyID: m.policyID, Policy: m.policy, InPolicy: m.inPolicy}
	}
	m.write("{")
	for i := 0; i <= len(keys); i++ {
		if i == extra {
			if i > 0 {
				m.write(",")
			}
			m.key(name)
			m.write([]string{"1", `"denyPolicyItems"`, `{"policies":[{}]}`, "[[],{}]", "null"}[m.IntN(5)])
			if i < len(keys) {
				m.write(",")
			}
		} else if i > 0 && i < len(keys) {
			m.write(",")
		}
		if i < len(keys) {
			m.key(keys[i])
			m.at(keys[i], func() { value(keys[i]) })
		}
	}
	m.write("}")
}

func (m *documentMaker) anything(depth int) {
	switch n := m.IntN(6); {
	case n == 0 && depth > 0:
		m.object([]string{"isEnabled", "x", "IsEnabled"}[:m.IntN(4)], false, func(string) { m.anything(depth - 1) })
	case n == 1 && depth > 0:
		m.list(m.IntN(3), func() { m.anything(depth - 1) })
	default:
		quoted, _ := json.Marshal(m.text())
		m.write([]string{"true", "false", "null", "-1.5e3", "0", string(quoted)}[m.IntN(6)])
	}
}

func (m *documentMaker) list(n int, value func()) {
	m.write("[")
	for i := range n {
		if i > 0 {
			m.write(",")
		}
		m.at(fmt.Sprintf("[%d]", i), value)
	}
	m.write("]")
}

func (m *documentMaker) value(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		m.value(t.Elem())
	case reflect.Interface:
		m.anything(3)
	case reflect.String:
		quoted, _ := json.Marshal(m.text())
		m.write(string(quoted))
	case reflect.Bool:
		m.write([]string{"true", "false"}[m.IntN(2)])
	case reflect.Int, reflect.Int64:
		m.write([]string{"0", "7", "-3"}[m.IntN(3)])
	case reflect.Slice:
		m.list(m.IntN(3), func() { m.value(t.Elem()) })
	case reflect.Map:
		keys := []string{"a", "A", "k.x", "policies", "żółw"}
		if t.Elem().Kind() == reflect.String && m.IntN(4) == 0 { // many keys are looked up in another way than few
			for i := range 20 {
				keys = append(keys, fmt.Sprint("n", i))
			}
		}
		m.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		m.object(keys[:m.IntN(len(keys)+1)], false, func(string) { m.value(t.Elem()) })
	case reflect.Struct:
		m.structure(t)
	default:
		panic(t.String())
	}
}

func (m *documentMaker) structure(t reflect.Type) {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" && m.IntN(3) > 0 {
			fields[name] = f.Type
		}
	}
	isPolicy := t == reflect.TypeFor[ranger.Policy]()
	if isPolicy {
		m.policyID, m.policy, m.inPolicy = m.Int64N(1000), m.text(), true
		delete(fields, "id")
		delete(fields, "name")
	}
	keys := slices.Sorted(maps.Keys(fields))
	if isPolicy {
		keys = append(keys, "id", "name")
	}
	m.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	id, name := m.policyID, m.policy
	m.object(keys, true, func(key string) {
		switch {
		case isPolicy && key == "id":
			m.write(fmt.Sprint(id))
		case isPolicy && key == "name":
			quoted, _ := json.Marshal(name)
			m.write(string(quoted))
		default:
			m.value(fields[key])
		}
	})
	if isPolicy {
		m.policyID, m.policy, m.inPolicy = 0, "", false
	}
}

// A valid document has no unknown field. With one key too many, anywhere, exactly that one is found, at its path.
func TestOneKeyTooManyIsFound(t *testing.T) {
	found := map[bool]int{}
	for seed := range uint64(450) {
		typ := documentTypes[seed%uint64(len(documentTypes))]
		write := func(target int, duplicate bool) *documentMaker {
			m := &documentMaker{Rand: rand.New(rand.NewPCG(seed, 7)), target: target, duplicate: duplicate}
			m.value(typ)
			return m
		}
		plain := write(0, false)
		unknown, err := UnknownFields([]byte(plain.out.String()), "f.json", reflect.Zero(typ).Interface())
		if err != nil || len(unknown) > 0 {
			t.Fatalf("seed %d: unknown %v, error %v in\n%s", seed, unknown, err, plain.out.String())
		}
		duplicate := seed/uint64(len(documentTypes))%2 == 0
		m := write(1+plain.IntN(max(plain.objects, 1)), duplicate)
		if m.wanted == nil {
			continue
		}
		found[duplicate]++
		text := m.out.String()
		unknown, err = UnknownFields([]byte(text), "f.json", reflect.Zero(typ).Interface())
		switch {
		case !duplicate:
			if err != nil || len(unknown) != 1 || unknown[0] != *m.wanted {
				t.Fatalf("seed %d: unknown %v, error %v, want %v in\n%s", seed, unknown, err, *m.wanted, text)
			}
		case err == nil || !strings.Contains(err.Error(), ": duplicate key"):
			t.Fatalf("seed %d: error %v, want a duplicate key at %s in\n%s", seed, err, m.wanted.Path, text)
		default:
			w := &walker{Scanner: jsontext.Scanner{Data: []byte(text)}}
			if !w.document(schemaOf(typ)) || w.duplicate+w.inPolicyDuplicate != m.wanted.Path {
				t.Fatalf("seed %d: duplicate key at %s, want %s in\n%s", seed, w.duplicate+w.inPolicyDuplicate, m.wanted.Path, text)
			}
		}
	}
	if found[false] < 75 || found[true] < 75 {
		t.Errorf("only %d unknown and %d duplicate keys were tried", found[false], found[true])
	}
}

func FuzzUnknownFields(f *testing.F) {
	for _, doc := range []string{
		policyDoc(onCat + "," + oneItem), `{"policies":[{"denypolicyitems":[]}]}`, `[1,2.5e-3,"\ud83d\ude00\u0000",true,false,null,{},[]]`, `{"a":1,}`, `[1,]`, `01`, `-`,
		`1e`, `"\x"`, `"\u12g4"`, "\"a\nb\"", `{"a":1 "b":2}`, `{1:2}`, `nul`, `[`, `{"a"`, `{"a":`, ` `, ``, "\ufeff1", "\xff", strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), `{"userGroupMapping":{"":[],"":[]}}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, typ := range documentTypes {
			_, err := UnknownFields(data, "f.json", reflect.Zero(typ).Interface())
			if err != nil && (policy.CodeOf(err) != policy.CodeInvalid || !strings.HasPrefix(err.Error(), "f.json: ")) {
				t.Errorf("error %v is not of class invalid, or does not name the file", err)
			}
			w := &walker{Scanner: jsontext.Scanner{Data: data}}
			if got, want := w.document(schemaOf(typ)), json.Valid(data); got != want {
				t.Errorf("walk says valid: %v, encoding/json says %v: %q", got, want, data)
			}
		}
		Classify(data)
	})
}

// What Ranger's own suites have beyond Ranger's model.
var suiteUnknown = map[string][]string{"ACLResourceTags.json": {"tagModel"}}

func TestRangerSuitesHaveKnownFieldsOnly(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shareddata.Folder(t, "ranger"), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		var got []string
		for _, part := range partsOf(t, data, "") {
			unknown, err := UnknownFields(part.data, name, part.typ)
			if err != nil {
				t.Error(err)
			}
			got = append(got, pathsOf(unknown)...)
		}
		if !slices.Equal(got, suiteUnknown[name]) {
			t.Errorf("%s: unknown fields %v, want %v", name, got, suiteUnknown[name])
		}
	}
}

type suitePart struct {
	data json.RawMessage
	typ  any
}

// partsOf returns the parts of a suite that are of Ranger's model. They stand under keys; a file without any is one.
func partsOf(t *testing.T, data json.RawMessage, key string) (parts []suitePart) {
	types := map[string]any{
		"policies": []ranger.Policy{}, "tagPolicies": []ranger.Policy{}, "serviceDef": ranger.ServiceDef{}, "securityZones": map[string]ranger.SecurityZone{},
		"updatedPolicies": ranger.ServicePolicies{}, "servicePolicies": ranger.ServicePolicies{},
	}
	if typ := types[key]; typ != nil {
		return []suitePart{{data, typ}}
	}
	var fields map[string]json.RawMessage
	var list []json.RawMessage
	if json.Unmarshal(data, &fields) == nil {
		if fields["tests"] == nil && fields["testCases"] == nil && key == "" {
			if fields["serviceResources"] != nil {
				return []suitePart{{data, ranger.ServiceTags{}}}
			}
			return []suitePart{{data, ranger.ServicePolicies{}}}
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			parts = append(parts, partsOf(t, fields[name], name)...)
		}
	} else if json.Unmarshal(data, &list) == nil {
		for _, value := range list {
			parts = append(parts, partsOf(t, value, "of "+key)...)
		}
	}
	if key == "" && len(parts) == 0 {
		t.Error("nothing of Ranger's model in it")
	}
	return parts
}
