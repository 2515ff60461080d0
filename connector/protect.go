package connector

import (
	"context"
	"errors"
	"maps"
	"slices"

	"go.opentelemetry.io/otel/attribute"

	"ucwarden/connector/apply"
	"ucwarden/connector/drift"
	"ucwarden/connector/load"
	"ucwarden/connector/protection"
	"ucwarden/group"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/judge"
	"ucwarden/policy/order"
	"ucwarden/policy/protect"
	"ucwarden/policy/rules"
	"ucwarden/span"
)

// Protection says how row filters and masks are enforced.
type Protection struct {
	Warehouse protection.Warehouse
	Reader    protection.Protections
	Shares    protection.Shares // what is shared with others; nil takes nothing for shared
	Self      string            // our identity, which owns the functions that are made
	Policies  protect.Options
}

// protector returns what compiles row filters and masks by the rules of a generation; nil where nothing enforces them.
func (s *Syncer) protector(g *generation) *protect.Protector {
	if s.Protection == nil {
		return nil
	}
	o := s.Protection.Policies
	o.Time = g.at
	compiler := g.compiler
	o.Resolve = func(id rules.SubjectID) (policy.Principal, bool) { return compiler.Principal(id) }
	o.Members, o.Within, o.Groups = g.identities.Directory.UsersIn, g.identities.Directory.GroupsIn, g.identities.Directory.Groups()
	return protect.New(g.rules, o)
}

// compiledRun is what policies come to for what was found.
type compiledRun struct {
	protection *protection.Plan
	enforced   compile.Enforced // once protection is applied
	desired    *policy.GrantSet
	notRevoked []policy.Grant // that the mode leaves although no policy asks for them
}

// compile plans the protection of what was found, compiles the grants on what is protected then, and notes in the result how they differ
// from those of today. Where the mode leaves grants, it does so again with filters that show those who hold them nothing.
func (r *run) compile(ctx context.Context, found *load.Found, result *Result) (c compiledRun, err error) {
	var reader protection.Protections
	if r.protect != nil && r.Mode == policy.ModeGrantOnly {
		reader = protection.Once(r.protections.Reader)
	}
	for elseClosed := map[policy.Securable]bool(nil); ; {
		if c.protection, c.enforced, err = r.planProtection(ctx, found, elseClosed, reader); err != nil {
			return c, err
		}
		_, s := span.Start(ctx, "compile and diff")
		compiled := r.compiler.CompileProtected(found.Inventory, c.enforced)
		c.desired = compiled.Grants
		result.Plan, result.LeftOut, c.notRevoked = r.diff(found, compiled, r.scopeOf(found))
		span.End(s, nil)
		more := mayShowMore(c.protection, c.notRevoked)
		if elseClosed != nil || len(more) == 0 {
			findElseClosed(c.protection, elseClosed)
			return c, nil
		}
		elseClosed = more
	}
}

// planProtection plans the protection of the tables that were found, by a reader if there is one, and returns what is enforced once it is
// applied. The filters of elseClosed show no row to whom policies do not allow it.
func (r *run) planProtection(ctx context.Context, found *load.Found, elseClosed map[policy.Securable]bool, reader protection.Protections) (*protection.Plan, compile.Enforced, error) {
	if r.protect == nil {
		return &protection.Plan{}, compile.Enforced{}, nil
	}
	ctx, s := span.Start(ctx, "load and plan row filters and masks")
	defer span.End(s, nil)
	denied := r.compiler.Denied(found.Inventory)
	findings := hidable(r.protect, denied)
	var whole []policy.Securable
	for _, root := range found.Roots {
		if root.Type == policy.Catalog && !slices.ContainsFunc(found.Left, func(l load.LeftOut) bool {
			return l.Listing && (root.Contains(l.Securable) || l.Securable.FullName == "")
		}) {
			whole = append(whole, root)
		}
	}
	plan, err := r.protections.Plan(ctx, protection.Request{
		Protector: r.protect, Reader: reader, Inventory: found.Inventory, Whole: whole, Try: r.request.only, TryAgain: r.request.ByPerson, ElseClosed: elseClosed,
		InScope: func(s policy.Securable) bool { return r.Scope.Filters(s) && !load.BuiltIn(s) },
		Denied:  func(s policy.Securable) *judge.Denials { return denied[s] },
	})
	if err != nil {
		return nil, compile.Enforced{}, err
	}
	plan.Findings = append(plan.Findings, findings...)
	found.Left = append(found.Left, plan.Unread...) // these stay as they are
	found.Read = slices.DeleteFunc(found.Read, func(s policy.Securable) bool {
		return slices.ContainsFunc(plan.Unread, func(l load.LeftOut) bool { return l.Securable == s })
	})
	enforced := compile.Enforced{Protected: plan.Protected, Columns: plan.Columns, Denied: make(map[policy.Securable]bool, len(denied))}
	for s := range denied {
		enforced.Denied[s] = true
	}
	return plan, enforced, nil
}

