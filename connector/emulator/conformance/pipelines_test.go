package conformance_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/databricks/databricks-sdk-go/apierr"
	"github.com/databricks/databricks-sdk-go/service/pipelines"

	"ucwarden/connector/emulator"
)

// pipelines walks through pipelines and their updates.
func (k *walk) pipelines() {
	ctx := k.Context()
	service := pipelines.NewPipelines(k.client(workspaceAdmin))
	name := k.unique("walk")
	made, err := service.Create(ctx, pipelines.CreatePipeline{Name: name, Catalog: "main", Schema: "s", Configuration: map[string]string{"a": "1"}})
	k.step("Pipelines.Create", err)
	id := made.PipelineId
	k.step("Pipelines.Update", service.Update(ctx, pipelines.EditPipeline{PipelineId: id, Name: name, Catalog: "main", Schema: "t", Development: true}))
	got, err := service.Get(ctx, pipelines.GetPipelineRequest{PipelineId: id})
	k.step("Pipelines.Get", err)
	k.equals("the pipeline", []any{got.Name, got.Spec.Schema, got.Spec.Development, len(got.Spec.Configuration), got.State, got.RunAsUserName, got.RunAs.UserName},
		[]any{name, "t", true, 0, "IDLE", k.user(workspaceAdmin), k.user(workspaceAdmin)})
	all, err := service.ListPipelinesAll(ctx, pipelines.ListPipelinesRequest{Filter: "name LIKE '%" + name[2:] + "%'"})
	k.step("Pipelines.ListPipelines", err)
	k.equals("pipelines of that name", []any{len(all), all[0].PipelineId}, []any{1, id})
	request := pipelines.PipelinePermissionsRequest{PipelineId: id, AccessControlList: []pipelines.PipelineAccessControlRequest{{UserName: k.user(alice), PermissionLevel: pipelines.PipelinePermissionLevelCanRun}}}
	_, err = service.UpdatePermissions(ctx, request)
	k.step("Pipelines.UpdatePermissions", err)
	_, err = service.SetPermissions(ctx, request)
	k.step("Pipelines.SetPermissions", err)
	permissions, err := service.GetPermissions(ctx, pipelines.GetPipelinePermissionsRequest{PipelineId: id})
	k.step("Pipelines.GetPermissions", err)
	k.equals("alice may run it", slices.ContainsFunc(permissions.AccessControlList, func(a pipelines.PipelineAccessControlResponse) bool {
		return a.UserName == k.user(alice) && a.AllPermissions[0].PermissionLevel == pipelines.PipelinePermissionLevelCanRun
	}), true)
	levels, err := service.GetPermissionLevels(ctx, pipelines.GetPipelinePermissionLevelsRequest{PipelineId: id})
	k.step("Pipelines.GetPermissionLevels", err)
	k.equals("levels", len(levels.PermissionLevels), 4)
	if k.emulator != nil { // an update on another server costs money
		started, err := service.StartUpdate(ctx, pipelines.StartUpdate{PipelineId: id, FullRefresh: true})
		k.step("Pipelines.StartUpdate", err)
		update, err := service.GetUpdate(ctx, pipelines.GetUpdateRequest{PipelineId: id, UpdateId: started.UpdateId})
		k.step("Pipelines.GetUpdate", err)
		k.equals("the update", []any{update.Update.UpdateId, update.Update.FullRefresh, update.Update.Cause, update.Update.Mode, update.Update.Config.Schema},
			[]any{started.UpdateId, true, "API_CALL", "DEFAULT", "t"})
		updates, err := service.ListUpdates(ctx, pipelines.ListUpdatesRequest{PipelineId: id})
		k.step("Pipelines.ListUpdates", err)
		k.equals("the updates", []any{len(updates.Updates), updates.Updates[0].UpdateId}, []any{1, started.UpdateId})
		events, err := service.ListPipelineEventsAll(ctx, pipelines.ListPipelineEventsRequest{PipelineId: id})
		k.step("Pipelines.ListPipelineEvents", err)
		k.equals("the update of the events", events[0].Origin.UpdateId, started.UpdateId)
	}
	_, err = service.Stop(ctx, pipelines.StopRequest{PipelineId: id})
	k.step("Pipelines.Stop", err)
	k.step("Pipelines.Delete", service.Delete(ctx, pipelines.DeletePipelineRequest{PipelineId: id}))
}

