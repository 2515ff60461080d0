package emulator

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"sigs.k8s.io/yaml"
)

// Fault is a rule that delays or fails the requests it matches. Every condition that is set must be met; a rule without
// conditions matches every API request. Several rules may apply to one request: their latencies add up, and for every
// other effect the first rule counts.
type Fault struct {
	ID string `json:"id,omitempty"` // assigned by the server when empty

	// Conditions.
	Method    string `json:"method,omitempty"`    // GET, PATCH, ...
	Path      string `json:"path,omitempty"`      // glob on the decoded path: '*' for any characters, '?' for one
	Securable string `json:"securable,omitempty"` // TYPE:NAME with a glob in the name: "table:sales.*"; matches requests whose path names such an object
	Caller    string `json:"caller,omitempty"`    // principal

	// Which of the matching requests are affected.
	Skip        int     `json:"skip,omitempty"`        // not the first n
	Every       int     `json:"every,omitempty"`       // only every n-th; 0 and 1 mean all
	Probability float64 `json:"probability,omitempty"` // probability from 0 to 1; 0 means always
	Count       int     `json:"count,omitempty"`       // at most n; 0 means no limit
	// AboveRate affects only requests beyond this many per second. With AboveRateMax the rate moves: every MoveMS
	// milliseconds (30,000 if that is 0) it is another one between the two.
	AboveRate    float64 `json:"above_rate,omitempty"`
	AboveRateMax float64 `json:"above_rate_max,omitempty"`
	MoveMS       int     `json:"move_ms,omitempty"`

	// Effects.
	LatencyMS     int     `json:"latency_ms,omitempty"`     // milliseconds to wait first
	LatencyP99MS  int     `json:"latency_p99_ms,omitempty"` // what one wait in a hundred exceeds; LatencyMS is the median then (log-normal)
	JitterMS      int     `json:"jitter_ms,omitempty"`      // upper bound of random additional milliseconds
	Status        int     `json:"status,omitempty"`         // answer with this error status, such as 429, 500, 503, 504
	RetryAfter    string  `json:"retry_after,omitempty"`    // the header's value, with Status: seconds or an HTTP date
	ErrorCode     string  `json:"error_code,omitempty"`     // with Status; the usual code when empty
	Drop          bool    `json:"drop,omitempty"`           // close the connection without an answer
	Hang          bool    `json:"hang,omitempty"`           // answer nothing until the client gives up
	After         bool    `json:"after,omitempty"`          // Status, Drop or Hang apply after the request took effect, as if the answer was lost
	Truncate      bool    `json:"truncate,omitempty"`       // cut the answer off half-way
	Garble        bool    `json:"garble,omitempty"`         // answer with broken JSON
	StaleMS       int     `json:"stale_ms,omitempty"`       // serve lists and permissions as of this many milliseconds ago
	StaleVersions int     `json:"stale_versions,omitempty"` // serve lists and permissions as of this many changes ago
	EmptyPage     bool    `json:"empty_page,omitempty"`     // answer a list with an empty page whose token leads on
	Shrink        float64 `json:"shrink,omitempty"`         // leave out this share of a list, from 0 to 1, chosen at random
}

// ParseFaults parses one fault, or an array of them, from YAML or JSON. Unknown fields are errors. That faults make sense is
// checked where they are added.
func ParseFaults(text []byte) ([]Fault, error) {
	var document any
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("parse faults: %w", err)
	}
	if _, list := document.([]any); !list {
		document = []any{document}
	}
	body, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("parse faults: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var faults []Fault
	if err := decoder.Decode(&faults); err != nil {
		return nil, fmt.Errorf("parse faults: %s", jsonProblem(err))
	}
	return faults, nil
}

// FaultState is a fault with its counters.
type FaultState struct {
	Fault
	Matched int `json:"matched"` // requests that met the conditions
	Acted   int `json:"acted"`   // requests that were affected
}

