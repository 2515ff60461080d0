package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/connector/apply"
	"ucwarden/policy"
)

// change reads "TABLE:a.b.c +ann SELECT -bob MODIFY".
func change(t testing.TB, text string) policy.Change {
	t.Helper()
	words := strings.Fields(text)
	s, err := policy.ParseSecurable(words[0])
	if err != nil {
		t.Fatal(err)
	}
	c := policy.Change{Securable: s, Causes: policy.Causes{}}
	for i := 1; i < len(words); i += 2 {
		a := policy.Assignment{Principal: policy.PrincipalByShape(words[i][1:]), Privilege: policy.Privilege(words[i+1])}
		if words[i][0] == '+' {
			c.Add = append(c.Add, a)
			c.Causes.Set(policy.ActAdd, a, policy.Cause{Kind: policy.CausePolicy, PolicyID: 7, Policy: "p", Item: "policyItems[0]"})
		} else {
			c.Remove = append(c.Remove, a)
			c.Causes.Set(policy.ActRemove, a, policy.Cause{Kind: policy.CauseDrift})
		}
	}
	return c
}

var origin = apply.Origin{Task: "task-1", By: "ann@example.com"}

func open(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// begin notes the intent of a change, and returns how it ended.
func begin(t testing.TB, l *Log, text string) func(string, error) {
	t.Helper()
	ended, err := l.Begin(t.Context(), origin, change(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return ended
}

// read returns the changes that q selects, one a line.
func read(t testing.TB, path string, q Query) []string {
	t.Helper()
	changes, damaged, err := Read(path, q)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, c := range changes {
		text := fmt.Sprintf("%s %s %s %s %s", c.Act, c.Securable, c.Principal, c.Privilege, c.Result)
		if c.Settled {
			text += " settled"
		}
		list = append(list, text)
	}
	if len(damaged) > 0 {
		list = append(list, fmt.Sprint("damaged ", len(damaged)))
	}
	return list
}

func check(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestTrail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trail", "audit.jsonl")
	var copied bytes.Buffer
	l := open(t, Options{Path: path, Copy: &copied})
	ended := begin(t, l, "TABLE:sales.emea.orders +ann SELECT -bob MODIFY")
	// Before the request is sent the intent is in the file.
	check(t, read(t, path, Query{}), "add TABLE:sales.emea.orders ann SELECT open", "remove TABLE:sales.emea.orders bob MODIFY open")
	ended("req-1", nil)
	begin(t, l, "SCHEMA:sales.emea +ann USE_SCHEMA")("req-2", policy.Errorf(policy.CodeForbidden, "not yours"))
	begin(t, l, "CATALOG:sales +Ann USE_CATALOG")("", policy.Errorf(policy.CodeNotFound, "no such catalog"))
	begin(t, l, "CATALOG:hr +zoe USE_CATALOG")("", &apply.PrincipalError{Principal: policy.PrincipalByShape("zoe"), Err: errors.New("404")})
	begin(t, l, "VOLUME:hr.core.files +ann READ_VOLUME")("", policy.Errorf(policy.CodeConflict, "being changed"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all := []string{
		"add TABLE:sales.emea.orders ann SELECT applied", "remove TABLE:sales.emea.orders bob MODIFY applied",
		"add SCHEMA:sales.emea ann USE_SCHEMA refused", "add CATALOG:sales Ann USE_CATALOG gone", "add CATALOG:hr zoe USE_CATALOG refused",
		"add VOLUME:hr.core.files ann READ_VOLUME refused",
	}
	check(t, read(t, path, Query{}), all...)
	check(t, read(t, path, Query{Principal: "ANN"}), all[0], all[2], all[3], all[5])
	check(t, read(t, path, Query{Securable: change(t, "schema:sales.emea").Securable}), all[:3]...)
	check(t, read(t, path, Query{Since: time.Now().Add(time.Hour)}))

	changes, _, err := Read(path, Query{})
	if err != nil {
		t.Fatal(err)
	}
	first := changes[0]
	if first.Task != "task-1" || first.By != "ann@example.com" || first.RequestID != "req-1" || first.Cause.PolicyID != 7 || time.Since(first.Time) > time.Hour {
		t.Errorf("%+v", first)
	}
	if changes[2].Error != "not yours" {
		t.Errorf("%+v", changes[2])
	}
	if got := strings.Count(copied.String(), "\n"); got != len(all) || strings.Contains(copied.String(), `"change":`) {
		t.Errorf("%d lines were copied, want those of the %d changes: %s", got, len(all), copied.String())
	}
	if _, err := l.Begin(t.Context(), origin, change(t, "CATALOG:sales +ann USE_CATALOG")); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("a change may be sent although it cannot be noted: %v", err)
	}
	if _, _, err := Read(path+".other", Query{}); policy.CodeOf(err) != policy.CodeNotFound {
		t.Errorf("no file: %v", err)
	}
}

// grants is a workspace of one securable per error or list of grants.
type grants map[string]struct {
	have []policy.Assignment
	err  error
}

func (g grants) Grants(_ context.Context, s policy.Securable) ([]policy.Assignment, error) {
	return g[s.FullName].have, g[s.FullName].err
}

func (g grants) Apply(context.Context, policy.Change) ([]policy.Assignment, error) {
	return nil, errors.New("nothing is to be changed")
}

// What is not known to have been done is found out by reading the objects: after a crash, and where a request had no
// answer.
func TestSettle(t *testing.T) {
	workspace := grants{
		"a":         {have: []policy.Assignment{{Principal: policy.PrincipalByShape("ann"), Privilege: policy.UseCatalog}}},
		"gone":      {err: policy.Errorf(policy.CodeNotFound, "no such catalog")},
		"forbidden": {err: policy.Errorf(policy.CodeForbidden, "not yours")},
		"down":      {err: policy.Errorf(policy.CodeUnavailable, "no answer")},
	}
	for _, crash := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		l := open(t, Options{Path: path})
		for _, text := range []string{
			"CATALOG:a +ann USE_CATALOG +eve USE_CATALOG -ann BROWSE -bob SELECT", "CATALOG:gone +ann USE_CATALOG",
			"CATALOG:forbidden +ann USE_CATALOG", "CATALOG:down +ann USE_CATALOG",
		} {
			if ended := begin(t, l, text); !crash {
				ended("", policy.Errorf(policy.CodeUnavailable, "no answer"))
			}
		}
		if crash {
			l = open(t, Options{Path: path})
		}
		l.Settle(t.Context(), workspace, nil)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		got := read(t, path, Query{})
		left := got[len(got)-1]
		slices.Sort(got[:len(got)-1])
		check(t, got,
			"add CATALOG:a ann USE_CATALOG applied settled", "add CATALOG:a eve USE_CATALOG absent settled",
			"add CATALOG:forbidden ann USE_CATALOG unknown settled", "add CATALOG:gone ann USE_CATALOG gone settled",
			"remove CATALOG:a ann BROWSE applied settled", "remove CATALOG:a bob SELECT applied settled",
			"add CATALOG:down ann USE_CATALOG open")
		// The next start tries again what could not be read.
		l = open(t, Options{Path: path})
		l.Settle(t.Context(), grants{}, nil)
		l.Settle(t.Context(), grants{}, nil) // nothing is left
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		check(t, read(t, path, Query{Securable: change(t, "catalog:down").Securable}), strings.Replace(left, "open", "absent settled", 1))
	}
}

type tables map[string]policy.TableState

func (m tables) Tables(_ context.Context, of policy.Securable) ([]policy.TableState, error) {
	t, ok := m[of.FullName]
	if !ok {
		return nil, policy.Errorf(policy.CodeNotFound, "no such table")
	}
	return []policy.TableState{t}, nil
}

// What became of row filters and masks is found out by reading what the table carries.
func TestSettleProtection(t *testing.T) {
	attached := func(function string) *policy.Attached { return &policy.Attached{Function: function} }
	carries := policy.TableState{Known: true, Protection: policy.Protection{Filter: attached("rf_new"), Masks: map[string]policy.Attached{"b": {Function: "mf_old"}}}}
	workspace := tables{"c.s.t": carries, "c.s.hidden": {Protection: carries.Protection}}
	change := func(table string) policy.ProtectionChange {
		return policy.ProtectionChange{Table: policy.Securable{Type: policy.Table, FullName: table}, Filter: &policy.AttachedChange{From: attached("rf_old"), To: attached("rf_new")},
			Masks: map[string]policy.AttachedChange{"a": {From: attached("mf_old")}, "b": {From: attached("mf_old"), To: attached("mf_new")}}}
	}
	made := policy.ProtectionChange{Table: policy.Securable{Type: policy.Table, FullName: "c.s.t"}, Create: []policy.SQLFunction{{Name: "rf_again"}}}
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, Options{Path: path})
	for _, c := range []policy.ProtectionChange{change("c.s.t"), change("c.s.hidden"), change("c.s.gone"), made} {
		if _, err := l.BeginProtection(t.Context(), apply.Origin{}, c); err != nil {
			t.Fatal(err)
		}
	}
	l = open(t, Options{Path: path})
	l.Settle(t.Context(), grants{}, workspace)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]Result)
	changes, _, err := Read(path, Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		got[c.Securable+" "+string(c.Act)+" "+c.Protection] = c.Result
	}
	want := map[string]Result{
		"TABLE:c.s.t add row filter rf_new": ResultApplied, "TABLE:c.s.t remove mask of a mf_old": ResultApplied, "TABLE:c.s.t add mask of b mf_new": ResultAbsent,
		"TABLE:c.s.t add function rf_again":      ResultUnknown,
		"TABLE:c.s.hidden add row filter rf_new": ResultUnknown, "TABLE:c.s.hidden remove mask of a mf_old": ResultUnknown, "TABLE:c.s.hidden add mask of b mf_new": ResultUnknown,
		"TABLE:c.s.gone add row filter rf_new": ResultGone, "TABLE:c.s.gone remove mask of a mf_old": ResultGone, "TABLE:c.s.gone add mask of b mf_new": ResultGone,
	}
	if !maps.Equal(got, want) {
		t.Errorf("it is settled as %v, want %v", got, want)
	}
}

