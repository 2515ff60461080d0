package protection

import (
	"context"
	"fmt"

	"ucwarden/policy"
)

// WhyShared says why a table that is in a share, itself or with its schema, is not given a row filter or masks; empty where none of the
// shares holds it. Unity Catalog shares no table that carries one: whom it is shared with could not read it any more.
func WhyShared(table policy.Securable, shared map[policy.Securable]string) string {
	const why = "is in the share %q, and a table with a row filter or mask cannot be shared; take it out of the share, or remove the policies"
	if share, ok := shared[table]; ok {
		return fmt.Sprintf("it "+why, share)
	}
	if schema, ok := table.Parent(); ok {
		if share, ok := shared[schema]; ok {
			return fmt.Sprintf("its schema "+why, share)
		}
	}
	return ""
}

// newlyProtected looks, before a table that carries nothing is given something, for what keeps it from that beyond what it is: it is
// shared with others. It says why it is kept, or that this could not be learned, with an error.
func (p *planning) newlyProtected(ctx context.Context, state *policy.TableState) (why string, err error) {
	if p.Shares == nil || state.Protection.Filter != nil || len(state.Protection.Masks) > 0 {
		return "", nil
	}
	shared, err := p.shared(ctx)
	if err != nil {
		return "", fmt.Errorf("read which tables are shared with others: %w", err)
	}
	return WhyShared(state.Securable, shared), nil
}

// shared reads what is shared once for a plan.
func (p *planning) shared(ctx context.Context) (map[policy.Securable]string, error) {
	p.sharedOnce.Do(func() {
		p.sharedBy, p.sharedErr = p.Shares.Shared(ctx)
		if p.sharedErr == nil || policy.CodeOf(p.sharedErr).Retryable() || ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.find(policy.EffectNone, policy.Securable{}, "which tables are shared with others cannot be read; where one is, and is given a row filter or mask, they cannot read it any more: %v", p.sharedErr)
		p.sharedErr = nil
	})
	return p.sharedBy, p.sharedErr
}
