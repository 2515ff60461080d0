package unitycatalog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"ucwarden/connector/protection"
	"ucwarden/policy"
)

const statementsPath = "/api/2.0/sql/statements"

// Warehouse runs statements on one SQL warehouse of the workspace.
type Warehouse struct {
	client *Client
	id     string
	slots  chan struct{}
	took   atomic.Bool // a statement, which shows that we may use it
}

var _ protection.Warehouse = (*Warehouse)(nil)

// statementsAtOnce bounds the statements under way: a warehouse runs about ten queries at once and queues the others.
const statementsAtOnce = 10

// Warehouse returns the SQL warehouse of an id. Nothing is asked of the workspace.
func (c *Client) Warehouse(id string) *Warehouse {
	return &Warehouse{client: c, id: id, slots: make(chan struct{}, statementsAtOnce)}
}

// Usable implements protection.Warehouse.
func (w *Warehouse) Usable(ctx context.Context, try bool) error {
	info, err := w.client.warehouse(ctx, w.id)
	switch code := policy.CodeOf(err); {
	case code == policy.CodeNotFound || code == policy.CodeForbidden:
		return w.missing(err)
	case err != nil:
		return wrap(err, "read SQL warehouse %s", w.id)
	case info.deleted():
		return policy.Errorf(policy.CodeInvalid, "databricks.warehouse names %s (%s), which is %s", w.id, info.Name, info.State)
	case try && info.State == "RUNNING" && !w.took.Load():
		return w.try(ctx)
	}
	return nil
}

// tryTimeout is how long a statement is waited for that only shows whether the warehouse takes any.
const tryTimeout = 10 * time.Second

// try runs a statement that needs nothing but the warehouse: whoever may see one may not use it.
func (w *Warehouse) try(ctx context.Context) error {
	short, stop := context.WithTimeout(ctx, tryTimeout)
	defer stop()
	if _, err := w.Execute(short, "SELECT 1"); err != nil && !w.took.Load() {
		return err
	}
	return nil
}

// missing returns the error of a warehouse that is not there for us, which is not to be taken for what a statement names.
func (w *Warehouse) missing(err error) error {
	return policy.Errorf(policy.CodeInvalid, "databricks.warehouse names none that is there, or that we may use: %s", oneLine(err.Error()))
}

type warehouseInfo struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

func (i *warehouseInfo) deleted() bool { return i.State == "DELETED" || i.State == "DELETING" }

func (c *Client) warehouse(ctx context.Context, id string) (info warehouseInfo, err error) {
	err = c.get(ctx, "warehouse", "/api/2.0/sql/warehouses/"+url.PathEscape(id), nil, &info)
	return info, err
}

type statementRequest struct {
	WarehouseID   string `json:"warehouse_id"`
	Statement     string `json:"statement"`
	WaitTimeout   string `json:"wait_timeout"`
	OnWaitTimeout string `json:"on_wait_timeout"`
	Disposition   string `json:"disposition"`
	Format        string `json:"format"`
}

type statementAnswer struct {
	ID     string `json:"statement_id"`
	Status struct {
		State string `json:"state"`
		Error struct {
			Code    string `json:"error_code"`
			Message string `json:"message"`
		} `json:"error"`
		SQLState string `json:"sql_state"`
	} `json:"status"`
	Result statementChunk `json:"result"`
}

type statementChunk struct {
	Rows [][]*string `json:"data_array"`
	Next *int        `json:"next_chunk_index"`
}

// Execute implements protection.Warehouse. The workspace starts a warehouse that is stopped; the statement is pending until
// it runs.
func (w *Warehouse) Execute(ctx context.Context, statement string) ([][]string, error) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return nil, policy.Errorf(policy.CodeUnavailable, "run a statement on warehouse %s: %w: %w", w.id, protection.ErrNotRun, ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "run a statement on warehouse %s: %w: %w", w.id, protection.ErrNotRun, err)
	}
	rows, err := w.execute(ctx, statement)
	for wait := firstRetry; errors.Is(err, errBusy) && wait <= lastRetry && sleep(ctx, wait); wait *= 2 {
		rows, err = w.execute(ctx, statement)
	}
	if err != nil {
		return nil, wrap(err, "run a statement on warehouse %s", w.id)
	}
	return rows, nil
}

// Statements that failed because the warehouse had too much to do had no effect, and are sent again after these waits.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 400 * time.Millisecond
)

// waitTimeout is how long the workspace waits for the end of a statement before it answers, the shortest that it takes.
const (
	waitTimeout       = "5s"
	waitTimeoutLength = 5 * time.Second
)

