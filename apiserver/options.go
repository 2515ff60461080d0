package apiserver

import (
	"context"
	"log/slog"
	"math"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"ucwarden/apiserver/keys"
	"ucwarden/policy"
)

// Check is one readiness check. Run returns nil, or why the server should get no traffic; it must be quick and obey its
// context.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
	// Degrades says that a server for which Run returns an error takes tasks all the same: it stays ready, and says what
	// does not work now.
	Degrades bool
}

// Options configures a Server. Tasks and Verifier are required.
type Options struct {
	// Addr is the host:port to listen on; default 127.0.0.1:8282. Port 0 means any free one.
	Addr string
	// AdminAddr, when set, serves /healthz, /readyz, /metrics, /openapi.json and /docs on an address of their own, without TLS.
	AdminAddr string
	// TLSCert and TLSKey are PEM files; both or none. They are read again when they change.
	TLSCert, TLSKey string
	// ClientCA is a PEM file of certificate authorities; every client must then show a certificate of one of them. It is read again
	// when it changes. It needs TLSCert.
	ClientCA string

	// OpenOnly serves the routes without a token alone, on AdminAddr, for a daemon whose tasks come another way. Tasks and Verifier
	// are not needed then.
	OpenOnly bool

	Tasks    Tasks
	Store    Store // may be nil
	Verifier *keys.Verifier
	Checks   []Check
	// Reload reads what the server does not know of again, as policies, and returns each part. POST
	// /api/v1/admin/reload calls it, beside the server's own parts: token keys and certificate. May be nil.
	Reload func(ctx context.Context) []Reloaded

	// Audit returns one page of the trail of changes, whose errors are classified; one of class invalid is about the cursor. May be nil:
	// the server keeps none.
	Audit func(ctx context.Context, q AuditQuery) (AuditPage, error)

	// Plan returns what the last full sync, or the one of a task, plans to change in the parts that are visible. May be nil: then no plan
	// is known.
	Plan func(ctx context.Context, q PlanQuery) (Plan, error)

	// PipelineName returns the name of the pipeline of that id, for tokens whose claim pipelines names pipelines by name. Its errors
	// are classified. May be nil: then ids alone count.
	PipelineName func(ctx context.Context, id string) (string, error)

	Logger     *slog.Logger          // default: discards
	Registerer prometheus.Registerer // for the metrics of this package; may be nil
	Gatherer   prometheus.Gatherer   // what /metrics serves; may be nil
	Tracer     trace.Tracer          // begins the spans of requests; may be nil

	BodyLimit    int64 // bytes of a request body; default 1 MiB
	MaxResources int   // per task; default and maximum 1,000
	// Rate is how many calls per second one subject may make; default 200. A negative Rate sets no limit.
	Rate float64
	// Burst is how many calls a subject that was quiet may make at once; default: what the rate allows in 5 seconds.
	Burst int
	// MaxWaiting is how many requests may wait for a task at a time (Prefer: wait, and event streams); default 512. One subject
	// may have as many of them as are left for others.
	MaxWaiting int
	// Heartbeat is the interval of comments on an idle event stream; default 15 seconds.
	Heartbeat time.Duration
	// Grace is how long a shutdown waits for requests under way; default 10 seconds.
	Grace time.Duration
}

// The limits that the API documents.
const (
	defaultBodyLimit     = 1 << 20
	burstSeconds         = 5 // of calls at its rate that a subject may make at once
	contractMaxResources = 1000
	// maxHeader bounds the size of request line and headers, checked before anything else.
	maxHeader = 16 << 10
	// maxWait is the longest time that Prefer: wait delays an answer.
	maxWait = 60 * time.Second
)

func (o *Options) validate() error {
	if o.OpenOnly && o.AdminAddr == "" {
		return policy.Errorf(policy.CodeInvalid, "api server: no address for the routes without a token, and no others are served")
	}
	if o.Tasks == nil && !o.OpenOnly {
		return policy.Errorf(policy.CodeInvalid, "api server: no tasks to serve")
	}
	if o.Verifier == nil && !o.OpenOnly {
		return policy.Errorf(policy.CodeInvalid, "api server: no verifier of tokens")
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return policy.Errorf(policy.CodeInvalid, "api server: TLS needs both a certificate and a key file")
	}
	if o.ClientCA != "" && o.TLSCert == "" {
		return policy.Errorf(policy.CodeInvalid, "api server: certificates of clients are asked for by TLS alone: it needs a certificate and a key file")
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:8282"
	}
	for _, addr := range []string{o.Addr, o.AdminAddr} {
		if _, _, err := net.SplitHostPort(addr); addr != "" && err != nil {
			return policy.Errorf(policy.CodeInvalid, "api server: address %q: want HOST:PORT", addr)
		}
	}
	if o.MaxResources < 0 || o.MaxResources > contractMaxResources {
		return policy.Errorf(policy.CodeInvalid, "api server: at most %d resources per task: want 1 to %d", o.MaxResources, contractMaxResources)
	}
	for _, c := range o.Checks {
		if c.Name == "" || c.Run == nil {
			return policy.Errorf(policy.CodeInvalid, "api server: a readiness check needs a name and a function")
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Gatherer == nil {
		o.Gatherer = prometheus.Gatherers{}
	}
	setDefault(&o.BodyLimit, defaultBodyLimit)
	setDefault(&o.MaxResources, contractMaxResources)
	if o.Rate == 0 {
		o.Rate = 200
	}
	setDefault(&o.Burst, max(1, int(math.Ceil(burstSeconds*o.Rate))))
	setDefault(&o.MaxWaiting, 512)
	setDefault(&o.Heartbeat, 15*time.Second)
	setDefault(&o.Grace, 10*time.Second)
	return nil
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