const (
	slowPipeline = "11111111-2222-4333-8444-555555555555"
	scriptTimes  = `{state: INITIALIZING, for: 1m}, {state: RUNNING, for: 2m}`
)

// plant is a server with one pipeline that has a script, in a bubble of synctest.
type plant struct {
	*world
	service *pipelines.PipelinesAPI
}

// onPlant runs a test with a pipeline whose fields besides its name are those, in YAML's flow form.
func onPlant(t *testing.T, fields string, test func(plant), change ...func(*emulator.Options)) {
	t.Helper()
	seedText := strings.TrimSpace(seed) + "\npipelines: [{id: " + slowPipeline + ", name: nightly, " + fields + "}]\n"
	parsed, err := emulator.ParseSeed([]byte(seedText))
	if err != nil {
		t.Fatal(err)
	}
	if another() != nil {
		t.Skip("skipped: only the emulator has scripts for pipelines")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, append(change, func(o *emulator.Options) { o.Seed = parsed })...)
		test(plant{w, pipelines.NewPipelines(w.client(workspaceAdmin))})
	})
}

func (p plant) start() string {
	p.Helper()
	started, err := p.service.StartUpdate(p.Context(), pipelines.StartUpdate{PipelineId: slowPipeline})
	if err != nil {
		p.Fatal(err)
	}
	return started.UpdateId
}

func (p plant) stop() {
	p.Helper()
	if _, err := p.service.Stop(p.Context(), pipelines.StopRequest{PipelineId: slowPipeline}); err != nil {
		p.Fatal(err)
	}
}

// expect compares the states of the update and of its pipeline, each as two calls show it.
func (p plant) expect(update, state, ofPipeline string) {
	p.Helper()
	one, err := p.service.GetUpdate(p.Context(), pipelines.GetUpdateRequest{PipelineId: slowPipeline, UpdateId: update})
	if err != nil {
		p.Fatal(err)
	}
	whole, err := p.service.Get(p.Context(), pipelines.GetPipelineRequest{PipelineId: slowPipeline})
	if err != nil {
		p.Fatal(err)
	}
	i := slices.IndexFunc(whole.LatestUpdates, func(u pipelines.UpdateStateInfo) bool { return u.UpdateId == update })
	if i < 0 {
		p.Fatalf("update %s is not among the latest", update)
	}
	got := fmt.Sprint(one.Update.State, " ", whole.LatestUpdates[i].State, " ", whole.State)
	if want := state + " " + state + " " + ofPipeline; got != want {
		p.Errorf("the states are %q, want %q", got, want)
	}
}

// TestPipelineUpdate: an update goes through its script, refuses a second one meanwhile, and is over.
func TestPipelineUpdate(t *testing.T) {
	onPlant(t, "runs: [{steps: ["+scriptTimes+"]}]", func(p plant) {
		update := p.start()
		p.expect(update, "INITIALIZING", "STARTING")
		time.Sleep(61 * time.Second)
		p.expect(update, "RUNNING", "RUNNING")
		_, err := p.service.StartUpdate(p.Context(), pipelines.StartUpdate{PipelineId: slowPipeline})
		var api *apierr.APIError
		if !errors.As(err, &api) || api.StatusCode != http.StatusConflict {
			p.Errorf("a second update while one runs: %v, want a conflict", err)
		}
		time.Sleep(2 * time.Minute)
		p.expect(update, "COMPLETED", "IDLE")
		p.stop() // nothing
		p.expect(update, "COMPLETED", "IDLE")
		if next := p.start(); next == update {
			p.Error("two updates have one id")
		}
	})
}

