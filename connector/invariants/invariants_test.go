// Package invariants_test holds the connector to its invariants: random worlds of grants, policies and memberships are
// synced through faults, crashes and the edits of others, against the emulator. Its trace is replayed, and every state on
// the way is checked.
package invariants_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/emulator"
	"ucwarden/policy"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
)

// The worlds are the same in every run, so that what fails is what was changed; make soak N=6000 PKG=./connector/invariants
// draws others. Some worlds make calls at once, and may run otherwise each time.
func TestInvariants(t *testing.T) {
	if seed := flag.Lookup("rapid.seed"); os.Getenv("RAPID_CHECKS") == "" && seed.Value.String() == seed.DefValue {
		if err := seed.Value.Set("1"); err != nil {
			t.Fatal(err)
		}
	}
	policytest.CheckWorlds(t, worlds, func(rt *rapid.T) {
		w := drawWorld(rt)
		var problem error
		synctest.Test(t, func(t *testing.T) { problem = check(t, w) })
		if problem != nil {
			rt.Fatalf("%v\nin the world\n%s", problem, w)
		}
	})
}

// check runs a world and returns what was wrong.
func check(t *testing.T, w world) error {
	r, err := start(t.Context(), w)
	if err != nil {
		return err
	}
	defer func() { r.process.client.Close() }()
	before := r.server.State()
	if _, err := r.server.AddFaults(w.Faults...); err != nil {
		return err
	}
	var done []syncDone
	directory := true // who is in which group could be read
	for _, root := range w.Syncs {
		var request connector.Request
		if root != "" {
			s, err := policy.ParseSecurable(root)
			if err != nil {
				return err
			}
			request.Roots = []policy.Securable{s}
		}
		result, err := r.sync(request)
		if err != nil && policy.CodeOf(err) == policy.CodeInternal && !errors.Is(err, errCrashed) {
			return fmt.Errorf("an error of no class: %w", err)
		}
		directory = directory && (result == nil || !slices.ContainsFunc(result.Plan.Report.Findings, func(f policy.Finding) bool {
			return strings.HasPrefix(f.Message, "the principals of the workspace could not be read")
		}))
		done = append(done, syncDone{int64(len(r.server.Trace())), result})
	}
	r.server.ClearFaults()
	r.Crash, r.Edits = crash{}, nil
	if _, err := r.sync(connector.Request{ByPerson: true}); err != nil {
		return fmt.Errorf("the sync without faults: %w", err)
	}
	trace := r.server.Trace()
	result, err := r.sync(connector.Request{})
	if err != nil {
		return fmt.Errorf("the second sync without faults: %w", err)
	}
	if !result.Plan.Empty() {
		return fmt.Errorf("a second sync would change %v", result.Plan.Changes)
	}
	if more := len(r.server.Trace()); slices.ContainsFunc(r.server.Trace()[len(trace):more], func(e emulator.TraceEntry) bool { return e.Method == "PATCH" }) {
		return fmt.Errorf("a second sync sends PATCHes")
	}
	return checkStates(before, r.server, trace, w, done, directory)
}

// access is what people can do with data: "TABLE sales.emea.orders SELECT".
type access map[string]bool

// accessOf returns what each person can do with data. USE_* confers nothing by itself. What a workspace that shows
// ALL_PRIVILEGES written out keeps to itself nobody can see, and is left out.
func accessOf(s *emulator.Server) map[string]access {
	all := make(map[string]access, len(people))
	for _, who := range people {
		all[who] = make(access)
		for _, a := range s.Access(who) {
			if slices.Contains([]string{"SELECT", "MODIFY", "READ_VOLUME", "WRITE_VOLUME", "MANAGE"}, a.Privilege) && (a.Type == "TABLE" || a.Type == "VOLUME") {
				all[who][a.Type+" "+a.Name+" "+a.Privilege] = true
			}
		}
	}
	return all
}

