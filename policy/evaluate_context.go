package policy

import (
	"fmt"
	"slices"
	"strconv"
)

// evalContext is the working memory of one request. Contexts are pooled: nothing in one may outlive its request.
type evalContext struct {
	request *Request // own
	own     Request  // here, so that a request costs no allocation
	engine  *Evaluator
	groups  []string
	users   *UserStore
	any     bool // access of any type
	tags    []*tagForEval
	tag     *tagForEval // the one whose policies are evaluated; nil for policies on resources

	paths [3]requestPath // of the resource, by policy type

	// Of requests for several access types: what each came to so far. Tag policies and resource policies share it.
	accesses []string
	byAccess []result
	oneOf    [][]string // access groups
	several  bool       // any access, or the like: the first access allowed settles it

	candidates []int32
}

type requestPath struct {
	buf      [maxDepth]*Element
	elements []*Element
	ok       bool
}

func (e *Evaluator) newContext(r Request, t PolicyType) *evalContext {
	ctx := e.contexts.Get().(*evalContext)
	ctx.own, ctx.engine = r, e
	ctx.request = &ctx.own
	ctx.any = r.AccessType == "" || r.AccessType == AnyAccess
	ctx.groups = r.Groups
	ctx.users = r.Users
	if ctx.users == nil {
		ctx.users = e.snapshot.Users
	}
	if ctx.groups == nil && e.snapshot.Users != nil {
		ctx.groups = e.snapshot.Users.UserGroupMapping[r.User]
	}
	ctx.setPath(t)
	ctx.accesses, ctx.oneOf, ctx.several = r.AccessTypes, r.AccessGroups, r.AnyOf
	if ctx.any {
		ctx.accesses, ctx.several = e.accesses, true
		if r.HeedDescendantDeny {
			ctx.oneOf = e.groups
		}
	}
	return ctx
}

// release gives the context back. It drops what it points to, so that a pooled context keeps no request alive.
func (ctx *evalContext) release() {
	candidates, byAccess := ctx.candidates[:0], ctx.byAccess[:0]
	engine := ctx.engine
	*ctx = evalContext{candidates: candidates, byAccess: byAccess}
	engine.contexts.Put(ctx)
}

func (ctx *evalContext) setPath(t PolicyType) *requestPath {
	p := &ctx.paths[t]
	p.elements, p.ok = ctx.engine.model.forests[t].path(ctx.request.Resource, &p.buf)
	return p
}

// reset forgets what access types came to, for evaluation in another zone.
func (ctx *evalContext) reset() {
	ctx.byAccess = slices.Grow(ctx.byAccess[:0], len(ctx.accesses))[:len(ctx.accesses)]
	clear(ctx.byAccess)
}

// token looks up {NAME} in resource values.
func (ctx *evalContext) token(name string) (string, bool) {
	switch name {
	case "USER":
		return ctx.request.User, ctx.request.User != ""
	case "OWNER":
		return ctx.request.Owner, ctx.request.Owner != ""
	}
	value, ok := ctx.request.Context["token:"+name]
	if !ok || value == nil {
		return "", false
	}
	return textOf(value), true
}

// expressionText evaluates an expression of a resource value, mask or filter; without a value it is empty.
func (ctx *evalContext) expressionText(expr string) string {
	value, err := evalScript(expr, ctx)
	if err != nil || value == nil {
		return ""
	}
	return textOf(value)
}

// expandText replaces the expressions in a mask or filter.
func (ctx *evalContext) expandText(text string) string {
	return replaceExpressions(text, ctx.expressionText)
}

// textOf writes a value as a script does.
func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		var text string
		for i, e := range v {
			if i > 0 {
				text += ","
			}
			text += textOf(e)
		}
		return text
	case nil:
		return ""
	}
	return fmt.Sprint(value)
}
