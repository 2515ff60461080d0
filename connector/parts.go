package connector

import (
	"context"
	"maps"
	"slices"

	"ucwarden/policy"
)

// sendParts sends a change that was refused because of a principal the workspace does not know: without that
// principal, or, when the answer did not say which one it is, in parts until it is found. Parts that are not sent at
// once keep the order that policy.Diff keeps between changes.
func (s *Syncer) sendParts(ctx context.Context, c policy.Change, unknown policy.Principal, out *Outcome) error {
	principals := principalsOf(c)
	if len(principals) == 1 {
		unknown = principals[0]
	}
	if slices.Contains(principals, unknown) {
		if err := s.unknown.add(unknown); err != nil {
			s.Logger.WarnContext(ctx, "an unknown principal will be tried again by the next run", "principal", string(unknown), "error", err)
		}
		if !slices.Contains(out.Unknown, unknown) {
			out.Unknown = append(out.Unknown, unknown)
		}
		return s.send(ctx, only(c, func(a policy.Assignment) bool { return a.Principal != unknown }), out)
	}
	parts := stages(c)
	if len(parts) == 1 {
		half := principals[:len(principals)/2]
		inHalf := func(a policy.Assignment) bool { return slices.Contains(half, a.Principal) }
		parts = []policy.Change{only(c, inHalf), only(c, func(a policy.Assignment) bool { return !inHalf(a) })}
	}
	for _, part := range parts {
		if err := s.send(ctx, s.withoutUnknown(part, out), out); err != nil {
			return err
		}
	}
	return nil
}

// stages takes a change apart into what must not be swapped: access is added before access is removed, that before
// USE_* is added, and that before USE_* is removed.
func stages(c policy.Change) []policy.Change {
	use := func(a policy.Assignment) bool { return a.Privilege.IsUse() }
	access := func(a policy.Assignment) bool { return !use(a) }
	var parts []policy.Change
	for _, pick := range []func(policy.Assignment) bool{access, use} {
		part := only(c, pick)
		for _, p := range []policy.Change{
			{Securable: c.Securable, Wave: c.Wave, Add: part.Add},
			{Securable: c.Securable, Wave: c.Wave, Remove: part.Remove},
		} {
			if !empty(p) {
				parts = append(parts, p)
			}
		}
	}
	return parts
}

func principalsOf(c policy.Change) []policy.Principal {
	set := make(map[policy.Principal]bool)
	for _, a := range slices.Concat(c.Add, c.Remove) {
		set[a.Principal] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func only(c policy.Change, keep func(policy.Assignment) bool) policy.Change {
	pick := func(list []policy.Assignment) []policy.Assignment {
		return slices.DeleteFunc(slices.Clone(list), func(a policy.Assignment) bool { return !keep(a) })
	}
	return policy.Change{Securable: c.Securable, Wave: c.Wave, Add: pick(c.Add), Remove: pick(c.Remove)}
}