// hidable takes from denied, by table, those whose rows a filter cannot hide from whom is denied them. One finding says for each
// reason why that is so, and on how many tables.
func hidable(p *protect.Protector, denied map[policy.Securable]*judge.Denials) []policy.Finding {
	why := make(map[*judge.Denials]error) // many tables share one
	at := make(map[string]int)
	var findings []policy.Finding
	for _, s := range slices.SortedFunc(maps.Keys(denied), policy.Securable.Compare) {
		d := denied[s]
		err, looked := why[d]
		if !looked {
			err = p.CanDeny(d)
			why[d] = err
		}
		if err == nil {
			continue
		}
		delete(denied, s)
		if i, ok := at[err.Error()]; ok {
			findings[i].Count++
			continue
		}
		at[err.Error()] = len(findings)
		findings = append(findings, policy.Finding{Effect: policy.EffectNone, Securable: s, Privilege: policy.Select,
			Message: "a row filter cannot hide its rows from those who are denied them (strategy filter): " + err.Error()})
	}
	return findings
}

// mayShowMore returns the tables whose filters or masks a plan replaces while somebody keeps a grant of SELECT that no policy asks for:
// what bound them is maybe not in those that policies ask for now, which would show them more than before.
func mayShowMore(p *protection.Plan, notRevoked []policy.Grant) map[policy.Securable]bool {
	tables := make(map[policy.Securable]bool)
	for _, c := range p.Changes {
		stays := func(g policy.Grant) bool { return g.Privilege.Implies(policy.Select) && g.Securable.Contains(c.Table) }
		if sets := c.WithoutLifts(); !sets.Hides() && slices.ContainsFunc(notRevoked, stays) {
			tables[c.Table] = true
		}
	}
	return tables
}

// findElseClosed reports for which tables filters show rows only to whom policies allow it, since grants stay.
func findElseClosed(p *protection.Plan, tables map[policy.Securable]bool) {
	if len(tables) == 0 {
		return
	}
	p.Findings = append(p.Findings, policy.Finding{Effect: policy.EffectNarrower, Securable: slices.MinFunc(slices.Collect(maps.Keys(tables)), policy.Securable.Compare), Count: len(tables) - 1,
		Message: "its row filter shows rows only to whom policies allow to read it (as protection.else: closed), since grants of SELECT stay that no policy asks for, and what bound those who hold them was replaced; revoke these, by hand or in mode enforce"})
}

// keepProtected takes from a plan of protection what would show more to somebody by a grant that stays although no policy asks for it:
// the mode revokes nothing, or it could not be read what is granted.
func (r *run) keepProtected(p *protection.Plan, found *load.Found, plan *policy.Plan, notRevoked []policy.Grant) {
	changes := make(map[policy.Securable]*policy.Change, len(plan.Changes))
	for i := range plan.Changes {
		changes[plan.Changes[i].Securable] = &plan.Changes[i]
	}
	p.KeepOn(func(table policy.Securable) bool {
		// What lifts from a table that is not protected lifts what policies ask for, beside an attribute-based policy of others.
		return !p.Protected[table] && p.Bound[table] && r.staysReadable(found, changes, table)
	}, "that do not go with an attribute-based policy of others stay, since grants of SELECT do that no policy asks for; revoke these, by hand or in mode enforce, or exclude the tables there")
	p.KeepOn(func(table policy.Securable) bool {
		return slices.ContainsFunc(notRevoked, func(g policy.Grant) bool { return g.Privilege.Implies(policy.Select) && g.Securable.Contains(table) })
	}, "that no policy asks for any more stay, since grants of SELECT do that no policy asks for; revoke these, by hand or in mode enforce")
	p.KeepOn(func(table policy.Securable) bool {
		return slices.ContainsFunc(found.Left, func(l load.LeftOut) bool { return l.Securable.FullName != "" && l.Securable.Contains(table) })
	}, "that are not wanted any more stay, since it could not be read what is granted there; the next sync looks again")
}