// An intent of which a crash left some lines is closed by the others.
func TestHalfClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, Options{Path: path})
	begin(t, l, "CATALOG:a +ann USE_CATALOG +eve USE_CATALOG")("", nil)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torn := text[:len(text)-40]
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, read(t, path, Query{}), "add CATALOG:a ann USE_CATALOG applied", "add CATALOG:a eve USE_CATALOG open", "damaged 1")
	l = open(t, Options{Path: path})
	l.Settle(t.Context(), grants{}, nil)
	begin(t, l, "CATALOG:b +ann USE_CATALOG")("", nil)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, read(t, path, Query{}), "add CATALOG:a ann USE_CATALOG applied", "add CATALOG:a eve USE_CATALOG absent settled", "add CATALOG:b ann USE_CATALOG applied", "damaged 1")
	if after, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(after, torn) {
		t.Errorf("the damaged file was changed, not added to: %v", err)
	}
}

// Whatever was cut off a file, the lines before are read, and the file can be added to.
func TestTornAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, Options{Path: path})
	begin(t, l, "CATALOG:a +ann USE_CATALOG -eve SELECT")("r", nil)
	begin(t, l, "CATALOG:b +ann USE_CATALOG")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(text); n += 7 {
		if err := os.WriteFile(path, text[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Options{Path: path})
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		l.Settle(t.Context(), grants{}, nil)
		begin(t, l, "CATALOG:c +new USE_CATALOG")("", nil)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		got := read(t, path, Query{})
		if !slices.Contains(got, "add CATALOG:c new USE_CATALOG applied") || slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, "open") }) {
			t.Fatalf("after %d bytes: %q", n, got)
		}
	}
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "audit [1]*.jsonl")
		l := open(t, Options{Path: path, MaxSize: 2000, Keep: 3})
		never := begin(t, l, "CATALOG:first +ann USE_CATALOG")
		for i := range 40 {
			begin(t, l, fmt.Sprintf("CATALOG:c%02d +ann USE_CATALOG", i))("", nil)
		}
		synctest.Wait() // until the ends are written, for which nobody waits
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 4 {
			t.Fatalf("%d files, want the one that grows and 3: %v", len(files), err)
		}
		for _, f := range files {
			if info, err := f.Info(); err != nil || info.Size() > 2000 {
				t.Errorf("%s has %d bytes: %v", f.Name(), info.Size(), err)
			}
		}
		got := read(t, path, Query{})
		if n := len(got); got[n-1] != "add CATALOG:first ann USE_CATALOG open" || got[n-2] != "add CATALOG:c39 ann USE_CATALOG applied" || !slices.IsSorted(got[:n-1]) {
			t.Errorf("%q", got)
		}
		// A crash between two steps of a rotation: the intents that are open stand in the file before.
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path, Query{Securable: change(t, "catalog:first").Securable}); len(got) != 1 {
			t.Errorf("%q", got)
		}
		again := open(t, Options{Path: path, MaxSize: 2000, Keep: 3})
		again.Settle(t.Context(), grants{}, nil)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		check(t, read(t, path, Query{Securable: change(t, "catalog:first").Securable}), "add CATALOG:first ann USE_CATALOG absent settled")
		never("", nil)
	})
}

