package connector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ucwarden/connector/memory"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/guard"
	"ucwarden/span"
)

// judge asks the guards about the plan of a sync of named roots, together with what other such syncs by the same policies
// revoke. An approval must name the plan.
func (r *run) judge(ctx context.Context, plan *policy.Plan, listings []memory.Listing) (err error) {
	ctx, s := span.Start(ctx, "guards")
	defer func() { span.End(s, err) }()
	input, err := r.guardInput(ctx, plan.Totals, plan.Digest(), r.request.Approved)
	if err != nil {
		return err
	}
	input.Listed, input.LastTime = memory.LargestLoss(listings)
	if j := r.request.judged; j != nil {
		return r.judgeAnew(plan, *j, input)
	}
	if err := checkSaved(r.request, input.Digest); err != nil {
		return err
	}
	if err := checkApproval(input, nil); err != nil {
		return err
	}
	if input.ReadOtherwise, err = r.readOtherwise(securablesOf(plan.Changes)); err != nil {
		return err
	}
	check := func(c guard.Input) error { return guard.CheckAll(r.Guards, c) }
	err = nil
	if r.Mode == policy.ModeObserve { // which revokes nothing that would count with later revokes
		err = check(input)
	} else {
		err = r.revokes.admit(r.snapshot, input, check)
	}
	if err != nil {
		return refusal(err, "nothing was changed", approve(input.Digest, r.request.Roots))
	}
	return nil
}

// guardInput returns what guards know of a sync besides its listings. Where it is let pass, the metastore is known from
// then on.
func (r *run) guardInput(ctx context.Context, totals policy.Totals, digest, approved string) (guard.Input, error) {
	input := guard.Input{
		Totals: totals, Digest: digest, Approved: approved,
		Now: time.Now(), FetchedAt: r.snapshot.FetchedAt, Policies: r.compiler.Policies(),
	}
	if totals.Losses() == 0 || r.memory.Shared() == nil {
		return input, nil
	}
	id, err := r.metastore(ctx)
	if err != nil {
		return input, err
	}
	known, err := r.memory.Knows(id)
	input.FirstContact = !known
	return input, err
}

func securablesOf(changes []policy.Change) []policy.Securable {
	list := make([]policy.Securable, len(changes))
	for i, c := range changes {
		list[i] = c.Securable
	}
	return list
}

// readOtherwise returns the parts of a full sync that what is to be changed is in and that were last brought into sync by a
// program that read policies otherwise.
func (r *run) readOtherwise(changed []policy.Securable) ([]policy.Securable, error) {
	if len(changed) == 0 {
		return nil, nil
	}
	last, err := r.memory.LastSyncs()
	if err != nil {
		return nil, err
	}
	var otherwise []policy.Securable
	for _, s := range changed {
		shard := memory.ShardOf(s)
		if l, synced := last[shard.String()]; synced && l.Reading != compile.Reading && !slices.Contains(otherwise, shard) {
			otherwise = append(otherwise, shard)
		}
	}
	return otherwise, nil
}

// checkApproval returns an error for an approval of a plan that the sync would not carry out: neither the whole nor one
// of its parts has the digest.
func checkApproval(c guard.Input, parts []string) error {
	if c.Approved == "" || c.Approved == c.Digest {
		return nil
	}
	for _, p := range parts {
		if p == c.Approved {
			return nil
		}
	}
	return policy.Errorf(policy.CodeInvalid,
		"the approval %q names no plan that would be carried out now, so nothing was changed: the plan now is %s. Look at it with 'ucwarden plan'; only one that a guard refuses needs an approval",
		c.Approved, c.Digest)
}

const lookAgain = "Look again with 'ucwarden plan --out FILE'"

// checkSaved returns an error for a saved plan that is not the plan now.
func checkSaved(r Request, now string) error {
	if r.Saved == "" || r.Saved == now {
		return nil
	}
	return policy.Errorf(policy.CodeInvalid,
		"the saved plan %q is stale: the plan now is %s, because policies, grants or settings changed meanwhile. Nothing was changed. %s", r.Saved, now, lookAgain)
}

// approveWhole says how the plan of a full sync, or a saved plan, is looked at and approved.
func approveWhole(digest string, r Request) string {
	if r.Saved != "" {
		return fmt.Sprintf("If the saved plan is right, add --approve %s", digest)
	}
	return approve(digest, nil)
}

// refusal returns the error of a guard with what was changed, and what to do.
func refusal(err error, changed, advice string) error {
	return fmt.Errorf("%w; %s. %s", err, changed, advice)
}

// approve says how a plan is looked at and approved.
func approve(digest string, roots []policy.Securable) string {
	if len(roots) > 3 {
		return fmt.Sprintf("Look at its resources with 'ucwarden plan'; if it is right, submit the task again with --approve %s", digest)
	}
	var only strings.Builder
	for _, root := range roots {
		if root.FullName != "" {
			fmt.Fprintf(&only, " --securable %s:%s", strings.ToLower(string(root.Type)), root.FullName)
		}
	}
	return fmt.Sprintf("Look at it with 'ucwarden plan%s'; if it is right, run 'ucwarden sync%s --approve %s'", only.String(), only.String(), digest)
}

// meet notes that a sync of the metastore was let pass.
func (s *Syncer) meet(ctx context.Context) {
	id, err := s.metastore(ctx)
	if err == nil {
		err = s.memory.Met(id)
	}
	if err != nil {
		s.Logger.WarnContext(ctx, "cannot keep that this metastore is synced; the next sync counts as the first", "error", err)
	} else if err := s.principals.Save(s.memory.Shared(), id); err != nil {
		s.Logger.WarnContext(ctx, "cannot keep the principals of the workspace for runs that cannot read them", "error", err)
	}
}
