package main

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"ucwarden/config"
	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/audit"
	"ucwarden/connector/call"
	"ucwarden/connector/memory"
	"ucwarden/connector/pipelines"
	"ucwarden/connector/success"
	"ucwarden/connector/tasks"
	"ucwarden/connector/unitycatalog"
	"ucwarden/connector/unitycatalog/pipelineapi"
	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/guard"
	"ucwarden/policy/protect"
	"ucwarden/policy/rules"
	"ucwarden/tracing"
)

// openWorkspace connects to the workspace.
func openWorkspace(ctx context.Context, c *config.Config, log *slog.Logger, reg prometheus.Registerer) (*unitycatalog.Client, error) {
	if c.Databricks.Host == "" {
		return nil, withHint(&unsetError{"no workspace is configured"},
			"set databricks.host and a way to authenticate, or try it without a workspace: ucwarden demo")
	}
	var roots *x509.CertPool
	if file := c.Databricks.CAFile; file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInvalid, "read databricks.ca_file: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(pem) {
			return nil, policy.Errorf(policy.CodeInvalid, "databricks.ca_file %s holds no PEM certificate", file)
		}
	}
	return unitycatalog.New(ctx, unitycatalog.Options{
		Host: c.Databricks.Host, Token: c.Databricks.Token.Reveal(), ClientID: c.Databricks.ClientID,
		ClientSecret: c.Databricks.ClientSecret.Reveal(), AzureTenantID: c.Databricks.AzureTenantID,
		AllowHTTP: c.Databricks.AllowHTTP, UserAgent: "ucwarden/" + buildVersion(), RequestTimeout: c.Databricks.RequestTimeout, RootCAs: roots,
		Pacing: unitycatalog.Pacing{
			MaxConcurrency: c.Databricks.MaxConcurrency, MaxRate: c.Databricks.MaxRate, MaxAttempts: c.Databricks.MaxAttempts,
		},
		Logger: log, Registerer: reg,
	})
}

// scopeOptions copies the configured scope.
func scopeOptions(c *config.Config) policy.ScopeOptions {
	filter := func(f config.Filter) policy.Filter { return policy.Filter{Include: f.Include, Exclude: f.Exclude} }
	s := c.Scope
	o := policy.ScopeOptions{
		Objects: make(map[policy.SecurableType]policy.Filter), Privileges: make(map[policy.SecurableType]policy.PrivilegeFilter),
		Users: filter(s.Users.Filter), Groups: filter(s.Groups.Filter), Roles: filter(s.Roles.Filter),
		RolePrefix: c.Principals.RolePrefix,
	}
	for t, f := range map[policy.SecurableType]config.Filter{
		policy.Catalog: s.Catalogs, policy.Schema: s.Schemas, policy.Table: s.Tables, policy.Function: s.Functions,
		policy.Volume: s.Volumes, policy.ExternalLocation: s.ExternalLocations, policy.StorageCredential: s.StorageCredentials,
		policy.Credential: s.Credentials, policy.Connection: s.Connections, policy.Share: s.Shares,
	} {
		if len(f.Include)+len(f.Exclude) > 0 {
			o.Objects[t] = filter(f)
		}
	}
	switch s.Metastore {
	case "true":
		o.Objects[policy.Metastore] = policy.Filter{Include: []string{"*"}}
	case "false":
		o.Objects[policy.Metastore] = policy.Filter{Exclude: []string{"*"}}
	}
	for name, f := range s.Privileges {
		t, err := policy.ParseSecurableType(name)
		if err != nil {
			panic("no securable type: " + name) // the keys name types only
		}
		o.Privileges[t] = policy.PrivilegeFilter{Include: f.Include, Add: f.Add, Exclude: f.Exclude}
	}
	o.Protected = slices.Clone(s.Protected)
	return o
}

