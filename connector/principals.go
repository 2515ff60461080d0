package connector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/directory"
)

const (
	// directoryRetry is how long a directory that could not be read is not asked again.
	directoryRetry = 30 * time.Second
	// directoryFresh is how old a directory may be when a person starts a sync and somebody is missing, and freshShare how many
	// times as old as it takes to read one: a sync of many shards must not read it all the time.
	directoryFresh = 5 * time.Second
	freshShare     = 30
	// directoryPatience is how long the syncs that need the directory wait for it.
	directoryPatience = 2 * time.Minute
)

// principals keeps the directory of the workspace, which is read once per interval for all syncs.
type principals struct {
	source   Directory // nil: there is none, and the shape of names tells kinds
	interval time.Duration
	log      *slog.Logger

	turn  chan struct{} // holds one token: who takes it reads
	mu    sync.Mutex
	last  *directory.Directory // the last that could be read; else the zero one
	at    time.Time            // when it was read
	err   error                // why the last attempt failed
	tried time.Time
	took  time.Duration // to read the last

	listing directory.Listing // what last was made of
	saved   bool              // that is kept for later runs
}

// principalsKey is where the directory is kept for later runs, and principalsKept how long it serves.
const (
	principalsKey  = "principals"
	principalsKept = 7 * 24 * time.Hour
)

// keptPrincipals is the directory as it is kept.
type keptPrincipals struct {
	Metastore string            `json:"metastore"` // of the workspace
	ReadAt    time.Time         `json:"readAt"`
	Listing   directory.Listing `json:"listing"`
}

// save keeps the directory for runs that cannot read it.
func (p *principals) save(to State, metastore string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if to == nil || metastore == "" || p.saved || !p.last.Read() {
		return nil
	}
	value, err := json.Marshal(keptPrincipals{metastore, p.at, p.listing})
	if err == nil {
		err = to.Save(principalsKey, value)
	}
	p.saved = err == nil
	return err
}

// recall takes the directory that an earlier run kept, unless one was read since, it is of another workspace, or old.
func (p *principals) recall(from State, metastore string) (found bool, err error) {
	if from == nil || metastore == "" {
		return false, nil
	}
	value, err := from.Load(principalsKey)
	if err != nil || value == nil {
		return false, err
	}
	var kept keptPrincipals
	if err := json.Unmarshal(value, &kept); err != nil || kept.Metastore != metastore || time.Since(kept.ReadAt) > principalsKept {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Read() {
		return false, nil
	}
	p.last, p.listing, p.at, p.saved = directory.New(kept.Listing), kept.Listing, kept.ReadAt, true
	return true, nil
}

func newPrincipals(source Directory, interval time.Duration, log *slog.Logger) *principals {
	p := &principals{source: source, interval: interval, log: log, turn: make(chan struct{}, 1), last: &directory.Directory{}}
	p.turn <- struct{}{}
	return p
}

// current returns the directory last read.
func (p *principals) current() *directory.Directory {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// problem returns when it was last tried to read the directory, and why that failed.
func (p *principals) problem() (tried time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tried, p.err
}

// fresh returns how old the directory may be where somebody is missing and a person waits.
func (p *principals) fresh() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(directoryFresh, freshShare*p.took)
}

// readAt returns when the directory was read.
func (p *principals) readAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// dueIn returns when the directory is to be read, that it be no older than age; at once where that is not positive.
func (p *principals) dueIn(age time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.source == nil:
		return 24 * time.Hour
	case p.err != nil:
		return time.Until(p.tried.Add(directoryRetry))
	case !p.last.Read():
		return 0
	}
	return time.Until(p.at.Add(age))
}

// due reports whether the directory is to be read now, that it be no older than age.
func (p *principals) due(age time.Duration) bool { return p.dueIn(age) <= 0 }

