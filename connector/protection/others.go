package protection

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"ucwarden/policy"
)

// readOthers reads the attribute-based policies of others on the catalogs that were read whole, and on those of their schemas that were
// not asked for them yet. Where those of a catalog cannot be seen, what that means for its schemas is said already.
func (p *planning) readOthers(ctx context.Context, asked map[policy.Securable][]policy.Object) error {
	for _, c := range p.Whole {
		others, err := p.Reader.AttributePolicies(ctx, c)
		p.noteOthers(c, others, err)
		if err != nil {
			continue
		}
		var schemas []policy.Securable
		for _, s := range p.Inventory.Children[c.FullName] {
			if _, ok := asked[s.Securable]; !ok && p.InScope(s.Securable) {
				schemas = append(schemas, s.Securable)
			}
		}
		if err := p.each(ctx, len(schemas), func(ctx context.Context, i int) {
			others, err := p.Reader.AttributePolicies(ctx, schemas[i])
			p.noteOthers(schemas[i], others, err)
		}); err != nil {
			return err
		}
	}
	return nil
}

// maxOwn bounds of how many tables that carry what they are to carry a plan reads the attribute-based policies on the tables
// themselves, one call for each. Where there are more, each plan takes others, by chance.
const maxOwn = 500

// someOf returns up to n of the tables.
func someOf(bySchema map[policy.Securable][]policy.Object, n int) map[policy.Securable]bool {
	some := make(map[policy.Securable]bool)
	var list []policy.Securable
	for _, tables := range bySchema {
		for _, t := range tables {
			list = append(list, t.Securable)
		}
	}
	for _, i := range rand.Perm(len(list))[:min(n, len(list))] {
		some[list[i]] = true
	}
	return some
}

// noteOthers reports attribute-based policies of others on a catalog or schema.
func (p *planning) noteOthers(on policy.Securable, others []policy.AttributePolicy, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case policy.CodeOf(err) == policy.CodeForbidden:
		const why = "its attribute-based policies cannot be seen, which takes MANAGE on it: what one of them grants is not known here, and where one filters a table that is filtered here too, queries of the table fail"
		p.unseen[why] = append(p.unseen[why], on)
	case err != nil && policy.CodeOf(err) != policy.CodeNotFound:
		why := fmt.Sprintf("its attribute-based policies cannot be read, so what they grant or filter is not known here: %v", err)
		p.unseen[why] = append(p.unseen[why], on)
	}
	for _, o := range others {
		switch o.Type {
		case policy.AttributeGrant:
			p.find(policy.EffectWider, o.On, "the attribute-based policy %q there grants privileges, which policies here do not know of", o.Name)
		case policy.AttributeRowFilter, policy.AttributeColumnMask:
			p.find(policy.EffectNone, o.On, "the attribute-based policy %q there filters rows or masks columns, besides what policies here say", o.Name)
		case policy.AttributeDeny:
			p.find(policy.EffectNone, o.On, "the attribute-based policy %q there denies the managing of access, maybe ours", o.Name)
		default:
			p.find(policy.EffectNone, o.On, "the attribute-based policy %q there is of a type that is not known here (%s), so whether it grants or hides something is not either", o.Name, o.Type)
		}
	}
}

// noteUnseen reports once for each reason where attribute-based policies could not be read.
func (p *planning) noteUnseen() {
	for _, why := range slices.Sorted(maps.Keys(p.unseen)) {
		on := slices.MinFunc(p.unseen[why], policy.Securable.Compare)
		p.out.Findings = append(p.out.Findings, policy.Finding{Effect: policy.EffectNone, Securable: on, Message: why, Count: len(p.unseen[why]) - 1})
	}
}
