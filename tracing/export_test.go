package tracing

import "context"

// Flush sends what was recorded until now.
func (p *Provider) Flush(ctx context.Context) error { return p.provider.ForceFlush(ctx) }
