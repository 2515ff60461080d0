package emulator

import (
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"sync"

	"ucwarden/policy"
)

// Options configure a Server.
type Options struct {
	// Logger gets one line per start, stop and control request; nil is silent.
	Logger *slog.Logger
	// Seed says what the server holds at first; nil is an empty metastore.
	Seed *Seed
	// Tokens maps bearer tokens to the principals that call with them; one that is not in Seed is added. A caller is
	// metastore admin when it is the metastore's owner or a member of the group that is.
	Tokens map[string]string
	// Clients maps the application ids of service principals to the secrets with which they get tokens (OAuth M2M).
	Clients map[string]string
	// PageSize is the size of a list's page when the request does not say, or says 0. Default 1000.
	PageSize int
	// MaxPageSize bounds what a request may ask for. Default 10000.
	MaxPageSize int
	// PermissionPageSize pages permissions by that many privileges even when a request does not ask for pages, which
	// the API reserves the right to do. 0, the default, answers all at once.
	PermissionPageSize int
	// EmptyPages puts an empty page between any two pages of a list, as the real server does when it filters.
	EmptyPages bool
	// AutoPrincipals makes every principal that is named known, instead of answering PRINCIPAL_DOES_NOT_EXIST.
	AutoPrincipals bool
	// TraceSize is how many requests the trace keeps; the oldest go first. Default 100000.
	TraceSize int
	// RandomSeed seeds the choices of faults, so that a run can be repeated.
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
			return policy.Errorf(policy.CodeInvalid, "emulator: the %s must not be negative, it is %d", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if len(o.Tokens)+len(o.Clients) == 0 {
		return policy.Errorf(policy.CodeInvalid, "emulator: no caller would be accepted: give at least one token or client")
	}
	for token, name := range o.Tokens {
		if token == "" || name == "" {
			return policy.Errorf(policy.CodeInvalid, "emulator: a token and its principal must not be empty (principal %q)", name)
		}
	}
	for id, secret := range o.Clients {
		if id == "" || secret == "" {
			return policy.Errorf(policy.CodeInvalid, "emulator: a client and its secret must not be empty (client %q)", id)
		}
	}
	return nil
}

// Server is a Unity Catalog in memory. It is safe for concurrent use.
type Server struct {
	opts     Options
	log      *slog.Logger
	mux      *http.ServeMux
	unknown  http.HandlerFunc // serves what is no route
	tokenKey []byte
	privs    *privilegeTable
	trace    traceLog
	faults   faultBook

	resources map[string]*resource               // by path
	types     map[policy.SecurableType]*resource // the one that finds objects of the type
	catalogs  *resource                          // named, because others are found through them
	schemas   *resource
	meta      *resource
	steps     [2]*resource // the containers on the way to an object

	mu            sync.RWMutex // guards all below, and every object
	tokens        map[string]string
	directory     *directory
	accountAdmins map[string]bool
	metastores    map[string]*object // by lower-case id
	assignment    assignment
	journal       []listing
	lastID        int64
}

// New makes a server that holds what opts.Seed says. An error is of class policy.CodeInvalid and names what is wrong
// with the options or the seed.
func New(opts Options) (*Server, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		opts: opts, log: opts.Logger, mux: http.NewServeMux(), tokenKey: make([]byte, 32), privs: newPrivilegeTable(),
		tokens: make(map[string]string), directory: newDirectory(), accountAdmins: make(map[string]bool),
		metastores: make(map[string]*object),
	}
	if _, err := rand.Read(s.tokenKey); err != nil {
		return nil, policy.Errorf(policy.CodeInternal, "make the key of page tokens: %w", err)
	}
	s.trace.limit = opts.TraceSize
	s.faults.random = mathrand.New(mathrand.NewPCG(opts.RandomSeed, 0))
	s.register()
	if err := s.load(opts.Seed); err != nil {
		return nil, err
	}
	s.opts.Seed = nil // it may be large
	for token, name := range opts.Tokens {
		s.directory.add(guessKind(name), name, nil)
		s.tokens[token] = name
	}
	for id := range opts.Clients {
		s.directory.add(ServicePrincipal, id, nil)
	}
	return s, nil
}

// AddPrincipal makes a principal known; members are the names of a group's members. A known group gets the members
// in addition.
func (s *Server) AddPrincipal(kind PrincipalKind, name string, members ...string) error {
	if name == "" {
		return policy.Errorf(policy.CodeInvalid, "emulator: a principal needs a name")
	}
	if kind != User && kind != Group && kind != ServicePrincipal {
		return policy.Errorf(policy.CodeInvalid, "emulator: unknown kind of principal %q: want user, group or service_principal", kind)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.directory.add(kind, name, members)
	return nil
}

// DeletePrincipal deletes a principal. Its grants stay, with an empty name and its id, as in Unity Catalog.
// It reports whether there was one.
func (s *Server) DeletePrincipal(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.directory.remove(name)
}
