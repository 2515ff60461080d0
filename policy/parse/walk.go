package parse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ucwarden/jsontext"
	"ucwarden/policy/ranger"
)

// walker goes through the bytes of a JSON document once, beside encoding/json, to find what that lets pass: duplicate
// keys, unknown fields, and fields that match a known one in case-insensitive comparison only. It accepts exactly what
// encoding/json accepts. Nothing is allocated for a key; a large policy download is read in a few milliseconds.
type walker struct {
	jsontext.Scanner
	file bool // the document is a file: each field of a policy that the model does not have is a fault
	path []pathStep
	keys []heldKey // of the open objects, for the search of duplicates

	unknown     []ranger.UnknownField
	misspelt    []nameSpan // of names, without their quotes, that differ from a known one in case only
	invalidUTF8 bool       // the document is not valid UTF-8 throughout
	invalidAt   int        // the first byte outside of policies that is not, negative where there is none
	duplicate   string     // path of the first duplicate key
	duplicateAt int
	policies    int // in the list at the top of the document
	inPolicy    bool
	policyDepth int // of the path of the policy being read

	// What is wrong within policies: of the one being read, and of all by their paths.
	pending             []ranger.Fault
	faults              map[string][]ranger.Fault
	inPolicyDuplicate   string // path of the first duplicate key
	inPolicyDuplicateAt int
	span                func(path string, from, to int) // called for each policy, when set

	lastNearest struct {
		schema        *schema
		name, nearest string
		near          bool // some known field is near, if not one that may be meant
	}

	visit func(key []byte) // called before the value of each key of the document's own object, when set
}

// pathStep is one step of the path to the value being read: a key, or an index where key is nil.
type pathStep struct {
	key   []byte
	index int
}

// heldKey is a key of an object, unescaped, and where it stands.
type heldKey struct {
	text []byte
	at   int
}

type nameSpan struct{ from, to int }

// maxNesting is how deep values may be nested, as in encoding/json.
const maxNesting = 10_000

// document reads the whole document and reports whether it is valid JSON.
func (w *walker) document(s *schema) bool {
	w.Space()
	if !w.value(s, 1) {
		return false
	}
	w.Space()
	return w.At == len(w.Data)
}

// value reads one value, which begins at the next byte, and the white space behind it.
func (w *walker) value(s *schema, depth int) bool {
	if w.At >= len(w.Data) {
		return false
	}
	ok, from := false, w.At
	switch c := w.Data[w.At]; {
	case c == '"':
		var content nameSpan
		content.from, content.to, _, ok = w.Text()
		w.checkUTF8(content)
	case c == '{':
		ok = depth <= maxNesting && w.object(s, depth)
	case c == '[':
		ok = depth <= maxNesting && w.array(s, depth)
	case c == 't':
		ok = w.Literal("true")
	case c == 'f':
		ok = w.Literal("false")
	case c == 'n':
		ok = w.Literal("null")
	default:
		ok = w.Number()
	}
	if ok && s.policy && !w.inPolicy {
		w.noPolicy(from)
	}
	w.Space()
	return ok
}

// noPolicy is called where a policy ends, and treats what stands in a list of policies and is none, but a text or a number:
// it is left out, as a fault of its own, unless its words say that it may be a restriction, written as text say. That fails
// the document, as nobody knows what it would deny.
func (w *walker) noPolicy(from int) {
	if w.Data[from] == '{' || len(w.path) == 0 || w.path[len(w.path)-1].key != nil {
		return
	}
	if w.Data[from] == 'n' {
		if w.span == nil {
			w.keepFaults(w.render(), []ranger.Fault{ranger.NullEntry})
		}
		return
	}
	if w.span == nil {
		return
	}
	if !mayRestrict(w.Data[from:w.At]) {
		w.span(w.render(), from, w.At)
	}
}

// checkUTF8 notes a text that is not valid UTF-8: a fault where it stands in a policy.
func (w *walker) checkUTF8(text nameSpan) {
	switch {
	case !w.invalidUTF8 || utf8.Valid(w.Data[text.from:text.to]):
	case w.inPolicy:
		w.foundFault(ranger.Fault{Field: strings.ToValidUTF8(render(w.path[w.policyDepth:]), "?"), Reason: "it is not valid UTF-8"})
	case w.invalidAt < 0:
		w.invalidAt = text.from + max(jsontext.InvalidUTF8(w.Data[text.from:text.to]), 0)
	}
}

