package protection

import (
	"context"
	"sync"

	"ucwarden/policy"
)

// Once returns a reader that asks another for each answer once, for a sync that plans twice by what it read. Errors are not kept.
func Once(r Protections) Protections {
	return &once{reader: r, tables: make(map[policy.Securable][]policy.TableState), functions: make(map[policy.Securable][]policy.SQLFunction), policies: make(map[policy.Securable][]policy.AttributePolicy)}
}

type once struct {
	reader    Protections
	mu        sync.Mutex // not held while the reader is asked
	tables    map[policy.Securable][]policy.TableState
	functions map[policy.Securable][]policy.SQLFunction
	policies  map[policy.Securable][]policy.AttributePolicy
}

func answer[T any](ctx context.Context, mu *sync.Mutex, known map[policy.Securable][]T, of policy.Securable, ask func(context.Context, policy.Securable) ([]T, error)) ([]T, error) {
	mu.Lock()
	list, ok := known[of]
	mu.Unlock()
	if ok {
		return list, nil
	}
	list, err := ask(ctx, of)
	if err == nil {
		mu.Lock()
		known[of] = list
		mu.Unlock()
	}
	return list, err
}

func (o *once) Tables(ctx context.Context, of policy.Securable) ([]policy.TableState, error) {
	return answer(ctx, &o.mu, o.tables, of, o.reader.Tables)
}

func (o *once) Functions(ctx context.Context, of policy.Securable) ([]policy.SQLFunction, error) {
	return answer(ctx, &o.mu, o.functions, of, o.reader.Functions)
}

func (o *once) AttributePolicies(ctx context.Context, on policy.Securable) ([]policy.AttributePolicy, error) {
	return answer(ctx, &o.mu, o.policies, on, o.reader.AttributePolicies)
}
