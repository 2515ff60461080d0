package emulator

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options configures a Server.
type Options struct {
	// Logger gets a line at start and when faults are added; nil discards.
	Logger *slog.Logger
	// Seed is the initial state; nil means an empty metastore.
	Seed *Seed
	// Data is a file that keeps the state: where it exists, the state is what it holds, and Seed is not used. Server.Close
	// closes it.
	Data string
	// Tokens maps bearer tokens to their principals; one that is not in Seed is added, "" is the metastore's owner. A caller is metastore admin when
	// it is the metastore's owner or a member of the group that owns it.
	Tokens map[string]string
	// Clients maps the application ids of service principals to the secrets with which they get tokens (OAuth M2M).
	Clients map[string]string
	// PageSize is the page size of lists when max_results is absent or 0. Default 1000.
	PageSize int
	// MaxPageSize is the largest page size. Default 10000.
	MaxPageSize int
	// PermissionPageSize, in privileges, pages permissions even without max_results, which the API reserves the right
	// to do. 0, the default, returns all in one page.
	PermissionPageSize int
	// EmptyPages returns an empty page between any two pages of a list, as the real server may when it filters.
	EmptyPages bool
	// ExpandAllPrivileges answers with what ALL_PRIVILEGES confers on an object instead of ALL_PRIVILEGES, as some
	// workspaces do. The grant itself stays ALL_PRIVILEGES, as Server.Grants shows.
	ExpandAllPrivileges bool
	// WarehouseStart is how long a stopped SQL warehouse takes to run, started by a call or by a statement that waits for it.
	WarehouseStart time.Duration
	// UpdateStop serves POST /api/2.0/pipelines/{id}/updates/{update}/stop too, which not every server has.
	UpdateStop bool
	// AutoPrincipals adds every unknown principal in a change of grants, instead of answering PRINCIPAL_DOES_NOT_EXIST.
	AutoPrincipals bool
	// Faults are active from the start; Server.AddFaults adds more.
	Faults []Fault
	// TraceSize is the number of requests in the trace; the oldest are dropped first. Default 100000.
	TraceSize int
	// RandomSeed seeds the random choices of faults, so that a run can be repeated.
	RandomSeed uint64
}