// errBusy is in the chain of the error of such a statement.
var errBusy = errors.New("the warehouse is busy")

func (w *Warehouse) execute(ctx context.Context, statement string) ([][]string, error) {
	var a statementAnswer
	request := statementRequest{w.id, statement, waitTimeout, "CONTINUE", "INLINE", "JSON_ARRAY"}
	// Who is cancelled waits for the answer all the same: without the id in it the statement could not be.
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(cancelTimeout+waitTimeoutLength, stop) })()
	if err := w.client.do(sending, requestInfo{route: "POST statements"}, http.MethodPost, statementsPath, request, &a); err != nil {
		if code := policy.CodeOf(err); code == policy.CodeNotFound || code == policy.CodeForbidden { // what SQL fails of has no status of its own
			w.took.Store(false)
			return nil, w.missing(err)
		}
		return nil, err
	}
	w.took.Store(true)
	path := statementsPath + "/" + url.PathEscape(a.ID)
	for wait := 100 * time.Millisecond; a.Status.State == "PENDING" || a.Status.State == "RUNNING"; wait = min(2*wait, 5*time.Second) {
		if a.ID == "" {
			return nil, schemaError("POST statements", fmt.Errorf("no statement_id"))
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			w.cancel(ctx, path)
			return nil, policy.Errorf(policy.CodeUnavailable, "cancelled while it ran: %w", ctx.Err())
		}
		id := a.ID
		a = statementAnswer{}
		if err := w.client.get(ctx, "statement", path, nil, &a); err != nil {
			if ctx.Err() != nil {
				w.cancel(ctx, path)
			}
			return nil, err
		}
		a.ID = id
	}
	if a.Status.State != "SUCCEEDED" {
		return nil, statementError(&a)
	}
	return w.rows(ctx, path, a.Result)
}

// cancelTimeout is how long a cancellation may take once nobody waits for the statement any more.
const cancelTimeout = 5 * time.Second

// cancel asks that a statement that nobody waits for be ended. That it is, is not waited for: whoever needs to know reads what
// the statement was about.
func (w *Warehouse) cancel(ctx context.Context, path string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer stop()
	var none struct{}
	if err := w.client.do(ctx, requestInfo{route: "POST cancel statement", idempotent: true}, http.MethodPost, path+"/cancel", struct{}{}, &none); err != nil {
		w.client.log.WarnContext(ctx, "cannot cancel a SQL statement; it may still run", "warehouse", w.id, "error", err)
	}
}

// rows returns the rows of all chunks of a result.
func (w *Warehouse) rows(ctx context.Context, path string, chunk statementChunk) ([][]string, error) {
	var rows [][]string
	for last := -1; ; {
		for _, values := range chunk.Rows {
			row := make([]string, len(values))
			for i, v := range values {
				if v != nil {
					row[i] = *v
				}
			}
			rows = append(rows, row)
		}
		if chunk.Next == nil {
			return rows, nil
		}
		next := *chunk.Next
		if next <= last {
			return nil, policy.Errorf(policy.CodeUnavailable, "the result does not end: chunk %d follows chunk %d", next, last)
		}
		last, chunk = next, statementChunk{}
		if err := w.client.get(ctx, "statement chunk", fmt.Sprintf("%s/result/chunks/%d", path, next), nil, &chunk); err != nil {
			return nil, err
		}
	}
}

// statementError classifies a statement that did not succeed, by the code of the answer and the class of the SQL state.
func statementError(a *statementAnswer) error {
	e := a.Status.Error
	text := strings.TrimSpace(e.Code + " " + oneLine(e.Message))
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	code := policy.CodeInvalid
	switch {
	case a.Status.State != "FAILED":
		text = strings.TrimSpace("the statement ended " + a.Status.State + " " + text)
		code = policy.CodeUnavailable
	case has("RESOURCE_EXHAUSTED", "TEMPORARILY_UNAVAILABLE", "SERVICE_UNDER_MAINTENANCE"):
		return policy.Errorf(policy.CodeUnavailable, "%w: %s", errBusy, text)
	case has("DEADLINE_EXCEEDED", "CONCURRENT"):
		code = policy.CodeUnavailable
	case a.Status.SQLState == "42501" || has("PERMISSION_DENIED", "INSUFFICIENT_PERMISSIONS"):
		code = policy.CodeForbidden
	case has("ALREADY_EXISTS"):
		code = policy.CodeConflict
	case has("NOT_FOUND", "DOES_NOT_EXIST"):
		code = policy.CodeNotFound
	}
	return policy.Errorf(code, "%s", text)
}