// A file that cannot be written keeps changes from being sent, until it can; what became of those before is kept.
func TestCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		l := open(t, Options{Path: path})
		first, second := begin(t, l, "CATALOG:a +ann USE_CATALOG"), begin(t, l, "CATALOG:b +ann USE_CATALOG")
		fail := func() {
			if err := l.writer.file.Close(); err != nil { // as a disk that fails
				t.Fatal(err)
			}
		}
		fail()
		first("", nil)
		synctest.Wait() // until that was not written
		second("", nil)
		begin(t, l, "CATALOG:c +ann USE_CATALOG")("", nil)
		synctest.Wait()
		check(t, read(t, path, Query{}), "add CATALOG:a ann USE_CATALOG applied", "add CATALOG:b ann USE_CATALOG applied", "add CATALOG:c ann USE_CATALOG applied")
		fail()
		if _, err := l.Begin(t.Context(), origin, change(t, "CATALOG:d +ann USE_CATALOG")); policy.CodeOf(err) != policy.CodeUnavailable || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v", err)
		}
		begin(t, l, "CATALOG:e +ann USE_CATALOG")("", nil)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		got := read(t, path, Query{})
		check(t, got[3:], "add CATALOG:e ann USE_CATALOG applied")
	})
}

// slow is a copy that takes its time.
type slow chan struct{}

