package pipelines_test

import (
	"strings"
	"testing"
	"time"

	"ucwarden/connector/pipelines"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

func securables(t *testing.T, names ...string) []policy.Securable {
	t.Helper()
	var list []policy.Securable
	for _, name := range names {
		s, err := policy.ParseSecurable(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func TestRefreshAfter(t *testing.T) {
	jobs := pipelines.Jobs{Jobs: []pipelines.Job{
		{ExternalID: one, Name: "one", RefreshOn: []string{"table:a.s.t", "schema:b.s"}, Target: "schema:out.gold"},
		{ExternalID: two, Name: "two", RefreshOn: []string{"catalog:c"}},
	}}
	for name, tt := range map[string]struct {
		options pipelines.RefreshOptions
		change  pipelines.Change
		want    string // pipelines, and why
	}{
		"nothing":                       {},
		"a mapped table":                {change: pipelines.Change{Protected: securables(t, "table:a.s.t")}, want: "one row filters"},
		"another table":                 {change: pipelines.Change{Protected: securables(t, "table:a.s.u")}},
		"a table of a mapped schema":    {change: pipelines.Change{Protected: securables(t, "table:b.s.t", "table:c.s.t")}, want: "one row filters, two row filters"},
		"grants":                        {change: pipelines.Change{Granted: securables(t, "table:a.s.t")}},
		"grants, where they count":      {options: pipelines.RefreshOptions{Grants: true}, change: pipelines.Change{Granted: securables(t, "table:a.s.t")}, want: "one grants"},
		"grants on a catalog":           {options: pipelines.RefreshOptions{Grants: true}, change: pipelines.Change{Granted: securables(t, "catalog:b")}, want: "one grants"},
		"grants beside row filters":     {options: pipelines.RefreshOptions{Grants: true}, change: pipelines.Change{Granted: securables(t, "catalog:c"), Protected: securables(t, "table:c.s.t")}, want: "two row filters"},
		"after a crash":                 {change: pipelines.Change{Unknown: securables(t, "catalog:a")}, want: "one the process crashed"},
		"the target":                    {change: pipelines.Change{Protected: securables(t, "table:out.gold.x")}},
		"the target, where that counts": {options: pipelines.RefreshOptions{Targets: true}, change: pipelines.Change{Protected: securables(t, "table:out.gold.x")}, want: "one row filters"},
	} {
		o := tt.options
		o.Jobs, o.Window, o.Now = func() pipelines.Jobs { return jobs }, time.Minute, func() time.Time { return time.Date(2026, 3, 1, 10, 0, 20, 0, time.UTC) }
		got := pipelines.NewRefresher(o).After("sync", tt.change)
		var said []string
		for _, task := range got {
			causes, request := task.Causes(), task.Pipeline()
			if len(causes) != 1 || causes[0].Task != "sync" || len(causes[0].Securables) == 0 || request.FullRefresh || task.Type != ondemand.PipelineUpdate || !task.NotBefore.Equal(o.Now().Add(40*time.Second)) {
				t.Errorf("%s: %+v, causes %+v", name, task, causes)
			}
			said = append(said, map[string]string{one: "one ", two: "two "}[request.ID]+causes[0].Reason)
		}
		want := strings.Split(tt.want, ", ")
		if len(said) != len(want) && tt.want != "" || tt.want == "" && len(said) > 0 {
			t.Errorf("%s: %q, want %q", name, said, tt.want)
			continue
		}
		for i := range said {
			if !strings.HasPrefix(said[i], want[i]) {
				t.Errorf("%s: %q, want %q", name, said[i], want[i])
			}
		}
	}
}
