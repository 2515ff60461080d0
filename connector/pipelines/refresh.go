package pipelines

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// RefreshOptions configure a [Refresher].
type RefreshOptions struct {
	// Jobs returns the job definitions. Those that cannot be read now are what they were, or none.
	Jobs func() Jobs
	// Targets has a pipeline refreshed after changes in the schema that it writes to, too, where the import knows it.
	Targets bool
	// Grants has a pipeline refreshed after changes of grants, too.
	Grants bool
	Window time.Duration // what happens in it is one refresh
	Logger *slog.Logger
	Now    func() time.Time // default time.Now
}

// Refresher says which pipelines are to be updated after a sync.
type Refresher struct{ RefreshOptions }

// NewRefresher returns a Refresher.
func NewRefresher(o RefreshOptions) *Refresher {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Refresher{o}
}

// Change is what a sync changed.
type Change struct {
	Protected []policy.Securable // tables whose row filters or masks changed
	Granted   []policy.Securable // securables whose grants changed
	Unknown   []policy.Securable // what it synced when the process crashed: what changed there is not known
}

// After returns a task for each pipeline that reads what the sync of that task changed, to begin at the end of the window in which
// that is. A refresh never is a full one.
func (r *Refresher) After(sync string, c Change) []ondemand.Task {
	var tasks []ondemand.Task
	at := r.Now()
	if r.Window > 0 {
		at = at.Truncate(r.Window).Add(r.Window)
	}
	for _, job := range r.Jobs().Jobs {
		cause := ondemand.RefreshCause{Task: sync}
		reads := r.reads(job)
		protected, granted, unknown := touched(reads, c.Protected), touched(reads, c.Granted), touched(reads, c.Unknown)
		switch {
		case len(protected) > 0:
			cause.Reason, cause.Securables = "row filters or masks changed", protected
		case len(unknown) > 0:
			cause.Reason, cause.Securables = "the process crashed during the sync, so what it had changed is not known", unknown
		case r.Grants && len(granted) > 0:
			cause.Reason, cause.Securables = "grants changed", granted
		default:
			continue
		}
		cause.Securables = cause.Securables[:min(len(cause.Securables), ondemand.MaxNamed)]
		task, err := ondemand.RefreshTask(job.ExternalID, at, cause)
		if err != nil {
			r.Logger.Error("a refresh of a pipeline cannot be submitted", "pipeline", job.ExternalID, "task", sync, "error", err)
			continue
		}
		r.Logger.Info("a pipeline is to be updated after a sync", "pipeline", job.Name, "id", job.ExternalID, "because", cause.Reason, "task", sync, "at", at)
		tasks = append(tasks, task)
	}
	return tasks
}

// reads returns what the pipeline is to be refreshed after changes of.
func (r *Refresher) reads(job Job) []policy.Securable {
	names := job.RefreshOn
	if r.Targets && job.Target != "" {
		names = append(slices.Clone(names), job.Target)
	}
	var list []policy.Securable
	for _, name := range names {
		s, err := policy.ParseSecurable(name)
		if err != nil {
			r.Logger.Warn("a pipeline is not refreshed after changes of what cannot be read as a securable", "pipeline", job.ExternalID, "securable", name, "error", err)
			continue
		}
		list = append(list, s)
	}
	return list
}

// touched returns those of the changed securables that are one of the read ones, inside one, or around one.
func touched(read, changed []policy.Securable) []string {
	var list []string
	for _, c := range changed {
		if slices.ContainsFunc(read, func(r policy.Securable) bool { return r == c || r.Contains(c) || c.Contains(r) }) {
			list = append(list, fmt.Sprint(c))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
