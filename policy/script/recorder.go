package script

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"ucwarden/policy/match"
)

// maxEnded is how many scripts of one recorder may be ended at a bound before no other is run: each takes two seconds
// for every decision, and policies may hold thousands.
const maxEnded = 4

var errNotRun = fmt.Errorf("script: %w, since %d others had to be ended", match.ErrScriptNotRun, maxEnded)

// Recorder compiles scripts and keeps what is wrong with them, so that who tests policies learns why a condition does not
// hold. A script that was ended at a bound is not run again. The zero Recorder is ready; it may be used concurrently.
type Recorder struct {
	mu       sync.Mutex
	failures map[string]error  // by source; the first of each
	ended    int               // scripts that were ended at a bound
	notRun   map[string]bool   // scripts that were not run for that
	odd      map[string]string // of scripts whose value was neither true nor false: the value
}

// Failure is what is wrong with a script.
type Failure struct {
	Source string
	Err    error
}

func (f Failure) String() string {
	return fmt.Sprintf("script %q: %s", oneLine(f.Source), strings.TrimPrefix(f.Err.Error(), "script: "))
}

// oneLine returns a source for a message.
func oneLine(source string) string { return shortened(strings.Join(strings.Fields(source), " "), 80) }

// Compile is [Compile], recorded.
func (r *Recorder) Compile(source string) (match.Script, error) {
	s, err := Compile(source)
	if err != nil {
		r.record(source, err)
		return nil, err
	}
	return &recordedScript{r, source, s}, nil
}

// NotRun returns how many scripts were not run, since too many others had to be ended.
func (r *Recorder) NotRun() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.notRun)
}

// Warnings returns what [Recorder.Failures] and [Recorder.NotRun] do, and which scripts came to a value that is neither true nor
// false, for people.
func (r *Recorder) Warnings() []string {
	var list []string
	for _, f := range r.Failures() {
		list = append(list, f.String())
	}
	r.mu.Lock()
	for _, source := range slices.Sorted(maps.Keys(r.odd)) {
		list = append(list, fmt.Sprintf("script %q: its value is %s, which is neither true nor false, so that ctx.result counts, as in Ranger", oneLine(source), r.odd[source]))
	}
	r.mu.Unlock()
	if n := r.NotRun(); n > 0 {
		list = append(list, fmt.Sprintf("%d more scripts were not run, since %d had to be ended; their conditions are taken as failed", n, maxEnded))
	}
	return list
}

// Failures returns the scripts that failed, sorted by source.
func (r *Recorder) Failures() []Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Failure, 0, len(r.failures))
	for source, err := range r.failures {
		list = append(list, Failure{source, err})
	}
	slices.SortFunc(list, func(a, b Failure) int { return cmp.Compare(a.Source, b.Source) })
	return list
}

func (r *Recorder) record(source string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if earlier, ok := r.failures[source]; ok && (errors.Is(earlier, match.ErrScriptBounds) || !errors.Is(err, match.ErrScriptBounds)) {
		return
	}
	if r.failures == nil {
		r.failures = make(map[string]error)
	}
	r.failures[source] = err
	if errors.Is(err, match.ErrScriptBounds) {
		r.ended++
	}
}

// recordOdd keeps the first value of a script that is neither true nor false.
func (r *Recorder) recordOdd(source, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.odd[source]; ok {
		return
	}
	if r.odd == nil {
		r.odd = make(map[string]string)
	}
	r.odd[source] = value
}

// refusal returns why a script is not to be run, nil where it may be.
func (r *Recorder) refusal(source string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.failures[source]; errors.Is(err, match.ErrScriptBounds) {
		return err
	}
	if r.ended >= maxEnded {
		if r.notRun == nil {
			r.notRun = make(map[string]bool)
		}
		r.notRun[source] = true
		return errNotRun
	}
	return nil
}

type recordedScript struct {
	recorder *Recorder
	source   string
	script   match.Script
}

func (s *recordedScript) Met(v *match.Values) (match.Outcome, error) {
	out, err := recorded(s, v, s.script.Met)
	if err == nil && out.From == match.FromOtherType {
		s.recorder.recordOdd(s.source, out.Value)
	}
	return out, err
}

func (s *recordedScript) Text(v *match.Values) (string, error) { return recorded(s, v, s.script.Text) }

func recorded[T any](s *recordedScript, v *match.Values, run func(*match.Values) (T, error)) (result T, err error) {
	if err = s.recorder.refusal(s.source); err != nil {
		return result, err
	}
	if result, err = run(v); err != nil {
		s.recorder.record(s.source, err)
	}
	return result, err
}