// staysReadable reports whether somebody has SELECT on a table once a plan is carried out, by a grant that no policy asks for.
func (r *run) staysReadable(found *load.Found, changes map[policy.Securable]*policy.Change, table policy.Securable) bool {
	for s, ok := table, true; ok; s, ok = s.Parent() {
		for _, a := range found.Current.Of(s) {
			revoked := changes[s] != nil && slices.Contains(changes[s].Remove, a)
			if a.Privilege.Implies(policy.Select) && !revoked && !slices.Contains(r.wanted.Of(s), a) {
				return true
			}
		}
	}
	return false
}

// addProtection adds what is to be done about protection to a plan.
func addProtection(plan *policy.Plan, p *protection.Plan) {
	plan.Protection, plan.DropFunctions = p.Changes, p.Drop
	plan.Totals.Protected = len(p.Bound)
	plan.Totals.Statements += p.Statements
	plan.Report.Findings = append(plan.Report.Findings, p.Findings...)
}

// applyPlan carries out a plan: revokes and what opens nothing; then what protects tables; then what opens those, and what is
// above them; last what is lifted. What can only hide is set beside the revokes, which wait for no warehouse.
func (r *run) applyPlan(ctx context.Context, plan *policy.Plan, result *Result) (err error) {
	ctx, s := span.Start(ctx, "apply", attribute.Int("ucwarden.changes", len(plan.Changes)), attribute.Int("ucwarden.statements", plan.Totals.Statements))
	defer func() { span.End(s, err) }()
	if len(plan.Protection)+len(plan.DropFunctions) == 0 {
		result.Outcomes, err = r.apply(ctx, plan.Changes, nil, nil)
		return err
	}
	var hides, replaces []policy.ProtectionChange
	gate := make(map[policy.Securable]bool) // what opens a table that is not protected yet
	for _, c := range plan.Protection {
		if !c.Sets() {
			continue
		}
		for s, ok := c.Table, true; ok; s, ok = s.Parent() {
			gate[s] = true
		}
		if c.Hides() {
			hides = append(hides, c)
		} else {
			replaces = append(replaces, c)
		}
	}
	var errs []error
	hiding := group.New()
	hiding.Go(func() error {
		errs = r.protections.Apply(ctx, hides, r.noteProtection)
		return nil
	})
	result.Outcomes, err = r.apply(ctx, plan.Changes, gate, nil)
	_ = hiding.Wait() // the errors are those of each change
	if err != nil {
		return err
	}
	if r.outdated() {
		return apply.ErrOutdated
	}
	failed := make(map[policy.Securable]bool)
	fail := func(table policy.Securable) {
		for s, ok := table, true; ok; s, ok = s.Parent() {
			failed[s] = true
		}
	}
	if err := r.revokeFirst(ctx, plan.Changes, replaces, result); err != nil {
		return err
	}
	replaces = slices.DeleteFunc(replaces, func(c policy.ProtectionChange) bool {
		held := apply.Unrevoked(plan.Changes, result.Outcomes, c.Table)
		if held { // by what replaces it they might see more; the change that failed is among the outcomes
			fail(c.Table)
		}
		return held
	})
	errs = append(errs, r.protections.Apply(ctx, replaces, r.noteProtection)...)
	if ctx.Err() != nil {
		return apply.GivenUp(ctx.Err())
	}
	for i, c := range slices.Concat(hides, replaces) {
		if errs[i] != nil {
			r.unprotected(ctx, result, protection.NotProtected(c.Table, errs[i]))
			fail(c.Table)
		}
	}
	if err := r.applyRest(ctx, plan.Changes, failed, result); err != nil {
		return err
	}
	return r.lift(ctx, plan, result)
}

// revokeFirst makes the revokes of SELECT without which filters are not replaced, and which wait for grants that wait for these filters.
func (r *run) revokeFirst(ctx context.Context, changes []policy.Change, replaces []policy.ProtectionChange, result *Result) error {
	first, at := apply.WaitingRevokes(changes, result.Outcomes, replaces)
	if len(first) == 0 {
		return nil
	}
	outcomes, err := r.apply(ctx, first, nil, nil)
	for i, out := range outcomes {
		into := &result.Outcomes[at[i]]
		held := into.Err
		if into.Add(out); into.Err == nil {
			into.Err = held
		}
	}
	return err
}