// TestDefaultPipelineUpdate: without a script an update takes less than a second, a full refresh too.
func TestDefaultPipelineUpdate(t *testing.T) {
	onPlant(t, "spec: {catalog: main}", func(p plant) {
		update := p.start()
		p.expect(update, "QUEUED", "STARTING")
		time.Sleep(999 * time.Millisecond)
		p.expect(update, "COMPLETED", "IDLE")
		started, err := p.service.StartUpdate(p.Context(), pipelines.StartUpdate{PipelineId: slowPipeline, FullRefresh: true})
		if err != nil {
			p.Fatal(err)
		}
		time.Sleep(999 * time.Millisecond)
		p.expect(started.UpdateId, "COMPLETED", "IDLE")
	})
}

// TestStopOfPipeline: stopping takes its time, for ever where the script says so, and that of another update changes nothing.
func TestStopOfPipeline(t *testing.T) {
	onPlant(t, "runs: [{steps: ["+scriptTimes+"], stopping: 5m}, {steps: ["+scriptTimes+"], stopping: never}]", func(p plant) {
		update := p.start()
		time.Sleep(90 * time.Second)
		p.stop()
		p.expect(update, "STOPPING", "STOPPING")
		time.Sleep(4 * time.Minute)
		p.stop() // which does not begin anew
		time.Sleep(time.Minute)
		p.expect(update, "CANCELED", "IDLE")
		second := p.start()
		path := "/api/2.0/pipelines/" + slowPipeline + "/updates/"
		p.must(workspaceAdmin, "POST", path+update+"/stop", nil)
		p.expect(second, "INITIALIZING", "STARTING")
		p.must(workspaceAdmin, "POST", path+second+"/stop", nil)
		time.Sleep(1000 * time.Hour)
		p.expect(second, "STOPPING", "STOPPING")
	}, func(o *emulator.Options) { o.UpdateStop = true })
	onPlant(t, "runs: [{steps: ["+scriptTimes+"]}]", func(p plant) {
		update := p.start()
		status, answer, _ := p.send(workspaceAdmin, "POST", "/api/2.0/pipelines/"+slowPipeline+"/updates/"+update+"/stop", nil)
		if status != http.StatusNotFound || answer["error_code"] != "ENDPOINT_NOT_FOUND" {
			p.Errorf("stop of an update where that is not served: %d %v", status, answer)
		}
		p.expect(update, "INITIALIZING", "STARTING")
	})
}

// TestContinuousPipeline: an update of one runs until it is stopped.
func TestContinuousPipeline(t *testing.T) {
	onPlant(t, "spec: {continuous: true}, runs: [{steps: ["+scriptTimes+"]}]", func(p plant) {
		update := p.start()
		time.Sleep(1000 * time.Hour)
		p.expect(update, "RUNNING", "RUNNING")
		one, err := p.service.GetUpdate(p.Context(), pipelines.GetUpdateRequest{PipelineId: slowPipeline, UpdateId: update})
		if err != nil || one.Update.Mode != pipelines.UpdateModeContinuous {
			p.Errorf("mode %q, %v", one.Update.Mode, err)
		}
		p.stop()
		time.Sleep(time.Second)
		p.expect(update, "CANCELED", "IDLE")
	})
}

// TestUnknownPipelineState: a script has states that nobody knows, and answers without one.
func TestUnknownPipelineState(t *testing.T) {
	onPlant(t, "runs: [{steps: [{state: PONDERING, for: 1m}, {for: 1m}], end: never}]", func(p plant) {
		update := p.start()
		p.expect(update, "PONDERING", "DEPLOYING")
		time.Sleep(time.Hour)
		if _, answer, _ := p.send(workspaceAdmin, "GET", "/api/2.0/pipelines/"+slowPipeline+"/updates/"+update, nil); answer["update"].(map[string]any)["state"] != nil {
			p.Errorf("an answer without state is %v", answer)
		}
	})
}