// checkStates replays the trace that led from before to the server's present state. What somebody else changes on the way
// counts as if it had stood before: what it lets people do beside what is wanted is nothing that an apply could know.
func checkStates(before *emulator.Seed, server *emulator.Server, trace []emulator.TraceEntry, w world, done []syncDone, directory bool) error {
	first, err := emulator.New(emulator.Options{Seed: before, Tokens: map[string]string{otherToken: somebody}})
	if err != nil {
		return err
	}
	grants := first.Grants()
	desired := accessOf(server)
	old := accessOf(first) // what people may hold on the way, besides
	kept := accessOf(first)
	keep := func(who string, now access) { // what nobody may lose
		maps.DeleteFunc(kept[who], func(a string, _ bool) bool { return !now[a] })
	}
	for who := range kept {
		keep(who, desired[who])
	}
	left, err := leftAlone(server.State(), grants, w.Faults, directory)
	if err != nil {
		return err
	}
	for who, now := range accessOf(left) {
		maps.Copy(old[who], now)
	}
	for _, state := range []*emulator.Seed{before, server.State(), left.State()} {
		edited, err := emulator.New(emulator.Options{Seed: state, Tokens: map[string]string{otherToken: somebody}})
		if err != nil {
			return err
		}
		for _, e := range w.Edits {
			e.make(edited)
			for who, now := range accessOf(edited) {
				maps.Copy(old[who], now)
				keep(who, now)
			}
		}
	}
	var path strings.Builder
	end := server.Grants()
	for instant, err := range emulator.Replay(before, trace) {
		if err != nil {
			return err
		}
		e := instant.Cause
		fmt.Fprintf(&path, "  %s %s %s\n", e.Caller, e.Path[strings.LastIndex(e.Path, "permissions/"):], e.Body)
		now := accessOf(instant.Server)
		after := instant.Server.Grants()
		if e.Caller != us { // counts into old
			for _, who := range people {
				maps.Copy(old[who], now[who])
				keep(who, now[who])
			}
			grants = after
			continue
		}
		if err := checkScope(grants, after, w.Options.ExpandAllPrivileges); err != nil {
			return fmt.Errorf("%w, by the last of\n%s", err, &path)
		}
		removed := slices.DeleteFunc(grants, func(g emulator.Grant) bool { return slices.Contains(after, g) })
		grants = after
		undone := undo(instant.Server, w.Edits)
		for _, who := range people {
			for a := range now[who] {
				if !old[who][a] && !desired[who][a] && undone[who][a] {
					return fmt.Errorf("wider: %s has %s after\n%s", who, a, &path)
				}
			}
			for a := range kept[who] {
				if now[who][a] {
					continue
				}
				if !mayLose(doneAt(done, e.Seq), a, removed, end) {
					return fmt.Errorf("narrower: %s lacks %s after\n%s", who, a, &path)
				}
				delete(kept[who], a)
			}
		}
	}
	return nil
}

// syncDone is a disturbed sync: the last request of the trace that it sent, and its result.
type syncDone struct {
	last   int64
	result *connector.Result
}

// doneAt returns the result of the disturbed sync that sent a request; nil where none did.
func doneAt(done []syncDone, seq int64) *connector.Result {
	for _, d := range done {
		if seq <= d.last {
			return d.result
		}
	}
	return nil
}

// mayLose reports whether a change of a disturbed sync may take away access that is wanted: what it takes away is to go, and
// what is to be granted instead could not be, or had to wait because not all could be read. That does not hold up what is
// revoked.
func mayLose(result *connector.Result, lost string, removed, end []emulator.Grant) bool {
	if result == nil {
		return false
	}
	typ, rest, _ := strings.Cut(lost, " ")
	name, _, _ := strings.Cut(rest, " ")
	object := policy.Securable{Type: policy.SecurableType(typ), FullName: name}
	withheld := len(result.Unread) > 0 || slices.ContainsFunc(result.Outcomes, func(o apply.Outcome) bool { return o.Err != nil && o.Change.Securable.Contains(object) })
	return withheld && slices.ContainsFunc(removed, func(g emulator.Grant) bool { return !replaced(g, end) })
}

// replaced reports whether a grant goes on as another one to the same principal, or to everyone, on the same object or above.
func replaced(g emulator.Grant, end []emulator.Grant) bool {
	return slices.ContainsFunc(end, func(e emulator.Grant) bool {
		return (e.Principal == g.Principal || e.Principal == "account users") &&
			(e.Privilege == g.Privilege || e.Privilege == "ALL_PRIVILEGES" && g.Privilege != "MANAGE") &&
			(e.Name == g.Name && e.Type == g.Type || strings.HasPrefix(g.Name, e.Name+"."))
	})
}