// compileOptions copies how policies become grants. A scope that is wrong is reported by who makes it.
func compileOptions(c *config.Config) compile.Options {
	o := compile.Options{ExpandLimit: c.Policies.ExpandLimit, SkipUse: !c.Policies.AddUse}
	for _, s := range c.Policies.DenyStrategy {
		o.Deny = append(o.Deny, compile.DenyStrategy(s))
	}
	if scope, err := policy.NewScope(scopeOptions(c)); err == nil {
		o.More, o.Excluded = scope.MorePrivileges, scope.ExcludedPrivileges
		if scope.FiltersObjects() {
			o.NotOurs = scope.NotOurs
		}
	}
	return o
}

// nameMapping copies how names in policies become principals.
func nameMapping(c *config.Config) rules.NameMapping {
	return rules.NameMapping{
		UserCase: rules.CaseConversion(c.Principals.UserCase), GroupPrefix: c.Principals.GroupPrefix, RolePrefix: c.Principals.RolePrefix,
	}
}

// guards makes the guards that stand before every plan that is applied.
func guards(c *config.Config) []guard.Guard {
	list := []guard.Guard{
		guard.StalePolicies{MaxAge: c.Guard.MaxPolicyAge},
		guard.ShrunkenListing{MaxLoss: c.Guard.MaxShrinkRatio, MinLast: 10},
		guard.Revokes{Max: c.Guard.MaxRevokes, MaxRatio: c.Guard.MaxRevokeRatio},
	}
	if c.Guard.ConfirmUpgrade {
		list = append(list, guard.Upgrade{})
	}
	return list
}

// newSyncer joins policies and workspace; it asks the workspace who we are. state keeps what guards compare with, and
// journal what is changed, and successes when all of it was right; nil keeps nothing.
func newSyncer(ctx context.Context, c *config.Config, client *unitycatalog.Client, src policySource, state memory.Store, journal apply.Journal, successes *success.Log, metrics *connector.Metrics, log *slog.Logger) (*connector.Syncer, error) {
	o := scopeOptions(c)
	me, err := client.Whoami(ctx)
	unknown := policy.CodeOf(err) == policy.CodeForbidden || policy.CodeOf(err) == policy.CodeNotFound
	switch {
	case unknown:
		log.Warn("the workspace does not say who we are; while its principals cannot be read, MANAGE and USE_* are revoked from nobody, since that may be us", "error", err)
	case err != nil:
		return nil, err
	default:
		o.Protected = append(o.Protected, me.Principal.Name) // never our own access
	}
	scope, err := policy.NewScope(o)
	if err != nil {
		return nil, err
	}
	log.Info("connected to the workspace", "host", client.Host(), "as", me.Principal.Name, "mode", c.Sync.Mode)
	return connector.New(connector.Options{
		KeptOut: func() error { return keptOut(src) }, Workspace: client, Directory: client, UnknownSelf: unknown, DirectoryInterval: min(c.Sync.Interval, 10*time.Minute), Policies: src, Scope: scope,
		Read: rules.Options{Names: nameMapping(c)}, Compile: compileOptions(c), Mode: policy.Mode(c.Sync.Mode), Settings: planSettings(c, me.Principal.Name),
		Protection: protectionOptions(c, client, me.Principal.Name, log), Guards: guards(c), State: state, Journal: journal, Successes: successes, UnknownState: memory.Folder(c.Store.Path), Parallel: c.Databricks.MaxConcurrency,
		Logger: log, Metrics: metrics,
	})
}

// protectionOptions copies how row filters and masks are enforced; nil where no warehouse is configured. self is our name in
// the workspace, which tells what we made from what others did.
func protectionOptions(c *config.Config, client *unitycatalog.Client, self string, log *slog.Logger) *connector.Protection {
	if c.Databricks.Warehouse == "" {
		return nil
	}
	if self == "" {
		log.Warn("databricks.warehouse is without effect: the workspace does not say who we are, so what we made cannot be told from what others did; tables that row filters and masks are about stay closed for whom they bind")
		return nil
	}
	return &connector.Protection{Warehouse: client.Warehouse(c.Databricks.Warehouse), Reader: client, Shares: client, Self: self, Policies: protectOptions(c)}
}

