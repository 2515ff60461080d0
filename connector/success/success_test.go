package success_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/connector/memory"
	"ucwarden/connector/success"
	"ucwarden/policy"
)

// metrics returns the metrics of what a new process finds in the store, by name and catalog.
func metrics(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all[fmt.Sprintf("%s %s", f.GetName()[len("ucwarden_last_success_"):], m.GetLabel()[0].GetValue())] = m.GetGauge().GetValue()
		}
	}
	return all
}

// What was never synced has an age, too, from when it was first seen, and a restart changes nothing of it.
func TestAges(t *testing.T) {
	store := memory.Folder(t.TempDir())
	a, b := policy.Securable{Type: policy.Catalog, FullName: "a"}, policy.Securable{Type: policy.Catalog, FullName: "b/é"}
	synctest.Test(t, func(t *testing.T) {
		open := func() (*success.Log, func(want map[string]float64)) {
			r := prometheus.NewRegistry()
			l, err := success.New(store, r)
			if err != nil {
				t.Fatal(err)
			}
			return l, func(want map[string]float64) {
				t.Helper()
				if diff := cmp.Diff(want, metrics(t, r)); diff != "" {
					t.Error(diff)
				}
			}
		}
		must := func(err error) {
			if err != nil {
				t.Error(err)
			}
		}
		start := float64(time.Now().Unix())
		l, check := open()
		check(map[string]float64{"age_seconds *": 0})
		time.Sleep(100 * time.Second)
		must(l.Seen([]policy.Securable{a, b, {Type: policy.Metastore}}))
		check(map[string]float64{"age_seconds *": 100, "age_seconds a": 0, "age_seconds b/é": 0})
		time.Sleep(100 * time.Second)
		must(l.Synced([]policy.Securable{b, {Type: policy.Schema, FullName: "a.s"}}))
		must(l.SyncedAll())
		time.Sleep(50 * time.Second)
		want := map[string]float64{"age_seconds *": 50, "age_seconds a": 150, "age_seconds b/é": 50, "timestamp_seconds *": start + 200, "timestamp_seconds b/é": start + 200}
		check(want)
		l, check = open() // by another process
		check(want)
		must(l.Gone([]policy.Securable{a, {Type: policy.Schema, FullName: "b/é"}}))
		must(l.Seen([]policy.Securable{a}))
		want = map[string]float64{"age_seconds *": 50, "age_seconds a": 0, "timestamp_seconds *": start + 200}
		check(want)
		must(l.Seen([]policy.Securable{a, b})) // another one of that name
		want["age_seconds b/é"] = 0
		check(want)
		_, check = open()
		check(want)
	})
}

// failing is a store that cannot be used.
type failing struct{}

func (failing) Load(string) ([]byte, error) { return nil, errors.New("no disk") }
func (failing) Save(string, []byte) error   { return errors.New("no disk") }

// A store that cannot be read is said; without one nothing is kept, and all of it works.
func TestStores(t *testing.T) {
	if _, err := success.New(failing{}, nil); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	l, err := success.New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	catalog := []policy.Securable{{Type: policy.Catalog, FullName: "a"}}
	for _, note := range []func([]policy.Securable) error{l.Seen, l.Synced, l.Gone} {
		if err := note(catalog); err != nil {
			t.Error(err)
		}
	}
}