func (f Fault) validate() error {
	problem := ""
	switch {
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		problem = "status must be between 400 and 599"
	case f.Probability < 0 || f.Probability > 1:
		problem = "probability must be between 0 and 1"
	case f.Shrink < 0 || f.Shrink > 1:
		problem = "shrink must be between 0 and 1"
	case f.Skip < 0 || f.Every < 0 || f.Count < 0 || f.AboveRate < 0 || f.AboveRateMax < 0 || f.MoveMS < 0 ||
		f.LatencyMS < 0 || f.LatencyP99MS < 0 || f.JitterMS < 0 || f.StaleMS < 0 || f.StaleVersions < 0:
		problem = "numbers must not be negative"
	case f.AboveRateMax > 0 && (f.AboveRate <= 0 || f.AboveRateMax < f.AboveRate):
		problem = "above_rate_max needs an above_rate that is not greater"
	case f.MoveMS > 0 && f.AboveRateMax == 0:
		problem = "move_ms needs above_rate and above_rate_max"
	case f.LatencyP99MS > 0 && (f.LatencyMS <= 0 || f.LatencyP99MS < f.LatencyMS):
		problem = "latency_p99_ms needs a latency_ms, the median, that is not greater"
	case f.After && f.Status == 0 && !f.Drop && !f.Hang:
		problem = "after needs status, drop or hang"
	case f.StaleMS > 0 && f.StaleVersions > 0:
		problem = "set stale_ms or stale_versions, not both"
	case f == f.conditions():
		problem = "it has no effect: set latency_ms, jitter_ms, status, drop, hang, truncate, garble, stale_ms, stale_versions, empty_page or shrink"
	case f.Securable != "" && !strings.Contains(f.Securable, ":"):
		problem = "securable must be TYPE:NAME"
	}
	if problem != "" {
		return fmt.Errorf("fault: %s", problem)
	}
	return nil
}

// conditions returns the fault without what it does.
func (f Fault) conditions() Fault {
	return Fault{
		ID: f.ID, Method: f.Method, Path: f.Path, Securable: f.Securable, Caller: f.Caller,
		Skip: f.Skip, Every: f.Every, Probability: f.Probability, Count: f.Count,
		AboveRate: f.AboveRate, AboveRateMax: f.AboveRateMax, MoveMS: f.MoveMS,
		RetryAfter: f.RetryAfter, ErrorCode: f.ErrorCode, After: f.After, // which do nothing by themselves
	}
}

// rule is an active Fault.
type rule struct {
	FaultState
	path    likePattern
	typ     securableType
	name    likePattern
	limiter *rate.Limiter
	moves   time.Time // when the limiter's rate is another one next; zero for never
}

// faultRules holds the active rules.
type faultRules struct {
	mu     sync.Mutex
	rules  []*rule
	random *rand.Rand
	lastID int
}

// faultEffect is the combined effect of all matching rules on one request.
type faultEffect struct {
	ids      string
	latency  time.Duration
	err      error
	drop     bool
	hang     bool
	after    bool
	truncate bool
	garble   bool
	stale    staleness
	listing  listFault
}

// listFault is what a fault does to lists.
type listFault struct {
	emptyPage bool
	leftOut   func() bool // draws whether an item is left out; nil leaves out none
}

// AddFaults activates faults, after those that are active already, and returns their ids. If one of them is invalid it
// returns an error and activates none.
func (s *Server) AddFaults(faults ...Fault) ([]string, error) {
	rules := make([]*rule, 0, len(faults))
	for _, f := range faults {
		if err := f.validate(); err != nil {
			return nil, err
		}
		r := &rule{FaultState: FaultState{Fault: f}, path: newGlob(f.Path, false)}
		if f.Securable != "" {
			typ, name, _ := strings.Cut(f.Securable, ":")
			t, err := parseSecurableType(typ)
			if err != nil {
				return nil, err
			}
			r.typ, r.name = t, newGlob(name, true)
		}
		if f.AboveRate > 0 {
			r.limiter = rate.NewLimiter(rate.Limit(f.AboveRate), burstOf(f.AboveRate))
		}
		if f.AboveRateMax > 0 {
			r.moves = time.Now()
		}
		rules = append(rules, r)
	}
	b := &s.faultRules
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]string, len(rules))
	for i, r := range rules {
		if r.ID == "" {
			b.lastID++
			r.ID = "fault-" + strconv.Itoa(b.lastID)
		}
		ids[i] = r.ID
		b.rules = append(b.rules, r)
	}
	return ids, nil
}

// Faults returns the active faults.
func (s *Server) Faults() []FaultState {
	b := &s.faultRules
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]FaultState, len(b.rules))
	for i, r := range b.rules {
		list[i] = r.FaultState
	}
	return list
}

// ClearFaults removes the faults with these ids, all of them without an id.
func (s *Server) ClearFaults(ids ...string) {
	b := &s.faultRules
	b.mu.Lock()
	defer b.mu.Unlock()
	var kept []*rule
	for _, r := range b.rules {
		gone := len(ids) == 0
		for _, id := range ids {
			gone = gone || id == r.ID
		}
		if !gone {
			kept = append(kept, r)
		}
	}
	b.rules = kept
}