// protectOptions copies how row filters and masks are compiled.
func protectOptions(c *config.Config) protect.Options {
	o := protect.Options{Schema: c.Protection.Schema, MaskOther: c.Protection.MaskOther, ElseClosed: c.Protection.Else == "closed", NameMembers: c.Protection.NameMembers, Columns: c.Policies.ColumnStrategy == "mask-null"}
	for _, name := range c.Protection.Exempt {
		o.Exempt = append(o.Exempt, policy.PrincipalByShape(name))
	}
	return o
}

// pipeline is everything that changes a workspace: the store, the queue in front of the syncer, and the policies.
type pipeline struct {
	config     *config.Config
	log        *slog.Logger
	registerer prometheus.Registerer
	progress   func(task string, at connector.Progress) // see tasks.Options; may be nil
	refresh    func(ctx context.Context) error          // see tasks.Options; may be nil
	daemon     bool                                     // goes on once a task has ended

	source policySource
	store  *store.Store
	// emptied says that there was another store, which was damaged or is gone, and is an empty one now.
	emptied   bool
	census    *records.Census // of the store, until the queue has it
	audit     *audit.Log
	told      *events           // nil: nobody is told
	traces    *tracing.Provider // nil: none are recorded
	drift     *driftMetrics
	syncs     *connector.Metrics
	successes *success.Log
	fullSyncs fullSyncs
	queue     *queue.Queue
	workspace *unitycatalog.Client // nil until it answered once
	contact   contact              // with the workspace

	// Set by connect, before the queue runs:
	syncer    *connector.Syncer
	handlers  map[ondemand.Type]ondemand.Handler
	pipelines *pipelineapi.Client
	follower  *pipelines.Follower // of the updates of pipelines
}

// close closes what openPipeline opened.
func (p *pipeline) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), tracesGrace)
	defer cancel()
	if err := p.traces.Shutdown(ctx); err != nil {
		p.log.Warn("the last traces were not sent", "error", err)
	}
	var err error
	if p.audit != nil {
		err = p.audit.Close()
	}
	return errors.Join(err, p.store.Close())
}

// tracesGrace is how long the end of a process waits for the receiver of traces.
const tracesGrace = 3 * time.Second

// openTraces returns nil where no receiver of traces is configured.
func openTraces(c *config.Config, log *slog.Logger, reg prometheus.Registerer) (*tracing.Provider, error) {
	if c.Tracing.URL == "" {
		return nil, nil
	}
	host, _ := os.Hostname() // "" is not sent
	return tracing.New(context.Background(), tracing.Options{
		URL: c.Tracing.URL, AllowHTTP: c.Tracing.AllowHTTP, Headers: c.Tracing.HeaderMap(), Ratio: c.Tracing.Ratio,
		Version: buildVersion(), Instance: host, Logger: log, Registerer: reg,
	})
}

// openAudit opens the trail of changes. stdout receives a copy where the configuration asks for one; nil receives none.
func openAudit(c config.Audit, stdout io.Writer, log *slog.Logger, reg prometheus.Registerer) (*audit.Log, error) {
	if !c.Stdout {
		stdout = nil
	}
	l, err := audit.Open(audit.Options{Path: c.Path, MaxSize: c.MaxSize, Keep: c.Keep, Copy: stdout, Logger: log, Registerer: reg})
	return l, withHint(err, "audit.path names the file; it must be writable, and no other daemon's")
}

