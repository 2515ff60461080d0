package script

import (
	_ "embed"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"

	"ucwarden/policy/match"
)

// The bounds on one run of a script. Work is counted in units of some nanoseconds: a character copied, an element
// visited, a step of a pattern.
const (
	deadline = 2 * time.Second // a script that ends takes about one millisecond, and much longer where others keep the machine busy
	grace    = time.Second     // from the interrupt until the run is abandoned
	maxCalls = 256             // nested calls of functions
	maxText  = 1 << 18         // characters of one string
	maxList  = 1 << 15         // elements of an array
	maxWork  = 1 << 24
	maxDepth = 256 // nested calls of the interpreter's own functions

	// maxAbandoned is how many runs may go on after they were abandoned. Each holds a thread busy until it ends.
	maxAbandoned = 4
)

var (
	errTooLong   = fmt.Errorf("script: %w: it runs too long", match.ErrScriptBounds)
	errMemory    = fmt.Errorf("script: %w: it holds more than %d MB of memory", match.ErrScriptBounds, maxMemory>>20)
	errTooDeep   = fmt.Errorf("script: %w: more than %d nested calls", match.ErrScriptBounds, maxCalls)
	errTooMuch   = fmt.Errorf("script: %w: it makes too large strings or lists", match.ErrScriptBounds)
	errAbandoned = fmt.Errorf("script: %w, since earlier scripts that ran too long have not ended yet", match.ErrScriptNotRun)
)

// abandoned counts the runs nobody waits for any more. It belongs to the process because the threads do.
var abandoned atomic.Int32

// script is a compiled script. It holds no state of a run: every run has an interpreter of its own, so that nothing
// that one leaves behind is seen by another.
type script struct {
	program  *goja.Program
	names    map[string]bool // the identifiers in the source: only their values are made for a run
	all      bool            // any name may be used, because the source mentions the global object
	deadline time.Duration
	grace    time.Duration
	after    func(time.Duration) <-chan time.Time // time.After, but in tests
}

// Compile compiles a script. It fails when the source is no JavaScript, or uses what scripts of policies may not use.
// It is a [match.ScriptCompiler].
func Compile(source string) (match.Script, error) {
	s, err := compile(source)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Met returns the value of the last expression where that is true or false, and else what the script set as ctx.result, which is
// false at first. Source: RangerRequestScriptEvaluator.evaluateConditionScript, RangerScriptConditionEvaluator.isMatched, as they
// are since Ranger 2.3; before, any value but false, null and undefined counted as true.
func (s *script) Met(v *match.Values) (match.Outcome, error) {
	var out match.Outcome // written by the run, and read only when it has ended
	err := s.run(v, func(value goja.Value, a *api) {
		_, isObject := value.(*goja.Object)
		met, isBool := value.Export().(bool)
		switch {
		case isBool && !isObject:
			out.Met = met
			if a.resultSet && a.result != met {
				out.From = match.FromOverruled
			}
			return
		case !goja.IsUndefined(value) && !goja.IsNull(value):
			out.From, out.Value = match.FromOtherType, a.box.short(value)
		case a.resultSet:
			out.From = match.FromResult
		default:
			out.From = match.FromNothing
		}
		out.Met = a.result
	})
	if err != nil {
		return match.Outcome{}, err
	}
	return out, nil
}

// Text returns the value of the last expression as a string; null and undefined are the empty one.
func (s *script) Text(v *match.Values) (string, error) {
	text := ""
	err := s.run(v, func(value goja.Value, a *api) {
		if !goja.IsUndefined(value) && !goja.IsNull(value) {
			text = a.box.text(value).String()
		}
	})
	if err != nil {
		return "", err
	}
	return text, nil
}

// run runs the script and calls use with its value, in another goroutine that it waits for until the deadline, or until the script
// holds too much memory. The interpreter is told to stop then; where a single operation of it takes still longer, the goroutine is
// abandoned. One script runs at a time.
func (s *script) run(v *match.Values, use func(goja.Value, *api)) error {
	running.Lock()
	defer running.Unlock()
	if abandoned.Load() >= maxAbandoned {
		return errAbandoned
	}
	watch := newMemoryWatch()
	defer watch.close()
	box := &sandbox{rt: goja.New()}
	result := make(chan error, 1)
	left := new(atomic.Bool) // by one of the two goroutines
	go func() {
		result <- s.runIn(box, v, use)
		if !left.CompareAndSwap(false, true) {
			abandoned.Add(-1)
		}
	}()
	why := error(nil)
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	for over := s.after(s.deadline); why == nil; {
		select {
		case err := <-result:
			return err
		case <-over:
			why = errTooLong
		case <-ticks.C:
			if watch.tooMuch() {
				why = errMemory
			}
		}
	}
	box.halt(why)
	select {
	case err := <-result:
		return err
	case <-s.after(s.grace):
	}
	abandoned.Add(1)
	if !left.CompareAndSwap(false, true) {
		abandoned.Add(-1) // it ended just now
	}
	return why
}

// runIn runs the script in box, which is a new one.
func (s *script) runIn(box *sandbox, v *match.Values, use func(goja.Value, *api)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
		if box.failed != nil {
			err = box.failed // whatever the script made of it
		}
	}()
	a, err := newAPI(box, v)
	if err != nil {
		return fmt.Errorf("script: preparing the interpreter: %w", err)
	}
	a.define(s)
	value, err := box.rt.RunProgram(s.program)
	if err != nil {
		return box.runError(err)
	}
	if ex := box.rt.Try(func() { use(value, a) }); ex != nil {
		return box.runError(ex)
	}
	return nil
}