// match returns the effect of the rules on a request.
func (b *faultRules) match(c *call, pattern, caller string) faultEffect {
	b.mu.Lock()
	defer b.mu.Unlock()
	var e faultEffect
	for _, r := range b.rules {
		if !r.matches(c, pattern, caller) || !r.acts(b.random) {
			continue
		}
		r.Acted++
		if e.ids != "" {
			e.ids += ","
		}
		e.ids += r.ID
		e.latency += r.latency(b.random)
		if r.JitterMS > 0 {
			e.latency += time.Duration(b.random.Int64N(int64(r.JitterMS) * int64(time.Millisecond)))
		}
		if e.err == nil && !e.drop && !e.hang && (r.Status != 0 || r.Drop || r.Hang) {
			e.drop, e.hang, e.after = r.Drop, r.Hang, r.After
			if r.Status != 0 {
				e.err = r.error()
			}
		}
		e.truncate = e.truncate || r.Truncate
		e.garble = e.garble || r.Garble
		if e.stale == (staleness{}) {
			e.stale = staleness{time.Duration(r.StaleMS) * time.Millisecond, r.StaleVersions}
		}
		e.listing.emptyPage = e.listing.emptyPage || r.EmptyPage
		if e.listing.leftOut == nil && r.Shrink > 0 {
			share, random := r.Shrink, rand.New(rand.NewPCG(b.random.Uint64(), 0)) // one for each request: b.random is shared
			e.listing.leftOut = func() bool { return random.Float64() < share }
		}
	}
	return e
}

func (r *rule) matches(c *call, pattern, caller string) bool {
	if r.Method != "" && !strings.EqualFold(r.Method, c.req.Method) ||
		r.Caller != "" && r.Caller != caller ||
		r.Path != "" && !r.path.match(c.req.URL.Path) {
		return false
	}
	if r.typ != "" {
		t, name := c.srv.securableOf(c.req, pattern)
		if t != r.typ || !r.name.match(name) {
			return false
		}
	}
	r.Matched++
	return true
}

func (r *rule) acts(random *rand.Rand) bool {
	n := r.Matched - r.Skip
	if n <= 0 || r.Every > 1 && n%r.Every != 0 || r.Count > 0 && r.Acted >= r.Count {
		return false
	}
	if r.Probability > 0 && random.Float64() >= r.Probability {
		return false
	}
	if now := time.Now(); !r.moves.IsZero() && !now.Before(r.moves) {
		limit := r.AboveRate + random.Float64()*(r.AboveRateMax-r.AboveRate)
		r.limiter.SetLimit(rate.Limit(limit))
		r.limiter.SetBurst(burstOf(limit))
		r.moves = now.Add(time.Duration(cmp.Or(r.MoveMS, 30_000)) * time.Millisecond)
	}
	return r.limiter == nil || !r.limiter.Allow()
}

// burstOf returns how many requests at once a rate lets through: those of a tenth of a second.
func burstOf(limit float64) int { return max(1, int(limit/10)) }

// latency draws how long a request waits first.
func (r *rule) latency(random *rand.Rand) time.Duration {
	ms := float64(r.LatencyMS)
	if r.LatencyP99MS > 0 {
		const p99 = 2.3263478740408408 // of the standard normal distribution
		ms *= math.Exp(math.Log(float64(r.LatencyP99MS)/ms) / p99 * random.NormFloat64())
	}
	return time.Duration(ms * float64(time.Millisecond))
}

func (r *rule) error() error {
	e := &apiError{status: r.Status, code: r.ErrorCode, message: "injected by fault " + r.ID, retryAfter: r.RetryAfter}
	if e.code == "" {
		e.code = map[int]string{
			400: "INVALID_PARAMETER_VALUE", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST",
			409: "RESOURCE_CONFLICT", 429: "REQUEST_LIMIT_EXCEEDED", 500: "INTERNAL_ERROR", 501: "NOT_IMPLEMENTED",
			503: "TEMPORARILY_UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
		}[r.Status]
	}
	if e.code == "" {
		e.code = "INTERNAL_ERROR"
	}
	return e
}

// securableOf returns the type and lower-case name of the object that a request's path names.
func (s *Server) securableOf(r *http.Request, pattern string) (securableType, string) {
	name := strings.ToLower(r.PathValue("name"))
	if name == "" {
		return "", ""
	}
	if t := r.PathValue("type"); t != "" {
		return securableTypes[strings.ToLower(t)], name
	}
	_, path, _ := strings.Cut(pattern, prefix+"/")
	collection, _, _ := strings.Cut(path, "/")
	if res := s.resources[collection]; res != nil {
		return res.typ, name
	}
	return "", name
}

// sleep waits for d; it returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// garble returns JSON with one byte replaced so that it does not parse.
func garble(body []byte) []byte {
	broken := append([]byte{}, body...)
	for i := len(broken) / 2; i < len(broken); i++ {
		if broken[i] == '"' || broken[i] == ':' || broken[i] == ',' {
			broken[i] = '\x00'
			return broken
		}
	}
	return append([]byte("\x00"), broken...)
}