// TestPipelineEvents: events of a failure come late, are filtered, ordered and paged, and the service may try again by itself.
func TestPipelineEvents(t *testing.T) {
	onPlant(t, "runs: [{steps: ["+scriptTimes+"], end: FAILED, errors: [no such table, no such column], events_late: 30s, retried: true}, {}]", func(p plant) {
		update := p.start()
		time.Sleep(3*time.Minute + time.Millisecond)
		errorsOf := func() []pipelines.PipelineEvent {
			list, err := p.service.ListPipelineEventsAll(p.Context(), pipelines.ListPipelineEventsRequest{PipelineId: slowPipeline,
				Filter: "level='ERROR' AND update_id = '" + update + "'", OrderBy: []string{"timestamp asc"}})
			if err != nil {
				p.Fatal(err)
			}
			return list
		}
		if list := errorsOf(); len(list) != 0 {
			p.Errorf("%d events of the failure before they are there", len(list))
		}
		whole, err := p.service.Get(p.Context(), pipelines.GetPipelineRequest{PipelineId: slowPipeline})
		if err != nil || len(whole.LatestUpdates) != 2 || whole.LatestUpdates[1].State != "FAILED" {
			p.Fatalf("the service has not tried again: %+v, %v", whole.LatestUpdates, err)
		}
		time.Sleep(time.Minute)
		var messages []string
		for _, e := range errorsOf() {
			messages = append(messages, e.Error.Exceptions[0].Message)
		}
		if want := []string{"no such table", "no such column", "no such table"}; !slices.Equal(messages, want) {
			p.Errorf("the errors are %q, want %q", messages, want)
		}

		all, err := p.service.ListPipelineEventsAll(p.Context(), pipelines.ListPipelineEventsRequest{PipelineId: slowPipeline})
		if err != nil {
			p.Fatal(err)
		}
		paged, err := p.service.ListPipelineEventsAll(p.Context(), pipelines.ListPipelineEventsRequest{PipelineId: slowPipeline, MaxResults: 2})
		if err != nil || len(paged) != len(all) || len(all) < 10 {
			p.Errorf("%d events in pages of two, %d in one: %v", len(paged), len(all), err)
		}
		for i := range all {
			if all[i].Id != paged[i].Id || i > 0 && all[i].Timestamp > all[i-1].Timestamp {
				p.Errorf("event %d is %s of %s, want %s, and the newest first", i, paged[i].Id, all[i].Timestamp, all[i].Id)
			}
		}
		after := "timestamp > '" + all[3].Timestamp + "' AND level in ('INFO', 'ERROR')"
		if some, err := p.service.ListPipelineEventsAll(p.Context(), pipelines.ListPipelineEventsRequest{PipelineId: slowPipeline, Filter: after}); err != nil || len(some) == 0 || len(some) > 3 {
			p.Errorf("%d events after the fourth: %v", len(some), err)
		}

		path := "/api/2.0/pipelines/" + slowPipeline + "/events?filter=level%3D%27INFO%27&max_results=1"
		_, answer, _ := p.send(workspaceAdmin, "GET", path, nil)
		if status, _, _ := p.send(workspaceAdmin, "GET", path+"&page_token="+answer["next_page_token"].(string), nil); status != http.StatusBadRequest {
			p.Errorf("a filter beside page_token is answered with %d", status)
		}
	})
}