// refresh reads the directory if it is older than age, and reports whether it says something else than before. A directory
// that cannot be read changes nothing: the old one stays in force, and it is asked for again after a while, or at once where
// insist is set. An error is only the end of ctx.
func (p *principals) refresh(ctx context.Context, age time.Duration, insist bool) (changed bool, err error) {
	begun := time.Now()
	due := func() bool {
		at, err := p.problem()
		return p.due(age) || insist && err != nil && !at.After(begun)
	}
	if !due() {
		return false, nil
	}
	select {
	case <-p.turn:
		defer func() { p.turn <- struct{}{} }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if !due() { // another sync has read it meanwhile
		return false, nil
	}
	reading, cancel := context.WithTimeout(ctx, directoryPatience)
	defer cancel()
	asked := time.Now()
	listing, err := p.source.Principals(reading)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried = time.Now()
	if err != nil {
		if p.err == nil {
			p.log.WarnContext(ctx, "cannot read the principals of the workspace; until it succeeds the last known ones are used, or the shape of names", "error", err)
		}
		p.err = err
		return false, nil
	}
	next := directory.New(listing)
	p.err, p.at, p.took = nil, p.tried, p.tried.Sub(asked)
	if next.Same(p.last) {
		return false, nil
	}
	p.last, p.listing, p.saved = next, listing, false
	p.log.InfoContext(ctx, "read the principals of the workspace", "principals", next.Len())
	return true, nil
}

// identities turns the principals of grants, which are names, into those of the directory. It remembers them: names are few,
// grants are many.
type identities struct {
	directory *directory.Directory
	mu        sync.RWMutex
	known     map[string]policy.Principal
	ambiguous bool // some name is that of several
}

func newIdentities(d *directory.Directory) *identities {
	return &identities{directory: d, known: make(map[string]policy.Principal)}
}

// resolve puts the principals of the directory into list.
func (i *identities) resolve(list []policy.Assignment) {
	i.mu.RLock()
	missing := false
	for j := range list {
		if p, ok := i.known[list[j].Name]; ok {
			list[j].Principal = p
		} else {
			missing = true
		}
	}
	i.mu.RUnlock()
	if !missing {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for j := range list {
		name := list[j].Name
		p, ok := i.known[name]
		if !ok {
			p = i.directory.Identify(name)
			i.known[name] = p
			i.ambiguous = i.ambiguous || p.Kind == policy.UnknownKind
		}
		list[j].Principal = p
	}
}

// grants returns the direct grants on s with the principals that the directory knows.
func (r *run) grants(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	return resolved{r.Workspace, r.identities}.Grants(ctx, s)
}

// change sends a change with the principals as the workspace spells them, and returns the grants afterwards.
func (r *run) change(ctx context.Context, c policy.Change) ([]policy.Assignment, error) {
	spelled := make(map[policy.Principal]policy.Principal)
	spell := func(list []policy.Assignment) []policy.Assignment {
		list = slices.Clone(list)
		for i, a := range list {
			list[i].Name = r.dir.Spelling(a.Principal)
			spelled[list[i].Principal] = a.Principal
		}
		return list
	}
	sent := c
	sent.Add, sent.Remove = spell(c.Add), spell(c.Remove)
	sent.AddTemporary, sent.RemoveTemporary, sent.Keep = spell(c.AddTemporary), spell(c.RemoveTemporary), spell(c.Keep)
	list, err := r.Workspace.Apply(ctx, sent)
	if unknown, ok := errors.AsType[*PrincipalError](err); ok && unknown.Principal.Name != "" {
		unknown.Principal = spelled[unknown.Principal]
	}
	r.identities.resolve(list)
	return list, err
}

// resolved is the permissions of the workspace, read with the principals that the directory knows.
type resolved struct {
	Permissions
	identities *identities
}

// Grants implements Permissions.
func (r resolved) Grants(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	list, err := r.Permissions.Grants(ctx, s)
	r.identities.resolve(list)
	return list, err
}

// Settle finds out what became of changes of which the journal does not know it, also where there are no policies yet. What
// fails is tried again by the next sync.
func (s *Syncer) Settle(ctx context.Context) {
	if err := s.refreshDirectory(ctx, false, false); err == nil {
		s.Journal.Settle(ctx, resolved{s.Workspace, newIdentities(s.principals.current())})
	}
}

// keepOwn returns the scope in which what gives us our own access, be it by groups, is kept. Where our groups are not known, any
// may be ours; where we are not known ourselves, anybody may be us.
func (r *run) keepOwn(scope policy.Scope) policy.Scope {
	if r.Directory == nil {
		return scope
	}
	return scope.KeepOwn(func(p policy.Principal) bool {
		if r.dir.Read() {
			return r.dir.Own(p)
		}
		return p.Kind == policy.Group || r.UnknownSelf
	})
}

// shared returns, for each name that several principals have, one of the loaded grants to it.
func (i *identities) shared(found *loaded) []policy.Grant {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if !i.ambiguous {
		return nil
	}
	seen := make(map[policy.Principal]bool)
	var list []policy.Grant
	for _, s := range found.read {
		for _, a := range found.current.Of(s) {
			if a.Kind == policy.UnknownKind && !seen[a.Principal] {
				seen[a.Principal] = true
				list = append(list, policy.Grant{Securable: s, Principal: a.Principal, Privilege: a.Privilege})
			}
		}
	}
	return list
}

// directoryFindings says what is not known of principals, which grants are kept for our own access, and which are left alone
// because nobody can tell whose they are.
func (r *run) directoryFindings(found *loaded, kept []policy.Grant) []policy.Finding {
	var list []policy.Finding
	_, err := r.principals.problem()
	if err != nil && r.dir.Read() {
		list = append(list, policy.Finding{Effect: policy.EffectNone, Message: fmt.Sprintf(
			"the principals of the workspace could not be read again; they are taken to be those of %s (%v)", r.principals.readAt().UTC().Format(time.RFC3339), err)})
	} else if err != nil {
		from := "no group"
		if r.UnknownSelf {
			from = "nobody"
		}
		list = append(list, policy.Finding{Effect: policy.EffectNone, Message: fmt.Sprintf(
			"the principals of the workspace could not be read, so the shape of names tells users from groups, and MANAGE, USE_* and ALL_PRIVILEGES, by which we may have our own access, are revoked from %s (%v)", from, err)})
	}
	list = append(list, onePerPrincipal(kept, func(g policy.Grant) policy.Finding {
		why := "we are in it, directly or through other groups"
		switch {
		case g.Principal.Kind != policy.Group && r.dir.Read():
			why = "that is us"
		case g.Principal.Kind != policy.Group:
			why = "that may be us"
		case !r.dir.Read():
			why = "we may be in it"
		}
		return policy.Finding{Effect: policy.EffectWider, Securable: g.Securable, Principal: g.Principal, Message: fmt.Sprintf(
			"%s %s keeps %s on %s, which no policy grants: %s, and our own access is never revoked",
			strings.ReplaceAll(g.Principal.Kind.String(), "_", " "), g.Principal, g.Privilege, g.Securable, why)}
	})...)
	for _, g := range r.identities.shared(found) {
		list = append(list, policy.Finding{Effect: policy.EffectWider, Securable: g.Securable, Principal: g.Principal, Message: fmt.Sprintf(
			"the grants to %q are left as they are: several principals of the workspace have this name, and a grant does not tell them apart", g.Principal)})
	}
	return list
}
