package apiserver_test

import (
	"context"

	"ucwarden/apiserver"
	"ucwarden/ondemand"
)

// faulty fails every submission.
type faulty struct {
	apiserver.Tasks
	err error
}

func (f faulty) Submit(context.Context, ondemand.Task) (ondemand.Task, bool, error) {
	return ondemand.Task{}, false, f.err
}

// panicking panics on every submission.
type panicking struct{ apiserver.Tasks }

func (panicking) Submit(context.Context, ondemand.Task) (ondemand.Task, bool, error) {
	panic("the secret of the panic")
}