func (s slow) Write(p []byte) (int, error) { <-s; return len(p), nil }

// Intents that come while the disk is busy share one fsync.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		busy := make(slow)
		l := open(t, Options{Path: filepath.Join(t.TempDir(), "audit.jsonl"), Copy: busy, Registerer: registry})
		begin(t, l, "CATALOG:a +ann USE_CATALOG")("", nil)
		synctest.Wait() // until the writer waits for the copy
		before := syncs(t, registry)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() { begin(t, l, fmt.Sprintf("CATALOG:c%d +ann USE_CATALOG", i)) })
		}
		synctest.Wait()
		close(busy)
		all.Wait()
		if got := syncs(t, registry) - before; got != 1 {
			t.Errorf("%d fsyncs for 50 intents", got)
		}
	})
}

func syncs(t testing.TB, g prometheus.Gatherer) uint64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "ucwarden_audit_sync_seconds" {
			return f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	return 0
}

// BenchmarkBegin measures what a change waits for its intent, with so many changes under way at once.
func BenchmarkBegin(b *testing.B) {
	for _, parallel := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			registry := prometheus.NewRegistry()
			l := open(b, Options{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Registerer: registry})
			c := change(b, "TABLE:sales.emea.orders +analysts SELECT -bob@example.com MODIFY")
			var workers sync.WaitGroup
			work := make(chan struct{})
			for range parallel {
				workers.Go(func() {
					for range work {
						ended, err := l.Begin(b.Context(), origin, c)
						if err != nil {
							b.Error(err)
							return
						}
						ended("id", nil)
					}
				})
			}
			for b.Loop() {
				work <- struct{}{}
			}
			close(work)
			workers.Wait()
			b.ReportMetric(float64(syncs(b, registry))/float64(b.N), "fsyncs/op")
		})
	}
}

// What a request puts back, since it takes it away too, is in the trail like all else that is sent.
func TestPutBackIsNoted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, Options{Path: path})
	c := change(t, "SCHEMA:sales.emea -ann ALL_PRIVILEGES")
	c.Keep = []policy.Assignment{{Principal: policy.PrincipalByShape("ann"), Privilege: "READ_SECRET"}}
	ended, err := l.Begin(t.Context(), origin, c)
	if err != nil {
		t.Fatal(err)
	}
	check(t, read(t, path, Query{}), "add SCHEMA:sales.emea ann READ_SECRET open", "remove SCHEMA:sales.emea ann ALL_PRIVILEGES open")
	ended("req-1", nil)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, read(t, path, Query{}), "add SCHEMA:sales.emea ann READ_SECRET applied", "remove SCHEMA:sales.emea ann ALL_PRIVILEGES applied")
	changes, _, err := Read(path, Query{})
	if err != nil || changes[0].Cause.Kind != policy.CauseKept {
		t.Errorf("why %v: %v", changes[0].Cause, err)
	}
}