func (o *Options) validate() error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Seed == nil {
		o.Seed = &Seed{}
	}
	for _, d := range []struct {
		name     string
		value    *int
		fallback int
	}{
		{"page size", &o.PageSize, 1000}, {"maximal page size", &o.MaxPageSize, 10000}, {"trace size", &o.TraceSize, 100000},
		{"permission page size", &o.PermissionPageSize, 0},
	} {
		if *d.value < 0 {
			return fmt.Errorf("emulator: the %s must not be negative, it is %d", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if o.WarehouseStart < 0 {
		return fmt.Errorf("emulator: the time that a warehouse takes to start must not be negative, it is %s", o.WarehouseStart)
	}
	if len(o.Tokens)+len(o.Clients) == 0 {
		return fmt.Errorf("emulator: no caller would be accepted: set at least one token or client")
	}
	for token, name := range o.Tokens {
		if token == "" {
			return fmt.Errorf("emulator: a token must not be empty (principal %q)", name)
		}
	}
	for id, secret := range o.Clients {
		if id == "" || secret == "" {
			return fmt.Errorf("emulator: a client and its secret must not be empty (client %q)", id)
		}
	}
	return nil
}

// Server is an in-memory Unity Catalog. It is safe for concurrent use.
type Server struct {
	opts       Options
	log        *slog.Logger
	mux        *http.ServeMux
	unknown    http.HandlerFunc // serves paths without a route
	tokenKey   []byte
	served     []servedRoute
	privs      *privilegeTable
	clock      func() time.Time // by which objects are dated; another one than the real one while changes are carried out again
	trace      traceLog
	requests   atomic.Int64 // numbers them
	changes    changeLog
	faultRules faultRules

	resources         map[string]*resource        // by path
	types             map[securableType]*resource // the one by which objects of the type are found
	catalogResource   *resource
	schemaResource    *resource
	metastoreResource *resource
	containerTypes    [2]*resource // the types of containers, outermost first

	mu              sync.RWMutex // guards all fields below, and every object
	tokens          map[string]string
	directory       *directory
	accountAdmins   map[string]bool
	metastores      map[string]*object // by lower-case id
	assignment      assignment
	allowlists      map[string]artifactAllowlist // by metastore and type
	warehouses      map[string]warehouse         // by id
	pipelines       map[string]*pipeline         // by id
	statements      statementLog
	warehouseConfig map[string]json.RawMessage
	tagPolicies     map[string]tagPolicy    // by key
	destinations    map[int64][]destination // of requests for access, by the id of the object
	journal         []listChange
	pending         map[string]*pendingStatement // by the id of the statement
	pendingID       int64
	lastID          int64
}

// New returns a server with the state of opts.Seed. An error names what is wrong
// with the options or the seed.
func New(opts Options) (*Server, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		opts: opts, log: opts.Logger, mux: http.NewServeMux(), tokenKey: make([]byte, 32), privs: newPrivilegeTable(),
		tokens: make(map[string]string), directory: newDirectory(), accountAdmins: make(map[string]bool),
		metastores: make(map[string]*object), allowlists: make(map[string]artifactAllowlist),
		warehouses: make(map[string]warehouse), pipelines: make(map[string]*pipeline), pending: make(map[string]*pendingStatement), tagPolicies: make(map[string]tagPolicy),
		destinations: make(map[int64][]destination), warehouseConfig: make(map[string]json.RawMessage), statements: statementLog{byID: make(map[string]*executed)}, clock: time.Now,
	}
	if _, err := rand.Read(s.tokenKey); err != nil {
		return nil, fmt.Errorf("generate the key of page tokens: %w", err)
	}
	s.trace.limit = opts.TraceSize
	s.faultRules.random = mathrand.New(mathrand.NewPCG(opts.RandomSeed, 0))
	s.register()
	if opts.Data == "" {
		if err := s.load(opts.Seed); err != nil {
			return nil, err
		}
	} else if err := s.openData(); err != nil {
		return nil, err
	}
	s.opts.Seed = nil // it may be large
	if err := s.admitCallers(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if _, err := s.AddFaults(opts.Faults...); err != nil {
		return nil, err
	}
	return s, nil
}

// admitCallers adds the principals of tokens and clients.
func (s *Server) admitCallers() error {
	owner := ""
	if m, err := s.metastore(); err == nil {
		owner = m.owner
	}
	for _, token := range slices.Sorted(maps.Keys(s.opts.Tokens)) {
		name := cmp.Or(s.opts.Tokens[token], owner)
		if name == "" {
			return fmt.Errorf("emulator: a token without a principal is for the metastore's owner, and there is no metastore")
		}
		if err := s.AddPrincipal(guessKind(name), name); err != nil {
			return err
		}
		s.tokens[token] = name
	}
	for _, id := range slices.Sorted(maps.Keys(s.opts.Clients)) {
		if err := s.AddPrincipal(ServicePrincipal, id); err != nil {
			return err
		}
	}
	return nil
}

// AddPrincipal adds a principal; members are the names of a group's members. If the group exists, the members are added
// to it. An error says what is wrong with the arguments.
func (s *Server) AddPrincipal(kind PrincipalKind, name string, members ...string) error {
	if name == "" {
		return fmt.Errorf("emulator: a principal needs a name")
	}
	if kind != User && kind != Group && kind != ServicePrincipal {
		return fmt.Errorf("emulator: unknown kind of principal %q: want user, group or service_principal", kind)
	}
	s.changes.mu.Lock()
	defer s.changes.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.directory.byName[name]
	if known != nil && !slices.ContainsFunc(members, func(m string) bool { return !slices.Contains(known.members, s.directory.spelled(m)) }) {
		return nil
	}
	s.directory.add(kind, name, members)
	return s.changes.keep(dataChange{Add: &principalChange{kind, name, members}})
}

// DeletePrincipal deletes a principal. Its grants remain, with an empty name and its id, as in Unity Catalog.
// It reports whether there was one.
func (s *Server) DeletePrincipal(name string) bool {
	s.changes.mu.Lock()
	defer s.changes.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.directory.remove(name) {
		return false
	}
	if err := s.changes.keep(dataChange{Remove: name}); err != nil {
		s.log.Error("a deleted principal is there again after a restart", "principal", name, "error", err)
	}
	return true
}