func (w *walker) array(s *schema, depth int) bool {
	w.At++
	w.Space()
	element := s.elementOf(false)
	w.path = append(w.path, pathStep{})
	top := len(w.path) - 1
	for !w.Next(']') {
		if w.path[top].index > 0 && !w.Next(',') {
			return false
		}
		if !w.value(element, depth+1) {
			return false
		}
		w.path[top].index++
	}
	if element.policy && (top == 0 || top == 1 && string(w.path[0].key) == "policies") {
		w.policies = w.path[top].index
	}
	w.path = w.path[:top]
	return true
}

func (w *walker) object(s *schema, depth int) bool {
	from := w.At
	w.At++
	w.Space()
	outermost, before := s.policy && !w.inPolicy, len(w.unknown)
	if outermost {
		w.inPolicy, w.policyDepth = true, len(w.path)
	}
	element := s.elementOf(true)
	held := len(w.keys)
	w.path = append(w.path, pathStep{})
	top := len(w.path) - 1
	var seen uint64
	for first := true; !w.Next('}'); first = false {
		if !first && !w.Next(',') {
			return false
		}
		if w.At >= len(w.Data) || w.Data[w.At] != '"' {
			return false
		}
		from, to, escaped, ok := w.Text()
		if !ok {
			return false
		}
		where := nameSpan{from, to}
		w.Space()
		if !w.Next(':') {
			return false
		}
		key := w.Data[where.from:where.to]
		if escaped {
			key = jsontext.Unescape(w.Data[where.from-1 : where.to+1])
		}
		w.path[top].key = key
		w.checkUTF8(where)
		if top == 0 && w.visit != nil {
			w.visit(key)
		}
		below, unknown := element, -1
		if s.fields == nil {
			w.hold(held, key, where.from)
		} else if f := s.field(key); f != nil {
			if bit := uint64(1) << f.bit; seen&bit != 0 {
				w.foundDuplicate(where.from)
			} else {
				seen |= bit
			}
			below = f.schema
			if f.ignored && !w.isEmpty() {
				w.foundUnknown(ranger.UnknownField{Path: w.render(), Name: f.name, Ignored: true})
			}
		} else {
			w.hold(held, key, where.from)
			unknown = len(w.unknown)
			w.foundMisspelt(s, key, where)
		}
		value := w.At
		if !w.value(below, depth+1) {
			return false
		}
		if !w.inPolicy && unknown >= 0 && unknown < len(w.unknown) {
			held := bytes.ToLower(bytes.TrimSpace(w.Data[value:w.At]))
			switch held[0] {
			case '{', '[':
				w.unknown[unknown].Restricts = mayRestrict(held) || mayRestrict(key) ||
					slices.ContainsFunc(referredTo, func(word string) bool { return bytes.Contains(held, []byte(word)) })
			default:
				w.unknown[unknown].Restricts = switchesOff(key, string(held))
			}
		}
	}
	w.release(held, top)
	w.path = w.path[:top]
	if outermost {
		w.inPolicy = false
		if len(w.unknown) > before {
			w.namePolicy(w.Data[from:w.At], before)
		}
		if len(w.pending) > 0 {
			w.keepFaults(w.render(), w.pending)
			w.pending = nil
		}
		if w.span != nil {
			w.span(w.render(), from, w.At)
		}
	}
	return true
}

// isEmpty reports whether the next value is null, an empty object or an empty array.
func (w *walker) isEmpty() bool {
	rest := w.Data[w.At:]
	if bytes.HasPrefix(rest, []byte("null")) {
		return true
	}
	if len(rest) == 0 || rest[0] != '{' && rest[0] != '[' {
		return false
	}
	rest = bytes.TrimLeft(rest[1:], " \t\r\n")
	return len(rest) > 0 && (rest[0] == '}' || rest[0] == ']')
}

// few is how many keys of an object are compared one by one, before they are sorted instead.
const few = 16

// hold keeps a key that is no known field, and finds whether the object has it already, as long as it has few.
func (w *walker) hold(held int, key []byte, at int) {
	if open := w.keys[held:]; len(open) <= few {
		for i := range open {
			if bytes.Equal(open[i].text, key) {
				w.foundDuplicate(at)
				break
			}
		}
	}
	w.keys = append(w.keys, heldKey{key, at})
}