// applyRest applies what was held back until tables were protected.
func (r *run) applyRest(ctx context.Context, changes []policy.Change, failed map[policy.Securable]bool, result *Result) error {
	var unmade order.Unmade
	var rest []policy.Change
	var at []int
	for i, out := range result.Outcomes {
		switch {
		case errors.Is(out.Err, apply.ErrHeldBack):
			done := out.Change
			rest = append(rest, changes[i].Filter(func(a policy.Assignment) bool {
				add, remove := done.Acts()
				return !slices.Contains(add, a) && !slices.Contains(remove, a)
			}))
			at = append(at, i)
		case out.Err != nil:
			unmade.Note(changes[i], out.Change)
		}
	}
	outcomes, err := r.apply(ctx, rest, failed, &unmade)
	for i, out := range outcomes {
		result.Outcomes[at[i]].Add(out)
	}
	return err
}

// lift takes away what is not wanted any more, where all revokes that reach the table were made.
func (r *run) lift(ctx context.Context, plan *policy.Plan, result *Result) error {
	var lifts []policy.ProtectionChange
	for _, c := range plan.Protection {
		if c.Lifts() && !slices.ContainsFunc(result.Outcomes, func(o apply.Outcome) bool { return o.Err != nil && o.Change.Securable.Contains(c.Table) }) {
			lifts = append(lifts, c)
		}
	}
	for i, err := range r.protections.Lift(ctx, lifts, plan.DropFunctions, r.noteProtection) {
		if err != nil {
			r.unprotected(ctx, result, load.LeftOut{Securable: lifts[i].Table, Code: policy.CodeOf(err), Reason: "its row filter and masks cannot be lifted, and stay: " + err.Error(), Unprotected: true, Carried: true})
		}
	}
	if ctx.Err() != nil {
		return apply.GivenUp(ctx.Err())
	}
	return nil
}

// unprotected notes that the protection of a table could not be changed.
func (r *run) unprotected(ctx context.Context, result *Result, left load.LeftOut) {
	r.metrics.failures.Inc()
	r.Logger.ErrorContext(ctx, "the row filter and masks of a table could not be changed", "table", left.Securable.FullName, "error", left.Reason)
	result.Unprotected = append(result.Unprotected, left)
}

// notePlanned counts the findings of a plan that is made to be carried out, logs its conflicts, and keeps what was learned for it.
func (s *Syncer) notePlanned(ctx context.Context, findings []policy.Finding, conflicts []protection.Conflict) {
	s.metrics.found(findings)
	for i, c := range conflicts {
		if i == maxLoggedConflicts {
			s.Logger.WarnContext(ctx, "more tables are at odds with the policies; 'ucwarden plan' lists them", "tables", len(conflicts)-i)
			break
		}
		s.Logger.WarnContext(ctx, c.String())
	}
	if s.protections != nil {
		s.protections.Remember(ctx)
	}
}

// maxLoggedConflicts bounds how many conflicts each plan logs.
const maxLoggedConflicts = 10

// closeUnprotected plans anew, once, where tables could not be protected: they are closed then for whom policies bind.
func (r *run) closeUnprotected(ctx context.Context, request Request, result *Result) error {
	if request.again || !slices.ContainsFunc(result.Unprotected, func(l load.LeftOut) bool { return !l.Carried }) {
		return nil
	}
	request.again, request.Approved, request.Saved, request.ByPerson = true, "", "", false
	again, err := r.Syncer.sync(ctx, request)
	if again != nil && again.Plan != nil {
		apply.ClearMade(result.Plan.Changes, result.Outcomes, again.Outcomes)
		result.Plan.Changes = append(slices.Clone(result.Plan.Changes), again.Plan.Changes...)
		result.Outcomes = append(result.Outcomes, again.Outcomes...)
		result.Drift.Add(drift.Of(again.Plan.Changes)) // what stays is counted already
	}
	return err
}

// noteProtection notes a change in the journal.
func (r *run) noteProtection(ctx context.Context, c policy.ProtectionChange) (func(error), error) {
	return r.Journal.BeginProtection(ctx, r.request.Origin, c)
}

// WatchProtection calls again, until ctx ends, with the catalogs of tables that could not be protected, when it is time to try again.
func (s *Syncer) WatchProtection(ctx context.Context, again func(roots []policy.Securable)) {
	for s.protections != nil {
		roots := s.protections.Due(ctx)
		if roots == nil {
			return
		}
		again(roots)
	}
}
