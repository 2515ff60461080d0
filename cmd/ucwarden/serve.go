package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/config"
	"ucwarden/connector/tasks"
	"ucwarden/ondemand"
	"ucwarden/ondemand/eventhub"
	"ucwarden/ondemand/queue"
	"ucwarden/policy"
)

func newServeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:        "serve",
		SuggestFor: []string{"start", "daemon"},
		Short:      "Run the daemon: scheduled full syncs, and tasks from the REST API and an event hub",
		GroupID:    groupSync,
		Long: `Run the daemon until it is interrupted. It follows the policies, brings the workspace into sync by scheduled
full syncs, at once when the policies change, and, with apiserver.enabled and ondemand.enabled, by tasks posted to its
REST API; with ondemand.eventhub.enabled and ondemand.enabled also by the events of an Azure event hub. Tasks survive a crash and go on at the next start.`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, log, err := a.load()
			if err != nil {
				return err
			}
			warnWithoutEffect(c, log)
			warnOfFiles(c, log)
			if err := c.CheckServe(); err != nil {
				return err
			}
			hangups, stop := takeHangups()
			defer stop()
			d, err := newDaemon(cmd.Context(), c, a.stdout, log)
			if err != nil {
				return err
			}
			d.hangups = hangups
			return d.run(cmd.Context())
		},
	}
}

// daemon is everything that serve runs. This is the composition root: here, and in compose.go, the packages meet.
type daemon struct {
	*pipeline
	*startup
	registry  *prometheus.Registry
	scheduler *queue.Scheduler
	api       *apiserver.Server  // nil when no API is served
	events    *eventhub.Consumer // nil when no events are read

	hangups  <-chan os.Signal // nil: nobody asks for a reload
	changed  chan string      // why a full sync is due: the policies or the principals that they name changed
	notified digestKept       // of the policies that were last loaded
}

func newDaemon(ctx context.Context, c *config.Config, stdout io.Writer, log *slog.Logger) (_ *daemon, err error) {
	d := &daemon{startup: newStartup(), registry: prometheus.NewRegistry(), changed: make(chan string, 1)}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ucwarden_build_info", Help: "1, with the version of the program and of Go.", ConstLabels: prometheus.Labels{"version": buildVersion(), "goversion": runtime.Version()},
	})
	build.Set(1)
	d.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if d.pipeline, err = newPipeline(c, pipelineOptions{stdout: stdout, log: log, registerer: d.registry}); err != nil {
		return nil, err
	}
	d.daemon = true
	if c.Policies.RefreshOnDemand {
		d.refresh = d.refreshPolicies
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	d.scheduler, err = queue.NewScheduler(d.queue, queue.ScheduleOptions{
		Interval: c.Sync.Interval, Jitter: c.Sync.Jitter, OnStart: c.Sync.OnStart || d.emptied, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if c.ReadsEvents() {
		if d.events, err = d.newEvents(); err != nil {
			return nil, err
		}
	}
	switch {
	case c.ServesAPI():
		d.api, err = d.newAPI(ctx)
	case c.APIServer.AdminAddr != "":
		d.api, err = apiserver.New(apiserver.Options{
			OpenOnly: true, AdminAddr: c.APIServer.AdminAddr, Reload: d.reloadPolicies, Checks: d.checks(), Logger: log, Registerer: d.registry, Gatherer: d.registry,
		})
	}
	if err == nil && d.api != nil {
		err = d.api.Listen()
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *daemon) newAPI(ctx context.Context) (*apiserver.Server, error) {
	c := d.config.APIServer
	verifier, err := keys.NewVerifier(ctx, keys.VerifierOptions{
		Issuer: c.JWT.Issuer, Audience: c.JWT.Audience, JWKS: c.JWT.JWKS, PEMFiles: c.JWT.PEMKeys,
		AllowHTTP: c.JWT.AllowHTTP, KeepUnread: c.JWT.KeepUnread, HS256Secret: []byte(c.JWT.HS256Secret.Reveal()), Logger: d.log,
	})
	if err != nil {
		return nil, err
	}
	rate := c.RateLimit
	if rate == 0 {
		rate = -1 // no limit
	}
	return apiserver.New(apiserver.Options{
		Addr: c.Addr, AdminAddr: c.AdminAddr, TLSCert: c.TLS.Cert, TLSKey: c.TLS.Key, ClientCA: c.TLS.ClientCA,
		Tasks: d.queue, Store: d.store, Verifier: verifier, Reload: d.reloadPolicies, PipelineName: d.pipelineName, Audit: d.auditPage, Plan: d.plan,
		Checks: d.checks(),
		Logger: d.log, Registerer: d.registry, Gatherer: d.registry, Tracer: d.traces.Tracer(),
		BodyLimit: c.BodyLimit, MaxResources: c.MaxResources, Rate: rate, Burst: c.RateBurst,
	})
}

// checks are the checks of readiness.
func (d *daemon) checks() []apiserver.Check {
	checks := []apiserver.Check{
		{Name: "store", Run: func(context.Context) error { return d.store.Health() }},
		{Name: "tasks", Run: d.tasksPaused, Degrades: true},
		{Name: "policies", Run: d.policiesMissing}, {Name: "policies", Run: d.policiesProblem, Degrades: true},
		{Name: "workspace", Run: d.workspaceMissing}, {Name: "workspace", Run: d.workspaceProblem, Degrades: true},
		{Name: "syncs", Run: d.fullSyncs.problem, Degrades: true},
	}
	if d.events != nil {
		checks = append(checks, apiserver.Check{Name: "eventhub", Run: d.eventsProblem, Degrades: true})
	}
	return checks
}

// pipelineName returns the name of a pipeline, for tokens that name pipelines so.
func (d *daemon) pipelineName(ctx context.Context, id string) (string, error) {
	if err := d.workspaceMissing(ctx); err != nil {
		return "", err
	}
	p, err := d.pipelines.Pipeline(ctx, id)
	return p.Name, err
}

// run works until ctx ends, then lets what runs come to a good end. Tasks are taken at once; they are carried out once
// policies and workspace are there.
func (d *daemon) run(ctx context.Context) error {
	stopping := context.AfterFunc(ctx, func() { d.log.Info("stopping: what runs may finish, what waits goes on at the next start") })
	defer stopping()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.reloadOn(ctx, d.hangups) })
	if d.api != nil {
		if addr := d.api.Addr(); addr != nil {
			d.log.Info("serving tasks", "addr", addr.String())
		}
		g.Go(func() error { return d.api.Run(ctx) })
	}
	if d.events != nil {
		g.Go(func() error { return d.events.Run(ctx) })
	}
	if d.told != nil {
		g.Go(func() error { return d.told.sender.Run(ctx) })
		g.Go(func() error {
			d.told.watchHealth(ctx, d.store, d.checks(), func(err error) {
				d.log.Error("the receiver of the webhook is not told of the state of the service", "error", err)
			})
			return nil
		})
	}
	g.Go(func() error {
		d.countHeldUp(ctx, d.source.Problem, d.syncDue, d.syncs.NotBegun)
		return nil
	})
	g.Go(func() error {
		if err := d.start(ctx, g); err != nil || ctx.Err() != nil {
			return err
		}
		d.work(ctx, g)
		return nil
	})
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil // asked to stop
	}
	if closeErr := d.close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("close the daemon's files: %w", closeErr))
	}
	return err
}

