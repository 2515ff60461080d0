package source_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source"
	"ucwarden/policy/source/rangeradmin"
	"ucwarden/policy/source/rangertest"
)

func TestRangerWatchBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := rangertest.New("uc")
		server.SetPolicies(pols(4)...)
		var log logged
		reg := prometheus.NewRegistry()
		r := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: "https://ranger", HTTPTransport: memory{server}, Logger: log.logger()}, Registerer: reg})
		mustLoad(t, r, 4)
		ctx, cancel := context.WithCancel(t.Context())
		var out notifications
		done := make(chan error, 1)
		go func() { done <- r.Watch(ctx, out.add) }()

		server.Requests()
		advance(time.Hour)
		if n := len(server.Requests()) / 4; n < 118 || n > 135 {
			t.Errorf("%d downloads in an hour, want about 120 and a few", n)
		}
		server.SetFault(rangertest.Policies, rangertest.Fault{Status: 503})
		advance(time.Hour)
		if n := len(server.Requests()); n < 60 || n > 140 {
			t.Errorf("%d failed downloads in an hour, want one or two a minute", n)
		}
		if n := log.count("level=WARN"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, log.String())
		}
		if got := gauge(t, reg, "ucwarden_policy_snapshot_stale_seconds"); got < 3500 {
			t.Errorf("stale for %v s", got)
		}
		server.SetFault(rangertest.Policies, rangertest.Fault{Status: 503, Header: map[string]string{"Retry-After": "300"}})
		advance(2 * time.Minute)
		server.Requests()
		advance(10 * time.Minute)
		if n := len(server.Requests()); n > 3 {
			t.Errorf("%d downloads in ten minutes though asked to wait five", n)
		}
		server.SetFault(rangertest.Policies, rangertest.Fault{})
		server.SetPolicies(pols(5)...)
		advance(6 * time.Minute)
		if out.sizes() != "5" || r.Problem() != nil {
			t.Errorf("notified of %q, problem %v", out.sizes(), r.Problem())
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// A short poll interval is not replaced by a minute of backoff after a failure.
func TestRangerWatchBacksOffInProportion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := rangertest.New("uc")
		server.SetPolicies(pols(4)...)
		r := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: "https://ranger", HTTPTransport: memory{server}}, PollInterval: 2 * time.Second})
		mustLoad(t, r, 4)
		ctx, cancel := context.WithCancel(t.Context())
		var out notifications
		done := make(chan error, 1)
		go func() { done <- r.Watch(ctx, out.add) }()
		server.SetFault(rangertest.Policies, rangertest.Fault{Status: 503})
		advance(time.Hour)
		server.SetFault(rangertest.Policies, rangertest.Fault{})
		server.SetPolicies(pols(5)...)
		advance(8 * time.Second)
		if out.sizes() != "5" {
			t.Errorf("notified of %q", out.sizes())
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestRangerTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := roundTrip(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		start := time.Now()
		_, err := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: "https://ranger", HTTPTransport: hang, Timeout: 7 * time.Second}}).Load(t.Context())
		if policy.CodeOf(err) != policy.CodeUnavailable || time.Since(start) != 7*time.Second || !strings.Contains(err.Error(), "7s") {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Whatever the server does, what is in force is the newest good version, and only ever a good one.
func TestRangerSnapshotIsTheNewestGood(t *testing.T) {
	faults := []rangertest.Fault{
		{Status: 400}, {Status: 401}, {Status: 404}, {Status: 500}, {LoginPage: true}, {Redirect: "/login"}, {Empty: true}, {Truncate: true},
		{Drop: true}, {Body: "{}"}, {Body: `{"serviceName":"uc","policyVersion":999999,"policies":[]}`}, {Body: `{"serviceName":"uc"`},
		{Body: `{"serviceName":"uc","policyVersion":999999,"policyDeltas":[{"changeType":2,"policy":{"id":1}},{"changeType":2,"policy":{"id":1}}]}`},
	}
	parts := []rangertest.Part{rangertest.Policies, rangertest.Roles, rangertest.Users, rangertest.Tags}
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		cacheDir := ""
		if rapid.IntRange(0, 11).Draw(t, "cache") == 11 { // syncing to disk is what takes time here
			var err error
			if cacheDir, err = os.MkdirTemp(root, ""); err != nil {
				t.Fatal(err)
			}
		}
		server := rangertest.New("uc")
		options := source.RangerOptions{Options: rangeradmin.Options{URL: "https://ranger", HTTPTransport: memory{server}}, CacheDir: cacheDir}
		content := pols(6)
		latest := server.SetPolicies(content...)
		r := newRanger(t, options)
		force, version := canonical(content), latest // the model: what must be in force
		count := len(content)
		check := func(what string) {
			s, err := r.Load(context.Background())
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got := canonical(s.Policies); got != force || s.Version != version {
				t.Fatalf("%s: version %d\n%s\nwant version %d\n%s", what, s.Version, got, version, force)
			}
		}
		check("start")
		actions := map[string]func(*rapid.T){
			"new version": func(t *rapid.T) {
				content = content[:0:0]
				for id := int64(1); id <= 12; id++ {
					if rapid.IntRange(0, 3).Draw(t, "keep") > 0 {
						content = append(content, pol(id, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "table")))
					}
				}
				if rapid.IntRange(0, 4).Draw(t, "shrink") == 0 {
					content = content[:rapid.IntRange(0, len(content)).Draw(t, "to")]
				}
				latest = server.SetPolicies(content...)
				if n := len(content); n > 0 && 2*(count-n) <= count {
					force, version, count = canonical(content), latest, n
				}
				check("new version")
			},
			"nothing new": func(*rapid.T) { check("nothing new") },
			"fault": func(t *rapid.T) {
				part := rapid.SampledFrom(parts).Draw(t, "part")
				server.SetFault(part, rapid.SampledFrom(faults).Draw(t, "fault"))
				check("fault")
				server.SetFault(part, rangertest.Fault{})
			},
			"older": func(t *rapid.T) {
				server.Restore(rapid.Int64Range(1, latest).Draw(t, "version"))
				s, err := r.Load(context.Background())
				if err != nil || s.Version < version || s.Version == version && canonical(s.Policies) != force {
					t.Fatalf("an older version was taken: %v %v", s, err)
				}
				if n := len(s.Policies); s.Version > version { // one in between, that was never downloaded
					if n == 0 || 2*(count-n) > count {
						t.Fatalf("%d policies were taken after %d", n, count)
					}
					force, version, count = canonical(s.Policies), s.Version, n
				}
				server.Restore(latest)
			},
			"restart": func(t *rapid.T) {
				if cacheDir == "" {
					return
				}
				r = newRanger(t, options)
				part := rapid.SampledFrom(parts).Draw(t, "part")
				server.SetFault(part, rangertest.Fault{Drop: true})
				check("restart while down")
				server.SetFault(part, rangertest.Fault{})
			},
		}
		names := slices.Sorted(maps.Keys(actions))
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			actions[rapid.SampledFrom(names).Draw(t, "action")](t)
		}
	})
}

func canonical(list []ranger.Policy) string {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b ranger.Policy) int { return int(a.ID - b.ID) })
	b, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return string(b)
}
