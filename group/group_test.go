package group_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"ucwarden/group"
)

// waitFor returns the error of a group, and what it panicked with.
func waitFor(g *group.Group) (caught *group.Panic, err error) {
	defer func() {
		if r := recover(); r != nil {
			caught = r.(*group.Panic)
		}
	}()
	return nil, g.Wait()
}

func TestPanicComesOutOfWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, ctx := group.WithContext(t.Context())
		g.Go(func() error { <-ctx.Done(); return ctx.Err() }) // the panic ends it
		g.Go(func() error {
			inner := group.New()
			inner.Go(func() error { panic("deep") })
			return inner.Wait()
		})
		caught, _ := waitFor(g)
		if caught == nil || caught.Value != "deep" || !strings.Contains(string(caught.Stack), "group_test.go") {
			t.Errorf("got %v, want the value and the stack of the goroutine that panicked", caught)
		}
	})
}

func TestErrors(t *testing.T) {
	failure := errors.New("no")
	g := group.New()
	ran := make([]bool, 20)
	g.SetLimit(3)
	for i := range ran {
		g.Go(func() error {
			ran[i] = true
			if i == 5 {
				return failure
			}
			return nil
		})
	}
	if caught, err := waitFor(g); !errors.Is(err, failure) || caught != nil {
		t.Errorf("got %v, %v", err, caught)
	}
	for i, ok := range ran {
		if !ok {
			t.Errorf("function %d did not run: New tells none of the error of another", i)
		}
	}
	if caught, err := waitFor(group.New()); err != nil || caught != nil {
		t.Errorf("an empty group: %v, %v", err, caught)
	}
	// An error that says that somebody handled a panic is an error like another.
	handled := group.Call(func() error { panic("handled") })
	g, _ = group.WithContext(context.Background())
	g.Go(func() error { return handled })
	if caught, err := waitFor(g); !errors.Is(err, handled) || caught != nil {
		t.Errorf("got %v, %v, want the error alone", err, caught)
	}
}
