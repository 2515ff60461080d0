package apiserver

import (
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// PlanQuery asks for the plan of a full sync.
type PlanQuery struct {
	Task    string // "" is the last one
	Limit   int    // of changes
	Visible func(securable string) bool
}

// defaultPlanLimit is how many changes of a plan are shown where nobody says.
const defaultPlanLimit = 1000

// GetPlan answers with the plan of the last full sync.
func (s calls) GetPlan(c echo.Context, params GetPlanParams) error {
	return s.answerPlan(c, PlanQuery{Limit: value(params.Limit)}, nil)
}

// GetTaskPlan answers with the plan of a full sync, or with the part of it that a task applies.
func (s calls) GetTaskPlan(c echo.Context, id ID, params GetTaskPlanParams) error {
	t, err := s.findTask(c, id)
	if err != nil {
		return err
	}
	q := PlanQuery{Task: t.ID, Limit: value(params.Limit)}
	switch {
	case t.Type == ondemand.FullSync:
		return s.answerPlan(c, q, nil)
	case t.Type == ondemand.ResourceSync && t.ParentID != "":
		q.Task = t.ParentID
		return s.answerPlan(c, q, t.RequestInfo.Resources)
	}
	return &responseError{code: policy.CodeNotFound, detail: fmt.Sprintf("A %s keeps no plan: its results say what it changed. A full sync has one, and each task that it is split into.", t.Type)}
}

// answerPlan answers with those parts of a plan that are about the resources, nil for all, and that the bearer may know of.
func (s calls) answerPlan(c echo.Context, q PlanQuery, about []ondemand.Resource) error {
	if s.opts.Plan == nil {
		return &responseError{code: policy.CodeNotFound, detail: "This server keeps no plans."}
	}
	id := identityOf(c)
	q.Visible = func(securable string) bool {
		return mayKnow(id, securable) && (about == nil || slices.ContainsFunc(about, func(r ondemand.Resource) bool {
			named, err := r.Securable()
			return err == nil && named.String() == securable || r.IsMetastore() && strings.HasPrefix(securable, string(policy.Metastore)+":")
		}))
	}
	if q.Limit == 0 {
		q.Limit = defaultPlanLimit
	}
	plan, err := s.opts.Plan(c.Request().Context(), q)
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	if len(plan.Parts) == 0 {
		return &responseError{code: policy.CodeNotFound, detail: "No plan is kept that the token may see: a full sync makes one, which is kept until the next."}
	}
	if id.Limited { // it knows of no full syncs
		plan.Task = ""
	}
	for _, part := range plan.Parts {
		plan.Changed, plan.Adds, plan.Removes = plan.Changed+part.Changed, plan.Adds+part.Adds, plan.Removes+part.Removes
	}
	if prefersText(c.Request().Header) {
		return c.Blob(http.StatusOK, "text/plain; charset=utf-8", planText(plan))
	}
	return c.JSON(http.StatusOK, plan)
}

// prefersText reports whether the header Accept prefers text/plain to JSON (RFC 9110, section 12.5.1).
func prefersText(h http.Header) bool {
	weight := map[string]float64{}
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept"), ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		if err != nil {
			q = 1
		}
		weight[media] = max(weight[media], q)
	}
	text := max(weight["text/plain"], weight["text/*"])
	return text > 0 && text > max(weight["application/json"], weight["application/*"])
}

// planText writes a plan as lines for people. Control characters in names are escaped.
func planText(p Plan) []byte {
	var b strings.Builder
	for _, part := range p.Parts {
		fmt.Fprintf(&b, "%s, planned %s by policies at version %d", shownName(part.Securable), part.PlannedAt.UTC().Format("2006-01-02T15:04:05Z"), part.PolicyVersion)
		if part.Digest == "" {
			b.WriteString(": nothing to change\n")
			continue
		}
		fmt.Fprintf(&b, ", digest %s: %d grants to add, %d to revoke on %d objects\n", part.Digest, part.Adds, part.Removes, part.Changed)
		for _, f := range part.Protection {
			fmt.Fprintf(&b, "  %s %s %s\n", signOf(f.Act), shownName(f.Table), shownName(f.What))
		}
		for _, change := range part.Changes {
			for _, list := range []struct {
				act        string
				privileges []string
			}{{"add", change.Add}, {"remove", change.Remove}} {
				for _, privilege := range list.privileges {
					fmt.Fprintf(&b, "  %s %s %s %s", signOf(list.act), shownName(change.Securable), shownName(change.Principal), privilege)
					if why := change.Causes[privilege]; why != "" {
						b.WriteString("  " + shownName(why))
					}
					b.WriteString("\n")
				}
			}
		}
		if part.LeftOut > 0 {
			fmt.Fprintf(&b, "  ... and %d more; limit=%d shows up to that many\n", part.LeftOut, 10_000)
		}
	}
	fmt.Fprintf(&b, "%d grants to add, %d to revoke on %d objects\n", p.Adds, p.Removes, p.Changed)
	return []byte(b.String())
}

func signOf(act string) string {
	if act == string(policy.ActRemove) {
		return "-"
	}
	return "+"
}

// shownName returns a text without line breaks and other control characters.
func shownName(text string) string {
	if quoted := strconv.Quote(text); strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return quoted
	}
	return text
}
