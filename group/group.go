package group

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Panic is a panic that was caught in another goroutine.
type Panic struct {
	Value any
	Stack []byte // of the goroutine that panicked
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Group is a set of goroutines like errgroup.Group, whose panics come out of Wait.
type Group struct {
	goroutines *errgroup.Group

	once   sync.Once
	caught *Panic // the first
}

// New returns a group whose functions are not told of an error of another.
func New() *Group { return &Group{goroutines: new(errgroup.Group)} }

// WithContext returns a group, and a context that ends with the first error or panic of one of its functions, or when Wait
// returns.
func WithContext(ctx context.Context) (*Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	return &Group{goroutines: g}, ctx
}

// SetLimit bounds how many functions run at once; it must be called before the first Go.
func (g *Group) SetLimit(n int) { g.goroutines.SetLimit(n) }

// Go calls f in a goroutine. It waits while as many run as the limit allows.
func (g *Group) Go(f func() error) {
	g.goroutines.Go(func() error {
		caught, err := call(f)
		if caught != nil {
			g.once.Do(func() { g.caught = caught })
			return caught
		}
		return err
	})
}

// Wait waits until all functions have returned, and returns the first error. If one of them panicked, it panics with a
// *Panic that holds the value and the stack.
func (g *Group) Wait() error {
	err := g.goroutines.Wait()
	if g.caught != nil {
		panic(g.caught)
	}
	return err
}

// Call calls f, and returns its error; a *Panic where it panicked.
func Call(f func() error) error {
	caught, err := call(f)
	if caught != nil {
		return caught
	}
	return err
}

func call(f func() error) (caught *Panic, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Panic: // of a group that f waited for
			caught = r
		default:
			caught = &Panic{Value: r, Stack: debug.Stack()}
		}
	}()
	return nil, f()
}