// release forgets the keys of an object that ends, after finding duplicates among many.
func (w *walker) release(held, top int) {
	if open := w.keys[held:]; len(open) > few {
		slices.SortFunc(open, func(a, b heldKey) int {
			if c := bytes.Compare(a.text, b.text); c != 0 {
				return c
			}
			return a.at - b.at
		})
		var first *heldKey
		for i := 1; i < len(open); i++ {
			if bytes.Equal(open[i].text, open[i-1].text) && (first == nil || open[i].at < first.at) {
				first = &open[i]
			}
		}
		if first != nil {
			w.path[top].key = first.text
			w.foundDuplicate(first.at)
		}
	}
	w.keys = w.keys[:held]
}

// maxFaults is how many faults of one policy are told apart.
const maxFaults = 100

// foundFault notes a fault in the policy being read. That nobody knows which of two "resources" is meant is never left out.
func (w *walker) foundFault(f ranger.Fault) {
	if f == twoResources {
		if !slices.Contains(w.pending, f) {
			w.pending = slices.Insert(w.pending, 0, f)
		}
		return
	}
	if len(w.pending) == maxFaults {
		w.pending = append(w.pending, ranger.Fault{Reason: fmt.Sprintf("more than %d faults in one policy", maxFaults)})
	}
	if len(w.pending) < maxFaults {
		w.pending = append(w.pending, f)
	}
}

// keepFaults adds faults of the policy at path.
func (w *walker) keepFaults(path string, faults []ranger.Fault) {
	if w.faults == nil {
		w.faults = make(map[string][]ranger.Fault)
	}
	w.faults[path] = append(w.faults[path], faults...)
}

// foundDuplicate keeps the first duplicate key, which is the last step of the path. In a policy it is a fault: one of the
// two values is not read.
func (w *walker) foundDuplicate(at int) {
	if w.inPolicy {
		if w.inPolicyDuplicate == "" || at < w.inPolicyDuplicateAt {
			w.inPolicyDuplicate, w.inPolicyDuplicateAt = w.render(), at
		}
		w.foundFault(ranger.Fault{Field: render(w.path[w.policyDepth:]), Reason: ranger.DuplicateKey})
		return
	}
	if w.duplicate == "" || at < w.duplicateAt {
		w.duplicate, w.duplicateAt = w.render(), at
	}
}

// foundMisspelt keeps a key that the object's type does not have, which is the last step of the path.
func (w *walker) foundMisspelt(s *schema, key []byte, where nameSpan) {
	name := string(key)
	if s.fold(name) {
		w.misspelt = append(w.misspelt, where)
	}
	// A newer server adds the same field to every policy.
	if last := w.lastNearest; last.schema != s || last.name != name {
		w.lastNearest.schema, w.lastNearest.name = s, name
		w.lastNearest.nearest, w.lastNearest.near = nearestField(name, s.names)
	}
	u := ranger.UnknownField{Path: w.render(), Name: name, Nearest: w.lastNearest.nearest, InPolicy: w.inPolicy}
	if u.Fault = isFault(&u, w.file || w.lastNearest.near); u.Fault {
		w.foundFault(ranger.Fault{Field: render(w.path[w.policyDepth:]), Known: u.Nearest, Unknown: true, Reason: "it " + u.Reason()})
	}
	w.foundUnknown(u)
}

func (w *walker) foundUnknown(u ranger.UnknownField) {
	if len(w.unknown) < maxUnknown {
		u.InPolicy = w.inPolicy
		w.unknown = append(w.unknown, u)
	}
}

// namePolicy writes the id and name of a policy, which may stand behind them, into its unknown fields from index on.
func (w *walker) namePolicy(policy []byte, from int) {
	var fields map[string]json.RawMessage // unlike a struct, exact in case
	if json.Unmarshal(policy, &fields) != nil {
		return
	}
	id, _ := strconv.ParseInt(string(fields["id"]), 10, 64)
	name := ""
	if text := fields["name"]; len(text) > 0 && text[0] == '"' {
		name = string(jsontext.Unescape(text))
	}
	for i := from; i < len(w.unknown); i++ {
		w.unknown[i].PolicyID, w.unknown[i].Policy = id, name
	}
}

// render returns the path of the value being read, as "policies[3].denyPolicyItem".
func (w *walker) render() string { return render(w.path) }

func render(path []pathStep) string {
	var b strings.Builder
	for _, s := range path {
		switch {
		case s.key == nil:
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(s.index))
			b.WriteByte(']')
		case b.Len() > 0:
			b.WriteByte('.')
			b.Write(s.key)
		default:
			b.Write(s.key)
		}
		if s.key != nil && len(s.key) == 0 {
			b.WriteString(`""`)
		}
	}
	return b.String()
}
