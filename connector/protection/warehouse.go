package protection

import (
	"context"

	"ucwarden/policy"
)

// noteWarehouse reports what of a plan cannot be done, where the warehouse that is to do it is not there, or not for us.
func (p *planning) noteWarehouse(ctx context.Context) {
	if p.out.Statements == 0 {
		return
	}
	err := p.Warehouse.Usable(ctx, p.Try)
	if err == nil || ctx.Err() != nil {
		return
	}
	var tables []policy.Securable
	for i := range p.out.Changes {
		if p.out.Changes[i].Sets() {
			tables = append(tables, p.out.Changes[i].Table)
		}
	}
	switch {
	case policy.CodeOf(err).Retryable():
		p.find(policy.EffectNone, policy.Securable{}, "it is not known whether row filters and masks can be set: %v", err)
	case len(tables) == 0:
		p.find(policy.EffectNone, policy.Securable{}, "no row filter, mask or function can be taken away, and a sync fails: %v", err)
	default:
		p.out.Findings = append(p.out.Findings, policy.Finding{Effect: policy.EffectNarrower, Securable: tables[0], Count: len(tables) - 1,
			Message: "its row filter and masks cannot be set, so that the table is closed for whom they bind whatever else this plan grants there, and a sync fails: " + err.Error()})
	}
}