// work carries out tasks, and submits those that are due by themselves.
func (d *daemon) work(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error { return d.syncOnChange(ctx, d.changed) })
	g.Go(func() error {
		d.syncer.Settle(ctx) // what fails now is tried again by the next sync
		return nil
	})
	g.Go(func() error {
		d.syncer.WatchValidity(ctx, d.syncNow)
		return nil
	})
	g.Go(func() error {
		d.syncer.WatchPrincipals(ctx, d.principalsChanged, func(roots []policy.Securable) { d.tryAgain(ctx, tasks.SourceRetry, roots) })
		return nil
	})
	g.Go(func() error {
		d.syncer.WatchProtection(ctx, func(roots []policy.Securable) { d.tryAgain(ctx, tasks.SourceProtection, roots) })
		return nil
	})
	g.Go(func() error { return d.runTasks(ctx) })
	g.Go(func() error { return d.scheduler.Run(ctx) })
}

// syncNow submits, before all other work, a sync of what validity schedules opened or closed.
func (d *daemon) syncNow(ctx context.Context) error {
	_, _, err := d.queue.Submit(ctx, ondemand.Task{Type: ondemand.ValiditySync, Source: tasks.SourceValidity, Priority: ondemand.Urgent})
	return err
}

// changeRetry is how often a full sync for changed policies is tried again while another one has not ended: that one
// may have compiled the old policies already.
const changeRetry = 2 * time.Second

// principalsChanged has a full sync submitted, since the directory of the workspace says something else of those whom policies
// name.
func (d *daemon) principalsChanged() {
	d.log.Info("principals that policies name changed in the workspace")
	select {
	case d.changed <- tasks.SourcePrincipals:
	default:
	}
}

// tryAgain submits a sync of the catalogs and other roots where somebody was to be granted something whom the workspace did not
// know, or where a table could not be protected.
func (d *daemon) tryAgain(ctx context.Context, source string, roots []policy.Securable) {
	t := ondemand.Task{Type: ondemand.ResourceSync, Source: source}
	for _, root := range roots {
		t.RequestInfo.Resources = append(t.RequestInfo.Resources, ondemand.ResourceOf(root))
	}
	if _, _, err := d.queue.Submit(ctx, t); err != nil && ctx.Err() == nil {
		d.log.Error("cannot submit a sync that tries again; the next full sync does", "because of", source, "error", err)
	}
}

// syncOnChange submits a full sync after the policies, or the principals that they name, changed.
func (d *daemon) syncOnChange(ctx context.Context, changed <-chan string) error {
	for {
		var source string
		select {
		case <-ctx.Done():
			return nil
		case source = <-changed:
		}
		for d.queue.HasActive(ondemand.FullSync) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(changeRetry):
			}
		}
		if _, _, err := d.queue.Submit(ctx, ondemand.Task{Type: ondemand.FullSync, Source: source}); err != nil && ctx.Err() == nil {
			d.log.Error("cannot submit a full sync; the next scheduled one will do", "because of", source, "error", err)
		}
	}
}