// leftAlone returns the state in the end with the grants of before that are left alone while the faults last: what stands on
// an object that we may not read is not ours to manage, and where the directory was not read, groups keep by what we may have
// our own access.
func leftAlone(end *emulator.Seed, before []emulator.Grant, faults []emulator.Fault, directory bool) (*emulator.Server, error) {
	left, err := emulator.New(emulator.Options{Seed: end, Tokens: map[string]string{otherToken: somebody}})
	if err != nil {
		return nil, err
	}
	for _, g := range before {
		object := strings.ToLower(g.Type) + ":" + g.Name
		forbidden := slices.ContainsFunc(faults, func(f emulator.Fault) bool { return f.Securable == object && f.Status == http.StatusForbidden })
		ours := slices.Contains(groups, g.Principal) && (g.Privilege == "MANAGE" || g.Privilege == "ALL_PRIVILEGES" || strings.HasPrefix(g.Privilege, "USE_"))
		if forbidden || !directory && ours {
			foreignEdit{Object: object, Body: fmt.Sprintf(`{"changes":[{"principal":%q,"add":[%q]}]}`, g.Principal, g.Privilege)}.make(left)
		}
	}
	return left, nil
}

// undo returns what people could do if nobody else had added anything on the way: what we add together with that no apply
// could know.
func undo(now *emulator.Server, edits []foreignEdit) map[string]access {
	if len(edits) == 0 {
		return accessOf(now)
	}
	server, err := emulator.New(emulator.Options{Seed: now.State(), Tokens: map[string]string{otherToken: somebody}})
	if err != nil {
		panic(err)
	}
	for _, e := range edits {
		if strings.Contains(e.Body, `"add"`) {
			foreignEdit{Object: e.Object, Body: strings.Replace(e.Body, `"add"`, `"remove"`, 1)}.make(server)
		}
	}
	return accessOf(server)
}

// checkScope compares the grants before and after a change of ours. Where ALL_PRIVILEGES is shown written out, what was
// granted beside it cannot be told from it, and goes with it.
func checkScope(before, after []emulator.Grant, writtenOut bool) error {
	for _, g := range before {
		all := emulator.Grant{Type: g.Type, Name: g.Name, Principal: g.Principal, Privilege: "ALL_PRIVILEGES"}
		if writtenOut && slices.Contains(before, all) && !slices.Contains(after, all) && inScope(g.Type+":"+g.Name, g.Principal, all.Privilege) {
			continue
		}
		if !slices.Contains(after, g) && !inScope(g.Type+":"+g.Name, g.Principal, g.Privilege) {
			return fmt.Errorf("out of scope: %v is taken away", g)
		}
	}
	for _, g := range after {
		if !slices.Contains(before, g) && !inScope(g.Type+":"+g.Name, g.Principal, g.Privilege) {
			return fmt.Errorf("out of scope: %v is granted", g)
		}
	}
	return nil
}

// String describes the world for who looks for the reason of a failure.
func (w world) String() string {
	var b strings.Builder
	for _, g := range w.Seed.Groups {
		fmt.Fprintf(&b, "  group %s: %v\n", g.Name, g.Members)
	}
	if first, err := emulator.New(emulator.Options{Seed: w.Seed, Tokens: map[string]string{"x": us}}); err == nil {
		for _, g := range first.Grants() {
			fmt.Fprintf(&b, "  grant %v\n", g)
		}
	}
	for _, p := range w.Earlier {
		describe(&b, "earlier policy", p)
	}
	for _, e := range w.Between {
		fmt.Fprintf(&b, "  since then %s %s\n", e.Object, e.Body)
	}
	for _, p := range w.Policies {
		describe(&b, "policy", p)
	}
	for _, f := range w.Faults {
		text, err := json.Marshal(f)
		fmt.Fprintf(&b, "  fault %s %v\n", text, err)
	}
	fmt.Fprintf(&b, "  syncs %q, crash %+v, edits %v, ALL_PRIVILEGES written out %t", w.Syncs, w.Crash, w.Edits, w.Options.ExpandAllPrivileges)
	return b.String()
}

func describe(b *strings.Builder, what string, p ranger.Policy) {
	fmt.Fprintf(b, "  %s %s\n", what, p.Name)
	for kind, items := range map[string][]ranger.PolicyItem{"allow": p.PolicyItems, "deny": p.DenyPolicyItems, "allow but": p.AllowExceptions} {
		for _, item := range items {
			fmt.Fprintf(b, "    %s %v %v %v\n", kind, item.Users, item.Groups, item.Accesses)
		}
	}
}