// panicError returns what a panic of the interpreter says, without calling anything of the script. A fault of the
// interpreter binds the script alone.
func panicError(p any) error {
	switch p := p.(type) {
	case *goja.InterruptedError:
		return interrupted(p)
	case *goja.StackOverflowError:
		return errTooDeep
	case runtime.Error:
		return fmt.Errorf("script: the interpreter failed: %w", p)
	}
	return errors.New("script: the interpreter failed")
}

// interrupted returns why the interpreter was told to stop.
func interrupted(e *goja.InterruptedError) error {
	if why, ok := e.Value().(error); ok {
		return why
	}
	return errTooLong
}

// runError returns err in the words of a reader of policies. It is called while the run is bounded, since what a script
// throws may have a toString of its own, and holds nothing of the interpreter.
func (b *sandbox) runError(err error) error {
	var exception *goja.Exception
	if !errors.As(err, &exception) {
		return panicError(err)
	}
	thrown := "it throws something without a text"
	_ = b.rt.Try(func() { thrown = shortened(b.text(exception.Value()).String(), 300) })
	for _, frame := range exception.Stack() {
		if at := frame.Position(); frame.SrcName() == sourceName && at.Line > 0 {
			thrown = fmt.Sprintf("%s (line %d, column %d)", thrown, at.Line, at.Column)
			break
		}
	}
	if strings.HasPrefix(thrown, "ReferenceError: ") {
		return undefinedError("script: " + thrown)
	}
	return errors.New("script: " + thrown)
}

// short returns a value as short text: a string in quotes, something without a text as that.
func (b *sandbox) short(v goja.Value) (text string) {
	const longest = 60
	if s, ok := v.(goja.String); ok {
		return fmt.Sprintf("%q", shortened(s.String(), longest))
	}
	text = "something without a text"
	_ = b.rt.Try(func() { text = shortened(b.text(v).String(), longest) })
	return text
}

// shortened returns the text, cut where it is longer.
func shortened(text string, longest int) string {
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "..."
}

// undefinedError is the text of an error that is [match.ErrScriptUndefined].
type undefinedError string

func (e undefinedError) Error() string { return string(e) }

// Is reports whether target is [match.ErrScriptUndefined].
func (e undefinedError) Is(target error) bool { return target == match.ErrScriptUndefined }

//go:embed prelude.js
var preludeSource string

var prelude = goja.MustCompile("prelude.js", preludeSource, false)
