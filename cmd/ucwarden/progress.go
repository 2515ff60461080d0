package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"ucwarden/connector"
	"ucwarden/ondemand"
)

// progress shows how far long work is: as a bar on a terminal, else as lines of text, if asked for.
type progress struct {
	mu    sync.Mutex
	task  string // whose progress showOf shows
	phase string
	bars  *mpb.Progress
	bar   *mpb.Bar
	lines *progressLines
}

// progress makes one that shows a bar where standard error is a terminal, and else nothing.
func (a *app) progress() *progress {
	if !isTerminal(a.stderr) {
		return &progress{}
	}
	var to io.Writer = a.stderr
	if s, ok := to.(*stream); ok {
		to = s.to // the bar moves the cursor, and shows no text of others
	}
	return &progress{bars: mpb.New(mpb.WithOutput(to), mpb.WithWidth(48))}
}

// progressInLines makes one that writes lines where standard error is no terminal.
func (a *app) progressInLines() *progress {
	p := a.progress()
	if p.bars == nil {
		p.lines = &progressLines{w: a.stderr, started: time.Now(), printedAt: time.Now()}
	}
	return p
}

// phaseSync is the phase of a full sync in which its shards are applied.
const phaseSync = "sync"

var phaseTitles = map[string]string{
	"list": "listing objects", "read": "reading grants", "apply": "applying changes", "plan": "planning shards", phaseSync: "syncing shards",
}

// show shows the state of the work; it may be called from many goroutines.
func (p *progress) show(at connector.Progress) {
	if p.bars == nil && p.lines == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines != nil {
		p.lines.show(at)
		return
	}
	if p.phase != at.Phase {
		if p.bar != nil {
			p.bar.Abort(true)
		}
		p.phase = at.Phase
		counter := decor.CountersNoUnit("%d / %d")
		if at.Total == 0 { // not known
			counter = decor.CurrentNoUnit("%d")
		}
		p.bar = p.bars.AddBar(int64(at.Total),
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(phaseTitles[at.Phase]+" ")),
			mpb.AppendDecorators(counter, decor.Name("  "), decor.Elapsed(decor.ET_STYLE_GO)))
	}
	p.bar.SetTotal(int64(at.Total), false)
	p.bar.SetCurrent(int64(at.Done))
}

// watch sets the task whose progress showOf shows.
func (p *progress) watch(task string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.task = task
}

// showOf shows the state of a task, if it is the one that is watched.
func (p *progress) showOf(task string, at connector.Progress) {
	p.mu.Lock()
	watched := task == p.task
	p.mu.Unlock()
	if watched {
		p.show(at)
	}
}

// showTask shows how many of the shards of a full sync have ended.
func (p *progress) showTask(t ondemand.Task) {
	if c := t.Children; c != nil {
		p.show(connector.Progress{Phase: phaseSync, Done: c.Total - c.Open(), Total: c.Total})
	}
}

// tick has a line written where there was none for long.
func (p *progress) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines != nil {
		p.lines.tick()
	}
}

// done clears what was drawn.
func (p *progress) done() {
	if p.bars == nil {
		return
	}
	p.mu.Lock()
	if p.bar != nil {
		p.bar.Abort(true)
	}
	p.mu.Unlock()
	p.bars.Wait()
}

// follow shows, until stopped, how far a task is that get returns, which it calls once per interval.
func (p *progress) follow(ctx context.Context, interval time.Duration, get func(context.Context) (ondemand.Task, error)) (stop func()) {
	if p.bars == nil && p.lines == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if t, err := get(ctx); err == nil {
				p.showTask(t)
			}
			p.tick()
		}
	}()
	return func() { cancel(); <-ended }
}

const (
	// lineInterval is the time between two lines at least, lineShare how much further the work is then, as a part of the
	// whole, and lineSilence the time after which there is a line whatever was done.
	lineInterval = 2 * time.Second
	lineShare    = 10
	lineSilence  = 30 * time.Second
)

// progressLines writes lines about the progress of work, for a log: one at the end of each phase, about ten during it, and one
// every half minute where it takes long.
type progressLines struct {
	w                  io.Writer
	started, printedAt time.Time
	at, printed        connector.Progress
}

func (l *progressLines) show(at connector.Progress) {
	l.at = at
	further := at.Phase != l.printed.Phase || (at.Done-l.printed.Done)*lineShare >= at.Total
	ended := at.Total > 0 && at.Done == at.Total && (at.Phase != l.printed.Phase || at.Done != l.printed.Done || at.Total != l.printed.Total)
	if ended || further && time.Since(l.printedAt) >= lineInterval {
		l.print()
	}
}

func (l *progressLines) tick() {
	if l.at.Phase != "" && time.Since(l.printedAt) >= lineSilence {
		l.print()
	}
}

func (l *progressLines) print() {
	var b strings.Builder
	fmt.Fprintf(&b, "ucwarden: %s: %d", phaseTitles[l.at.Phase], l.at.Done)
	if l.at.Total > 0 {
		fmt.Fprintf(&b, " of %d", l.at.Total)
	}
	if l.at.Read > 0 {
		fmt.Fprintf(&b, ", grants on %s read", count(l.at.Read, "object"))
	}
	if took := time.Since(l.started).Round(time.Second); took > 0 {
		fmt.Fprintf(&b, ", after %s", took)
	}
	fmt.Fprintln(l.w, b.String())
	l.printed, l.printedAt = l.at, time.Now()
}