// TestPipelineLists: filter, order, pages and limits of lists of pipelines and updates.
func TestPipelineLists(t *testing.T) {
	onPlant(t, "spec: {libraries: [{notebook: {path: /a}}]}", func(p plant) {
		for i := range 30 {
			if _, err := p.service.Create(p.Context(), pipelines.CreatePipeline{Name: fmt.Sprintf("p%02d", 29-i)}); err != nil {
				p.Fatal(err)
			}
		}
		names := func(request pipelines.ListPipelinesRequest) (list []string) {
			all, err := p.service.ListPipelinesAll(p.Context(), request)
			if err != nil {
				p.Fatal(err)
			}
			for _, status := range all {
				list = append(list, status.Name)
			}
			return list
		}
		all := names(pipelines.ListPipelinesRequest{OrderBy: []string{"name desc"}, MaxResults: 4})
		if len(all) != 31 || all[0] != "p29" || all[30] != "nightly" || !slices.IsSortedFunc(all, func(a, b string) int { return strings.Compare(b, a) }) {
			p.Errorf("by name downwards: %v", all)
		}
		if got := names(pipelines.ListPipelinesRequest{Filter: "notebook='/a'"}); !slices.Equal(got, []string{"nightly"}) {
			p.Errorf("with the notebook: %v", got)
		}
		if got := names(pipelines.ListPipelinesRequest{Filter: "name LIKE '%2_%'"}); len(got) != 10 {
			p.Errorf("of twenty: %v", got)
		}
		for _, query := range []string{"max_results=101", "filter=nonsense", "order_by=size", "page_token=x"} {
			if status, _, _ := p.send(workspaceAdmin, "GET", "/api/2.0/pipelines?"+query, nil); status != http.StatusBadRequest {
				p.Errorf("%s is answered with %d", query, status)
			}
		}

		var ids []string
		for range 4 {
			ids = append(ids, p.start())
			time.Sleep(time.Second)
		}
		first, err := p.service.ListUpdates(p.Context(), pipelines.ListUpdatesRequest{PipelineId: slowPipeline, MaxResults: 2, UntilUpdateId: ids[1]})
		if err != nil {
			p.Fatal(err)
		}
		rest, err := p.service.ListUpdates(p.Context(), pipelines.ListUpdatesRequest{PipelineId: slowPipeline, MaxResults: 2, UntilUpdateId: ids[1], PageToken: first.NextPageToken})
		if err != nil {
			p.Fatal(err)
		}
		var got []string
		for _, u := range append(first.Updates, rest.Updates...) {
			got = append(got, u.UpdateId)
		}
		if want := []string{ids[3], ids[2], ids[1]}; !slices.Equal(got, want) || rest.NextPageToken != "" {
			p.Errorf("updates down to the second: %v, want %v", got, want)
		}
	})
}

