package main

import (
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"ucwarden/connector"
)

// progress shows how far long work is, on a terminal only.
type progress struct {
	mu    sync.Mutex
	bars  *mpb.Progress
	phase string
	bar   *mpb.Bar
}

// progress makes one; where standard error is no terminal it shows nothing.
func (a *app) progress() *progress {
	if !isTerminal(a.stderr) {
		return &progress{}
	}
	return &progress{bars: mpb.New(mpb.WithOutput(a.stderr), mpb.WithWidth(48))}
}

var phaseTitles = map[string]string{"list": "listing objects", "read": "reading grants", "apply": "applying changes", "sync": "syncing catalogs"}

// show draws the state of the work; it may be called from many goroutines.
func (p *progress) show(at connector.Progress) {
	if p.bars == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
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