// openPipeline opens a pipeline, loads the policies and connects to the workspace, for a command that works once.
// progress is told how far tasks are.
func openPipeline(ctx context.Context, c *config.Config, progress func(string, connector.Progress), log *slog.Logger) (*pipeline, error) {
	p, err := newPipeline(c, pipelineOptions{grace: time.Nanosecond, log: log}) // a person who interrupts it waits
	if err != nil {
		return nil, err
	}
	p.progress = progress
	if _, err = p.source.Load(ctx); err == nil {
		err = p.connect(ctx)
	}
	if err != nil {
		_ = p.close() // the first error says it
		return nil, err
	}
	return p, nil
}

// pipelineOptions say how a pipeline works that is not in the configuration.
type pipelineOptions struct {
	grace      time.Duration // how long what runs may go on after an interrupt; 0 means as long as the queue lets it
	stdout     io.Writer     // for the copy of the audit trail; nil for none
	log        *slog.Logger
	registerer prometheus.Registerer // may be nil
}

// attemptsOnce bounds the runs of a task for a command that works once: somebody waits for it, and what goes wrong in the
// same way each time is said after seconds. Single requests are tried again as often as ever.
const attemptsOnce = 2

// newPipeline opens the store first, so that a second process stops before it does anything else. Policies are to be
// loaded, and the workspace is to be connected to, before the queue runs.
func newPipeline(c *config.Config, o pipelineOptions) (_ *pipeline, err error) {
	log, reg := o.log, o.registerer
	p := &pipeline{config: c, log: log, registerer: reg}
	if err := p.openStore(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = p.close() // the first error says it
		}
	}()
	if p.audit, err = openAudit(c.Audit, o.stdout, log, reg); err != nil {
		return nil, err
	}
	if p.source, err = newSource(c, cacheOf(c, false), log, reg); err != nil {
		return nil, err
	}
	handlers := make(map[ondemand.Type]ondemand.Handler)
	for _, t := range append(slices.Clone(tasks.Types), ondemand.PipelineUpdate) {
		handlers[t] = connectedHandler{p, t}
	}
	attempts := c.OnDemand.MaxAttempts
	if o.grace != 0 {
		attempts = min(attempts, attemptsOnce)
	}
	if p.traces, err = openTraces(c, log, reg); err != nil {
		return nil, err
	}
	if p.told, err = p.openEvents(c.Webhook, reg); err != nil {
		return nil, err
	}
	if p.drift, err = newDriftMetrics(reg); err != nil {
		return nil, err
	}
	if p.syncs, err = connector.NewMetrics(reg); err != nil {
		return nil, err
	}
	if p.successes, err = success.New(p.store, reg); err != nil {
		return nil, err
	}
	p.queue, err = queue.New(p.store, queue.Options{
		Handlers: handlers,
		Workers:  c.OnDemand.Workers, MaxAttempts: attempts, MaxCrashes: c.OnDemand.MaxCrashes, MaxQueued: c.OnDemand.MaxQueued,
		Retention: c.OnDemand.Retention, AdmitWindow: c.OnDemand.AdmitWindow, AdmitSize: c.OnDemand.AdmitSize,
		Narrow: tasks.IsNarrow, Grace: o.grace, Census: p.census, Logger: log, Registerer: reg,
		Ended: p.taskEnded, Drift: p.driftFound, AfterEnd: p.wakeEvents, Tracer: p.traces.Tracer(),
	})
	p.census = nil
	if err != nil {
		return nil, err
	}
	if err := p.fullSyncs.recall(p.queue.List); err != nil {
		log.Warn("cannot read how the last full syncs ended; readiness says nothing of them until the next", "error", err)
	}
	return p, nil
}

// storeFile returns the path of the task store.
func storeFile(c *config.Config) string { return filepath.Join(c.Store.Path, "ucwarden.db") }

