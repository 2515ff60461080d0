package conformance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// request is a call.
type request struct {
	method, path string
	body         any
}

// endpoint is a call with the rule of who may make it. The rules are the specification's column "who".
type endpoint struct {
	name    string
	call    func(f *fixture) request
	allowed string // formula
	try     string // grounds that are not in the formula and must not help
	code    string // of the refusal; PERMISSION_DENIED when empty
	// creates is the path of what the call makes, which a refused one must not have made.
	creates func(f *fixture) string
	// lists is the kind of the object that the answer's list must hold, under a key, if the caller may; otherwise the call
	// is refused or the list does not hold it.
	lists, key string
	// after restores what a successful call changed beyond the fixture.
	after func(f *fixture)
	// few says that the call is tried with the sets of grounds that decide, because another call with the same rule is tried
	// with all.
	few bool
	// metastores says that the call changes metastores or their assignment.
	metastores bool
}

// TestAuthorization makes every call in every role, with every set of the grounds that count or might seem to, and
// compares what happens with the formula. A role that decides by itself, or not at all, is tried with the sets that decide. A
// refused call must have changed nothing.
func TestAuthorization(t *testing.T) {
	for _, list := range [][]endpoint{metastoreEndpoints, rootEndpoints, catalogEndpoints, tableEndpoints, permissionEndpoints, sharingEndpoints} {
		checkAuthorization(t, list)
	}
}

func checkAuthorization(t *testing.T, list []endpoint) {
	for _, e := range list {
		t.Run(e.name, func(t *testing.T) {
			if another() == nil {
				t.Parallel() // each has an emulator of its own
			}
			w := newWorld(t)
			if e.metastores {
				w.changesMetastores()
			}
			allowed := parseFormula(t, e.allowed)
			grounds := slices.Compact(slices.Sorted(slices.Values(append(allowed.grounds(), strings.Fields(e.try)...))))
			for who, word := range map[role]string{alice: "", metastoreAdmin: "MA", accountAdmin: "AA", workspaceAdmin: "WA"} {
				if w.tokens[who] == "" {
					t.Logf("not tried as %s: TOKENS= has none", who)
					continue
				}
				sets := subsets(grounds)
				if e.few || word != "" && !allowed.combines(word, grounds) {
					sets = allowed.boundary(word, grounds)
				}
				for _, set := range sets {
					e.check(w, who, append([]string{word}, set...), allowed)
				}
			}
		})
	}
}

// check makes the call as somebody who has the words of the formula.
func (e endpoint) check(w *world, who role, words []string, allowed formula) {
	w.Helper()
	f := w.fixture()
	call := e.call(f)
	for _, word := range words[1:] {
		f.arrange(who, word)
	}
	before := f.snapshot()
	got := w.do(who, call.method, call.path, call.body)
	want := allowed.holds(words)
	ok := got.status < 300
	if e.lists != "" {
		ok = ok && listHolds(got, e.key, f.name(e.lists))
	}
	what := fmt.Sprintf("%s with %v: %s %s %s", who, words, call.method, call.path, jsonOf(call.body))
	switch {
	case ok && !want:
		w.Errorf("%s: allowed: %s", what, got.raw)
	case !ok && want:
		w.Errorf("%s: refused: %d %s", what, got.status, got.raw)
	case !ok && e.lists == "":
		code := e.code
		if code == "" {
			code = forbidden
		}
		if got.status != 403 || got.code() != code {
			w.Errorf("%s: got %d %s, want 403 %s", what, got.status, got.raw, code)
		}
	}
	if got.status >= 300 {
		if after := f.snapshot(); after != before {
			w.Errorf("%s: refused, and changed\n%s\nto\n%s", what, before, after)
		}
		if e.creates != nil {
			if r := w.do(metastoreAdmin, "GET", e.creates(f), nil); r.status != 404 {
				w.Errorf("%s: refused, and %s is there: %d", what, e.creates(f), r.status)
			}
		}
	} else if e.after != nil {
		e.after(f)
	}
	f.undone()
}

// listHolds reports whether an answer's list, under the key, has an object of that name, full name or id.
func listHolds(r reply, key, name string) bool {
	items, _ := r.json[key].([]any)
	return slices.ContainsFunc(items, func(item any) bool {
		object, _ := item.(map[string]any)
		return object["name"] == name || object["full_name"] == name || object["metastore_id"] == name
	})
}

// The calls that most types have.

func get(kind string) func(*fixture) request {
	return func(f *fixture) request { return request{"GET", f.path(kind), nil} }
}

func remove(kind string) func(*fixture) request {
	return func(f *fixture) request { return request{"DELETE", f.path(kind), nil} }
}

// patch updates the fields that are given. The value "bob" is bob's name, "new" one that nothing has.
func patch(kind string, fields ...string) func(*fixture) request {
	return func(f *fixture) request {
		body := make(map[string]any)
		for i := 0; i < len(fields); i += 2 {
			value := fields[i+1]
			switch value {
			case "bob":
				value = f.w.user(bob)
			case "new":
				value = f.w.unique("renamed")
			}
			body[fields[i]] = value
		}
		return request{"PATCH", f.path(kind), body}
	}
}

func list(kind, path string) func(*fixture) request {
	return func(f *fixture) request {
		f.name(kind)
		return request{"GET", strings.NewReplacer("CATALOG", f.names["catalog"], "SCHEMA", strings.TrimPrefix(f.names["schema"], f.names["catalog"]+".")).Replace(path), nil}
	}
}

// updates returns the rules of the updates of a kind: of a comment, of the owner alone, of both, and a rename.
func updates(kind, owner, ownerAlone, rename, try string) []endpoint {
	return []endpoint{
		{name: "update " + kind, call: patch(kind, "comment", "changed"), allowed: owner, try: try},
		{name: "change owner of " + kind, call: patch(kind, "owner", "bob"), allowed: owner + " | " + ownerAlone, try: try},
		{name: "change owner and comment of " + kind, call: patch(kind, "owner", "bob", "comment", "changed"), allowed: owner, try: try},
		{name: "change owner and an unknown field of " + kind, call: patch(kind, "owner", "bob", "no_such_field", "x"), allowed: owner, try: try},
		{name: "rename " + kind, call: patch(kind, "name", "new"), allowed: rename, try: try},
		{name: "rename " + kind + " by new_name", call: patch(kind, "new_name", "new"), allowed: rename, try: try},
		{name: "rename " + kind + " and change its owner", call: patch(kind, "new_name", "new", "owner", "bob"), allowed: rename, try: try},
	}
}
