package protection

import (
	"context"
	"errors"

	"ucwarden/policy"
)

// ErrNotRun says that a statement did not begin to run, so that it had no effect.
var ErrNotRun = errors.New("the statement was not run")

// Warehouse runs SQL statements.
type Warehouse interface {
	// Execute runs one statement to its end and returns the rows of its result, if it has one; a NULL is the empty text. A
	// warehouse that is stopped is started and waited for. When ctx ends, the statement is cancelled as far as it can be.
	//
	// Errors have a code: policy.CodeUnavailable says that it may be tried again, and, unless [ErrNotRun] is in its chain,
	// that the statement may have had its effect all the same: whoever sends it again looks first. policy.CodeForbidden,
	// policy.CodeNotFound, policy.CodeConflict (what was to be made exists) and policy.CodeInvalid say that it had none.
	// Many goroutines may call Execute at once; it bounds how many statements are under way.
	Execute(ctx context.Context, statement string) (rows [][]string, err error)
	// Usable returns why no statement can be run on the warehouse, as far as can be seen without starting it: nil for one that is there
	// and stopped, of class policy.CodeUnavailable where that could not be read. With try, a statement without any effect is run on one
	// that runs, since whoever may see it may not use it.
	Usable(ctx context.Context, try bool) error
}

// Protections reads the row filters, masks and functions of a workspace.
type Protections interface {
	// Tables returns what the tables in a schema carry, or the table that of names, which is
	// policy.CodeNotFound where it does not exist. It reads page by page where the schema's listing shows columns and filters, and table by table otherwise;
	// a table for which that could not be learned is there with Known false.
	Tables(ctx context.Context, of policy.Securable) ([]policy.TableState, error)
	// Functions returns the functions in a schema, or the one function that of names. A schema that does not exist is
	// policy.CodeNotFound.
	Functions(ctx context.Context, of policy.Securable) ([]policy.SQLFunction, error)
	// AttributePolicies returns the attribute-based access policies on a catalog, schema or table, those that it inherits
	// included; none where the workspace has no such policies. policy.CodeForbidden says that we may not see them.
	AttributePolicies(ctx context.Context, on policy.Securable) ([]policy.AttributePolicy, error)
}

// Shares reads what a workspace shares with others by Delta Sharing.
type Shares interface {
	// Shared returns the tables and schemas that shares hold, each with the name of a share that does. It knows the shares that the
	// workspace shows us, which are all of them only to an administrator of the metastore. With an error it returns what was read all
	// the same.
	Shared(ctx context.Context) (map[policy.Securable]string, error)
}
