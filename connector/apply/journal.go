package apply

import (
	"context"

	"ucwarden/connector/call"
	"ucwarden/policy"
)

// Origin says what a change is made for.
type Origin struct {
	Task string // id of the task
	By   string // who posted it, or what: a schedule, a change of the policies
}

// Journal notes every change that is made to the workspace.
type Journal interface {
	// Begin notes that the change is about to be sent. When it returns without an error the note survives a crash; with
	// an error the change must not be sent. ended must be called with what became of it: the error of the call, and the
	// id by which the workspace knows the request, where there is one.
	Begin(ctx context.Context, o Origin, c policy.Change) (ended func(requestID string, err error), err error)
	// BeginProtection notes that statements are about to be sent that set or lift a row filter or masks, as Begin does.
	BeginProtection(ctx context.Context, o Origin, c policy.ProtectionChange) (ended func(err error), err error)
	// Settle finds out, by reading anew the grants, or what a table carries, what became of changes of which that is not known, after a
	// crash or where no answer came. What cannot be read is left for the next time.
	Settle(ctx context.Context, from Permissions, tables Tables)
}

// Tables reads what tables carry.
type Tables interface {
	// Tables returns what the table of that name carries; policy.CodeNotFound where it does not exist.
	Tables(ctx context.Context, of policy.Securable) ([]policy.TableState, error)
}

// NoJournal is a Journal that notes nothing.
type NoJournal struct{}

// Begin implements Journal.
func (NoJournal) Begin(context.Context, Origin, policy.Change) (func(string, error), error) {
	return func(string, error) {}, nil
}

// BeginProtection implements Journal.
func (NoJournal) BeginProtection(context.Context, Origin, policy.ProtectionChange) (func(error), error) {
	return func(error) {}, nil
}

// Settle implements Journal.
func (NoJournal) Settle(context.Context, Permissions, Tables) {}

// sendNoted sends a change, noted in the journal, and returns the grants on its securable afterwards.
func (a *applier) sendNoted(ctx context.Context, c policy.Change) ([]policy.Assignment, error) {
	ended, err := a.Journal.Begin(ctx, a.Origin, c)
	if err != nil {
		return nil, err
	}
	ctx, id := call.WithRequestID(ctx)
	have, err := a.Permissions.Apply(ctx, c)
	ended(*id, err)
	return have, err
}