// openStore opens the task store. A damaged one is moved aside where the configuration says so.
func (p *pipeline) openStore() error {
	path, o := storeFile(p.config), store.Options{Logger: p.log, Registerer: p.registerer}
	p.census = new(records.Census)
	o.Visit = p.census.Visit
	_, missing := os.Stat(path)
	var err error
	p.store, err = store.Open(path, o)
	if err == nil && errors.Is(missing, os.ErrNotExist) && isUsed(p.config.Audit.Path) {
		p.log.Warn("there is no task store, although the audit trail shows that ucwarden has worked here: an empty one takes its place. Was it removed, "+
			"or is its folder not kept over restarts, then "+maybeLost, "store", path, "audit trail", p.config.Audit.Path)
		p.emptied = true
	}
	if errors.Is(err, store.ErrDamaged) && p.config.Store.OnDamage == "quarantine" {
		aside, moveErr := store.Quarantine(path)
		if moveErr != nil {
			return errors.Join(err, moveErr)
		}
		p.log.Error("the task store was damaged: it is moved aside, and an empty one takes its place; "+maybeLost+
			"; ucwarden store export shows what can still be read", "moved to", aside, "error", err)
		p.emptied = true
		p.census = new(records.Census)
		o.Visit = p.census.Visit
		p.store, err = store.Open(path, o)
	}
	if policy.CodeOf(err) == policy.CodeUnavailable {
		err = withHint(err, "a daemon that runs there takes the work over REST: ucwarden sync --server URL")
	}
	return err
}

// maybeLost says what is not there any more where a store is.
const maybeLost = "lost may be: tasks that were accepted and had not ended, how tasks ended, approvals, and what guards compare a listing with. " +
	"A full sync makes good what tasks were to do"

// isUsed reports whether there is something in a file.
func isUsed(path string) bool {
	info, err := os.Stat(path)
	return path != "" && err == nil && info.Size() > 0
}

// connect connects to the workspace. After an error it may be called again.
func (p *pipeline) connect(ctx context.Context) (err error) {
	if p.workspace == nil {
		if p.workspace, err = openWorkspace(ctx, p.config, p.log, p.registerer); err != nil {
			return err
		}
	}
	if p.syncer, err = newSyncer(ctx, p.config, p.workspace, p.source, p.store, p.audit, p.successes, p.syncs, p.log); err != nil {
		return err
	}
	after, err := refreshAfter(p.config, p.log)
	if err != nil {
		return err
	}
	p.handlers, err = tasks.New(tasks.Options{Syncer: p.syncer, Store: p.store, Progress: p.progress, Refresh: p.refresh, After: after, Bounded: p.daemon})
	if err != nil {
		return err
	}
	p.handlers[ondemand.PipelineUpdate] = pipelines.Handler{Host: p.workspace.Host()}
	if p.follower == nil {
		p.pipelines = pipelineapi.New(p.workspace)
		p.follower, err = p.newFollower()
	}
	return err
}

// newFollower makes what starts and follows updates of pipelines.
func (p *pipeline) newFollower() (*pipelines.Follower, error) {
	o := followerOptions(p.config, p.pipelines, p.queue, p.log)
	o.Registerer = p.registerer
	return pipelines.New(o)
}

// followerOptions copies how updates of pipelines are started and followed.
func followerOptions(c *config.Config, api pipelines.Service, tasks *queue.Queue, log *slog.Logger) pipelines.Options {
	return pipelines.Options{
		Service: api, Tasks: tasks, WhenActive: pipelines.WhenActive(c.Pipelines.ActiveUpdate), Observe: c.Sync.Mode == string(policy.ModeObserve),
		PollFirst: c.Pipelines.PollInterval, PollMost: c.Pipelines.PollMax, Limit: c.Pipelines.GiveUpAfter, Logger: log,
		Exempt: c.Protection.Exempt,
	}
}

// runTasks carries out tasks, and follows updates of pipelines, until ctx ends.
func (p *pipeline) runTasks(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.queue.Run(ctx) })
	g.Go(func() error { return p.follower.Run(call.WithBackground(ctx)) }) // syncs go first
	return g.Wait()
}