// TestPipelineRefusals: what is refused, how, and for whom.
func TestPipelineRefusals(t *testing.T) {
	const at = "/api/2.0/pipelines/" + slowPipeline
	const none = "99999999-2222-4333-8444-555555555555"
	onPlant(t, "permissions: {alice@example.com: CAN_RUN, bob@example.com: CAN_VIEW}", func(p plant) {
		update := p.start()
		time.Sleep(time.Second)
		for _, c := range []struct {
			who          role
			method, path string
			body         any
			status       int
		}{
			{bob, "GET", at, nil, 200},
			{bob, "GET", at + "/updates/" + update, nil, 200},
			{bob, "POST", at + "/updates", map[string]any{}, 403},
			{bob, "POST", at + "/stop", nil, 403},
			{alice, "DELETE", at, nil, 403},
			{alice, "PUT", at, map[string]any{"name": "x"}, 403},
			{alice, "GET", "/api/2.0/permissions/pipelines/" + slowPipeline, nil, 403},
			{accountAdmin, "GET", at, nil, 403},
			{alice, "POST", at + "/updates", map[string]any{"full_refresh": "yes"}, 400},
			{alice, "POST", at + "/updates", map[string]any{"full_refresh": true, "refresh_selection": []string{"t"}}, 400},
			{alice, "POST", at + "/updates", "[", 400},
			{workspaceAdmin, "GET", "/api/2.0/pipelines/nightly", nil, 400},
			{workspaceAdmin, "GET", "/api/2.0/pipelines/" + none, nil, 404},
			{workspaceAdmin, "GET", at + "/updates/1", nil, 400},
			{workspaceAdmin, "GET", at + "/updates/" + none, nil, 404},
			{workspaceAdmin, "GET", at + "/events?filter=level%3DINFO", nil, 400},
			{workspaceAdmin, "GET", at + "/events?order_by=level", nil, 400},
			{workspaceAdmin, "POST", "/api/2.0/pipelines", map[string]any{"name": "nightly"}, 409},
			{workspaceAdmin, "POST", "/api/2.0/pipelines", map[string]any{"name": "nightly", "allow_duplicate_names": true}, 200},
			{workspaceAdmin, "POST", "/api/2.0/pipelines", map[string]any{"name": " "}, 400},
			{workspaceAdmin, "POST", "/api/2.0/pipelines", map[string]any{"name": "x", "configuration": []int{1}}, 400},
			{workspaceAdmin, "PUT", at, map[string]any{"name": "nightly", "expected_last_modified": 1}, 409},
			{alice, "POST", at + "/updates", map[string]any{"full_refresh": false, "pipeline_id": slowPipeline, "other": 1}, 200},
		} {
			if status, _, raw := p.send(c.who, c.method, c.path, c.body); status != c.status {
				p.Errorf("%s: %s %s %v is answered with %d, want %d: %s", c.who, c.method, c.path, c.body, status, c.status, raw)
			}
		}
		if list, err := pipelines.NewPipelines(p.client(accountAdmin)).ListPipelinesAll(p.Context(), pipelines.ListPipelinesRequest{}); err != nil || len(list) != 0 {
			p.Errorf("who may get none sees %d pipelines, %v", len(list), err)
		}
		p.must(workspaceAdmin, "DELETE", at, nil)
		if status, answer, _ := p.send(workspaceAdmin, "GET", at+"/updates/"+update, nil); status != 404 || answer["error_code"] != "RESOURCE_DOES_NOT_EXIST" {
			p.Errorf("an update of a pipeline that was deleted: %d %v", status, answer)
		}
	})
}

// TestPipelineState: the state of a server holds its pipelines with their scripts.
func TestPipelineState(t *testing.T) {
	onPlant(t, "owner: bob@example.com, run_as: robot@example.com, spec: {catalog: main}, permissions: {users: CAN_VIEW}, runs: [{steps: [{state: RUNNING, for: 1h}]}]", func(p plant) {
		state := p.emulator.State()
		again, err := emulator.New(emulator.Options{Seed: state, Tokens: map[string]string{"t": ""}})
		if err != nil {
			p.Fatal(err)
		}
		if got, want := fmt.Sprintf("%+v", again.State().Pipelines), fmt.Sprintf("%+v", state.Pipelines); got != want || !strings.Contains(want, "robot@example.com") {
			p.Errorf("the pipelines of a server made of the state are\n%s, want\n%s", got, want)
		}
	})
}

// TestPipelineSeed: what is wrong in a seed is named with its place.
func TestPipelineSeed(t *testing.T) {
	for fields, want := range map[string]string{
		"id: nightly":                    "must be a UUID",
		"permissions: {users: CAN_WALK}": "permissions of users",
		"runs: [{}, {end: PERHAPS}]":     "runs[1].end",
		"runs: [{end: never}]":           "runs[0].end never needs steps",
		"runs: [{stopping: soon}]":       "runs[0].stopping 'soon'",
		"runs: [{steps: [{for: -1s}]}]":  "runs[0].steps[0].for '-1s'",
		"runs: [{errors: [x]}]":          "runs[0].errors",
		"spec: {continuous: 3}":          "continuous",
	} {
		parsed, err := emulator.ParseSeed([]byte("pipelines: [{name: nightly, " + fields + "}]"))
		if err == nil {
			_, err = emulator.New(emulator.Options{Seed: parsed, Tokens: map[string]string{"t": ""}})
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "nightly") {
			t.Errorf("%s: %v, want an error with %q and the pipeline", fields, err, want)
		}
	}
}
