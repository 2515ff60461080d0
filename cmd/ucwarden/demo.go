package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"ucwarden/apiserver/client"
	"ucwarden/apiserver/keys"
	"ucwarden/atomicfile"
	"ucwarden/config"
	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/connector/tasks"
	"ucwarden/endpoint"
	"ucwarden/ondemand"
	hubemulator "ucwarden/ondemand/eventhub/emulator"
	"ucwarden/policy"
)

func newDemoCommand(a *app) *cobra.Command {
	var exit bool
	var addr string
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Show the main job from end to end, without a workspace",
		GroupID: groupSetup,
		Long: `Start a Unity Catalog emulator with a sample metastore, and ucwarden with sample policies in front of it.
Show the plan, run a full sync, and what people see of a table that a row filter and a mask protect; sync a new table on demand over REST, and one by an event, update a pipeline, show that a second full sync changes nothing,
that a guard refuses to revoke too much, and what it takes to do it all the same; then keep serving until interrupted.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "ucwarden-demo-")
			if err != nil {
				return fmt.Errorf("make a folder for the demo: %w", err)
			}
			defer func() { _ = os.RemoveAll(dir) }() // a left-over folder in the system's place for them does no harm
			alone := *a                              // of the person's own configuration nothing is meant for the demo
			alone.configFile, alone.sets = "", nil
			alone.environ = []string{"UCWARDEN_DATABRICKS_TOKEN=" + demoToken, "NO_COLOR=" + a.getenv("NO_COLOR")}
			d := &demo{app: &alone, dir: dir, addr: addr}
			if err := d.run(cmd.Context(), exit); err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&exit, "exit", false, "exit when everything was shown, instead of serving on")
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:0", "host:port of the REST API; port 0 takes a free one")
	return cmd
}

const (
	demoHuman   = "admin@example.com"
	demoService = "7d2f4c1e-0b6a-4f43-9c58-3f1f5a6d7e80" // application id of the principal that ucwarden is in the demo
	demoToken   = "demo-workspace-token"
	demoAdmin   = "demo-admin-token"
	demoWait    = 60 * time.Second
	// demoWarehouse is the SQL warehouse that the emulator has, stopped.
	demoWarehouse = "5a1e000000000001"
)

// demo is one run of the demo.
type demo struct {
	*app
	dir  string
	addr string

	emulator  *emulator.Server
	hub       *hubemulator.Server
	workspace string // its URL
	daemon    *daemon
	api       *client.Client
	tokenFile string
	step      int

	refused string // digest of the plan that a guard refused
}

func (d *demo) title(format string, args ...any) {
	d.step++
	fmt.Fprintf(d.stdout, "\n%s\n\n", d.paint(fmt.Sprintf("%d. "+format, append([]any{d.step}, args...)...), text.Bold, text.FgCyan))
}

func (d *demo) run(ctx context.Context, exit bool) (err error) {
	started := time.Now()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	closeEmulator, err := d.startEmulator()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeEmulator()) }()
	closeHub, err := d.startHub()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeHub()) }()
	if err := d.startDaemon(ctx); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- d.daemon.run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	select {
	case <-d.daemon.begun:
	case err := <-ended:
		ended <- nil
		return err
	}
	for _, step := range []func(context.Context) error{d.showPlan, d.fullSync, d.whoSeesWhat, d.newTable, d.newEvent, d.pipelineUpdate, d.syncAgain, d.refusal, d.approval} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(d.stdout, "\nAll of it done in %s.\n", time.Since(started).Round(time.Millisecond))
	if exit {
		return nil
	}
	d.howToGoOn()
	<-ctx.Done()
	return nil
}

func (d *demo) startEmulator() (stop func() error, err error) {
	d.emulator, err = emulator.New(emulator.Options{
		Seed:   demoSeed(demoHuman, demoService),
		Tokens: map[string]string{demoToken: demoService, demoAdmin: demoHuman},
	})
	if err != nil {
		return nil, err
	}
	running, err := d.emulator.Start("127.0.0.1:0")
	if err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "%w", err)
	}
	d.workspace = running.URL
	d.title("A Unity Catalog emulator with a sample metastore serves on %s", d.workspace)
	fmt.Fprintf(d.stdout, "%d catalogs, %d schemas, %d tables and views; functions, volumes and models; grants that partly disagree with the policies.\n",
		demoSize.Catalogs, demoSize.Catalogs*demoSize.Schemas, demoSize.Catalogs*demoSize.Schemas*demoSize.Tables)
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		if err := running.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil // connections that nobody uses any more were cut off
	}, nil
}

// startDaemon makes what `ucwarden serve` runs, configured as an operator would.
func (d *demo) startDaemon(ctx context.Context) error {
	policies := filepath.Join(d.dir, "policies")
	if err := os.Mkdir(policies, 0o700); err != nil {
		return fmt.Errorf("make a folder for policies: %w", err)
	}
	if err := writeDemoPolicies(policies); err != nil {
		return err
	}
	made, err := keys.Generate(keys.GenerateOptions{Dir: d.dir, Instance: "demo"})
	if err != nil {
		return err
	}
	d.tokenFile = made.Token
	settings := map[string]string{
		"databricks.host": d.workspace, "policies.path": policies,
		"databricks.warehouse": demoWarehouse, "policies.deny_strategy": "withhold", "store.path": filepath.Join(d.dir, "data"), "sync.on_start": "false", "pipelines.poll_interval": "200ms",
		"ondemand.enabled": "true", "ondemand.eventhub.enabled": "true", "apiserver.enabled": "true", "apiserver.addr": d.addr, "apiserver.jwt.jwks": made.JWKS,
	}
	if d.logLevel == "" {
		settings["log.level"] = "warn"
	}
	d.environ = append(d.environ, "UCWARDEN_ONDEMAND_EVENTHUB_CONNECTION_STRING="+d.hub.ConnectionString()) // a secret: no flag
	var flags []config.Flag
	for key, value := range settings {
		flags = append(flags, config.Flag{Key: key, Value: value, Name: "demo"})
	}
	c, log, err := d.load(flags...)
	if err != nil {
		return err
	}
	if d.daemon, err = newDaemon(ctx, c, nil, log); err != nil {
		return err
	}
	d.api, err = (&clientFlags{server: "http://" + d.daemon.api.Addr().String(), tokenFile: made.Token}).client(d.app)
	return err
}

func (d *demo) showPlan(ctx context.Context) error {
	d.title("The plan: what a full sync would change (ucwarden plan)")
	result, err := d.daemon.syncer.Plan(ctx, connector.Request{})
	if err != nil {
		return err
	}
	if result.Plan.Empty() {
		return errors.New("the plan is empty, but the sample grants disagree with the policies")
	}
	return d.printPlan(d.stdout, result, result.Plan.Digest())
}

// post submits a task over REST and follows it to its end.
func (d *demo) post(ctx context.Context, task ondemand.Task, each func(ondemand.Transition)) (ondemand.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, demoWait)
	defer cancel()
	submitted, err := d.api.Submit(ctx, task)
	if err != nil {
		return task, err
	}
	ended, err := d.api.Follow(ctx, submitted.ID, each)
	if err != nil {
		return task, err
	}
	if ended.Status != ondemand.Success {
		return ended, fmt.Errorf("task %s ended %s: %s", ended.ID, ended.Status, ended.StatusMessage)
	}
	return ended, nil
}

func (d *demo) fullSync(ctx context.Context) error {
	d.title("The full sync, as a task posted over REST (ucwarden sync)")
	return d.postFullSync(ctx, ondemand.RequestInfo{})
}

// postFullSync posts a full sync, waits for its end and prints what it did.
func (d *demo) postFullSync(ctx context.Context, info ondemand.RequestInfo) error {
	task, err := d.post(ctx, ondemand.Task{Type: ondemand.FullSync, Source: "demo", RequestInfo: info}, func(ondemand.Transition) {})
	if err != nil {
		return err
	}
	shards, err := shardsOf(ctx, d.daemon.queue, task.ID)
	if err != nil {
		return err
	}
	return d.printSync(d.stdout, syncReport{Task: task, Shards: shards}, false)
}

// whoSeesWhat shows what three people read from one table, which its row filter and mask decide.
func (d *demo) whoSeesWhat(context.Context) error {
	const table = "sales.curated.employees"
	d.title("Who sees what of %s, by its row filter and mask", table)
	seen := make(map[string]string)
	for _, who := range []string{"alice@example.com", "bob@example.com", "carol@example.com"} {
		columns, rows, err := d.emulator.Rows(who, table)
		if err != nil {
			fmt.Fprintf(d.stdout, "%s: nothing; it is not granted\n", who)
			seen[who] = "nothing"
			continue
		}
		fmt.Fprintf(d.stdout, "%s:\n", who)
		w := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "  %s\n", strings.Join(columns, "\t"))
		for _, row := range rows {
			fmt.Fprintf(w, "  %s\n", strings.Join(shortened(row), "\t"))
			seen[who] += strings.Join(shortened(row), " ") + "\n"
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	alice, bob := seen["alice@example.com"], seen["bob@example.com"]
	if strings.Contains(alice+bob, "@") || strings.Count(alice, "\n") != 3 || strings.Count(bob, "\n") != 2 || seen["carol@example.com"] != "nothing" {
		return fmt.Errorf("that is not what the policies say of %s: %q", table, seen)
	}
	fmt.Fprintln(d.stdout, "\nPolicy 3 hashes the addresses for analysts, policy 4 shows Bob the rows of his region, and nobody else may read it.")
	return nil
}

// shortened returns values for people; those that are long, such as hashes, by their beginnings.
func shortened(row []*string) []string {
	texts := make([]string, len(row))
	for i, value := range row {
		switch {
		case value == nil:
			texts[i] = "NULL"
		case len(*value) > 24:
			texts[i] = (*value)[:20] + "..."
		default:
			texts[i] = *value
		}
	}
	return texts
}

func (d *demo) newTable(ctx context.Context) error {
	d.title("A table is created, and synced on demand (POST /api/v1/tasks)")
	const catalog, schema, table = "marketing", "curated", "customers_2026"
	if err := d.createTable(ctx, catalog, schema, table); err != nil {
		return err
	}
	name := strings.Join([]string{catalog, schema, table}, ".")
	fmt.Fprintf(d.stdout, "%s was created; nobody has been granted anything on it\n\n", name)
	start := time.Now()
	task, err := d.post(ctx, ondemand.Task{
		Type: ondemand.ResourceSync, AppType: "PS_CONNECTOR", AppSubType: "databricks_unity_catalog", Source: "demo",
		RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{
			{Type: "table", Values: map[string]string{"catalog": catalog, "schema": schema, "table": table}},
		}},
	}, func(t ondemand.Transition) { d.printTransition(d.stdout, t) })
	if err != nil {
		return err
	}
	if err := d.printResults(d.stdout, task); err != nil {
		return err
	}
	granted := slices.ContainsFunc(task.Resources, func(r ondemand.ResourceResult) bool { return len(r.Changes) > 0 })
	if !granted {
		return fmt.Errorf("nothing was granted on %s", name)
	}
	fmt.Fprintf(d.stdout, "\nFrom POST to SUCCESS: %s\n", time.Since(start).Round(time.Millisecond))
	return nil
}

// createTable makes a table in the workspace, as a job there would.
func (d *demo) createTable(ctx context.Context, catalog, schema, table string) error {
	body, err := json.Marshal(map[string]any{
		"catalog_name": catalog, "schema_name": schema, "name": table, "table_type": "MANAGED", "data_source_format": "DELTA",
		"columns": []map[string]any{{"name": "id", "type_name": "LONG", "type_text": "bigint", "type_json": `"long"`, "position": 0}},
	})
	if err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.workspace+"/api/2.1/unity-catalog/tables", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+demoAdmin)
	req.Header.Set("Content-Type", "application/json")
	client, err := endpoint.NewClient(endpoint.ClientOptions{URL: req.URL, Setting: "the emulator's address"})
	if err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("create table: %s %s: %w", resp.Status, answer, err)
	}
	return nil
}

func (d *demo) syncAgain(ctx context.Context) error {
	d.title("A second full sync finds everything in sync")
	d.emulator.ResetTrace()
	if _, err := d.post(ctx, ondemand.Task{Type: ondemand.FullSync, Source: "demo"}, func(ondemand.Transition) {}); err != nil {
		return err
	}
	if err := d.nothingChanged(); err != nil {
		return err
	}
	result, err := d.daemon.syncer.Plan(ctx, connector.Request{})
	if err != nil {
		return err
	}
	if !result.Plan.Empty() {
		return fmt.Errorf("%d changes are left after the sync", len(result.Plan.Changes))
	}
	fmt.Fprintf(d.stdout, "A new plan is empty: %s read, %s, all as the policies say.\n",
		count(result.Plan.Totals.Securables, "securable"), count(result.Plan.Totals.Grants, "grant"))
	return nil
}

// nothingChanged says what the workspace was asked since its trace was emptied; an error if a grant was changed.
func (d *demo) nothingChanged() error {
	counts := make(map[string]int)
	statements := 0
	for _, e := range d.emulator.Trace() {
		counts[e.Method]++
		if e.Method == http.MethodPost && strings.HasPrefix(e.Path, "/api/2.0/sql/statements") {
			statements++
		}
	}
	fmt.Fprintf(d.stdout, "The emulator's trace shows %d GET, %d PATCH and %d SQL statements.\n", counts[http.MethodGet], counts[http.MethodPatch], statements)
	if n := counts[http.MethodPatch] + statements; n > 0 {
		return fmt.Errorf("%d PATCH and statements were sent, want none", n)
	}
	return nil
}

// refusal switches a policy off. The daemon notices, and its guard refuses what would follow.
func (d *demo) refusal(ctx context.Context) error {
	d.title("A policy is switched off, and a guard refuses to revoke that much")
	const name = "name: engineers build raw and staging\n"
	file := filepath.Join(d.dir, "policies", "engineers.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read a policy: %w", err)
	}
	d.emulator.ResetTrace()
	edited := strings.Replace(string(data), name, name+"  isEnabled: false\n", 1)
	if err := atomicfile.Write(file, 0o600, []byte(edited)); err != nil {
		return fmt.Errorf("change a policy: %w", err)
	}
	fmt.Fprintf(d.stdout, "In engineers.yaml policy 10 gets the line \"isEnabled: false\", perhaps by mistake. The daemon notices by itself:\n\n")
	ctx, cancel := context.WithTimeout(ctx, demoWait)
	defer cancel()
	id, err := d.taskFrom(ctx, tasks.SourcePolicyChange)
	if err != nil {
		return err
	}
	task, err := d.api.Follow(ctx, id, func(ondemand.Transition) {})
	if err != nil {
		return err
	}
	fmt.Fprintf(d.stdout, "%s  %s\n\n", d.status(task.Status), strings.ReplaceAll(task.StatusMessage, ". ", ".\n        "))
	_, d.refused, _ = strings.Cut(task.StatusMessage, "--approve ")
	d.refused = strings.TrimRight(d.refused, "'")
	if task.Status != ondemand.Failed || d.refused == "" {
		return fmt.Errorf("task %s ended %s, and no guard refused it: %s", task.ID, task.Status, task.StatusMessage)
	}
	return d.nothingChanged()
}

// taskFrom waits for a task of a source, and returns its id.
func (d *demo) taskFrom(ctx context.Context, source string) (string, error) {
	for {
		page, err := d.daemon.queue.List(ctx, ondemand.Filter{Source: source, Limit: 1})
		if err != nil {
			return "", err
		}
		if len(page.Items) > 0 {
			return page.Items[0].ID, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("wait for a task of source %s: %w", source, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// approval has the plan that was refused carried out.
func (d *demo) approval(ctx context.Context) error {
	d.title("It was meant so: the same plan is approved by its digest (ucwarden sync --approve %s)", d.refused)
	return d.postFullSync(ctx, ondemand.RequestInfo{Approve: d.refused})
}

// howToGoOn prints what to try while the demo keeps serving.
func (d *demo) howToGoOn() {
	api := "http://" + d.daemon.api.Addr().String()
	d.title("Serving on; try it, and end it with Ctrl-C")
	fmt.Fprintf(d.stdout, `  TOKEN=$(cat %[1]s)

  # post a task, and wait for it
  curl -s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -H 'Prefer: wait=30' %[2]s/api/v1/tasks \
    -d '{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"schema","values":{"catalog":"sales","schema":"curated"}}]}}'

  # send it as an event
  ucwarden task publish --connection-string '%[5]s' task.json

  # list tasks; look at metrics
  curl -s -H "Authorization: Bearer $TOKEN" '%[2]s/api/v1/tasks?limit=5'
  curl -s %[2]s/metrics | grep ucwarden_

  # what the workspace was asked
  curl -s %[3]s/_emulator/stats

  # edit a policy, and see the daemon bring the workspace into sync
  $EDITOR %[4]s

  # the commands talk to the same daemon
  ucwarden task list --server %[2]s --token-file %[1]s
`, d.tokenFile, api, d.workspace, filepath.Join(d.dir, "policies", "stewards.yaml"), d.hub.ConnectionString())
}
