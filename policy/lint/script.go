package lint

import (
	"encoding/json"
	"errors"
	"iter"
	"regexp"
	"slices"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
)

// verdict is what a script came to for the requests that it was tried with.
type verdict struct {
	always error  // it fails for each of them, or cannot be compiled
	some   error  // it fails for one of them
	when   string // which one that is
	notRun error  // it was not run, so nothing is known of it

	odd match.Outcome // of a run whose outcome means something else than its author may expect
}

// script reports a script of a policy that fails, for every kind of request or for one, or whose value decides nothing. The
// consequence is that of a failure; condition says that the script decides whether something holds.
func (l *lintList) script(p *ranger.Policy, field, source, consequence string, condition bool) {
	if l.options.Scripts == nil {
		return
	}
	v := l.judgeScript(source)
	switch {
	case v.notRun != nil:
		l.find(p, SeverityWarning, CheckScript, field, "%v; nothing is known of it until the others are corrected", v.notRun)
		return
	case v.always != nil:
		l.find(p, SeverityError, CheckScript, field, "%v: %s; correct the script", v.always, consequence)
		return
	case v.some != nil:
		l.find(p, SeverityWarning, CheckScript, field, "for %s it fails (%v): %s then; let the script look whether what it reads is there", v.when, v.some, consequence)
	}
	if !condition {
		return
	}
	const end = "end the script with an expression that is true or false"
	switch v.odd.From {
	case match.FromOtherType:
		l.find(p, SeverityWarning, CheckScript, field, "its value is %s, which is neither true nor false, so that ctx.result counts, which is false unless the script sets it, as in Ranger 2.3 and later (before, it counted as true); %s", v.odd.Value, end)
	case match.FromNothing:
		l.find(p, SeverityWarning, CheckScript, field, "it has no value and does not set ctx.result, so it is not met; %s", end)
	case match.FromOverruled:
		l.find(p, SeverityWarning, CheckScript, field, "it sets ctx.result to %t, and its value is %t: the value counts, as in Ranger; %s alone", !v.odd.Met, v.odd.Met, end)
	}
}

// verdictKey is what the verdict of a script depends on.
type verdictKey struct {
	source string
	tags   bool
}

// judgeScript tries a script with kinds of requests, each source once.
func (l *lintList) judgeScript(source string) verdict {
	key := verdictKey{source, l.tags}
	v, ok := l.verdicts[key]
	if !ok {
		v = l.tryScript(source)
		l.verdicts[key] = v
	}
	return v
}

// tryScript runs a script with the values of one kind of request after the other, until enough is known: whether it ever ends
// without a failure, and whether it decides something.
func (l *lintList) tryScript(source string) (v verdict) {
	s, err := l.options.Scripts(source)
	if err != nil {
		return verdict{always: err}
	}
	ran, decided := false, false
	tried := 0
	for kind, values := range l.probes(source) {
		if tried++; tried > 2 && ran && (decided || setsResult.MatchString(source)) {
			break
		}
		out, err := s.Met(values)
		switch {
		case errors.Is(err, match.ErrScriptNotRun):
			return verdict{notRun: err}
		case errors.Is(err, match.ErrScriptBounds):
			return verdict{always: err} // each such run takes seconds
		case err != nil && v.some == nil:
			v.some, v.when = err, kind
		case err == nil:
			ran, decided = true, decided || out.From != match.FromNothing
			if out.From == match.FromOtherType || out.From == match.FromOverruled {
				v.odd = out
			}
		}
	}
	switch {
	case !ran:
		v = verdict{always: v.some}
	case !decided && !setsResult.MatchString(source):
		v.odd.From = match.FromNothing
	}
	return v
}

// setsResult matches scripts that may set ctx.result, if not for the requests tried.
var setsResult = regexp.MustCompile(`\b(result|setResult)\b`)

// The names and texts of a script's source: what it may look for in a request.
var (
	sourceNames = regexp.MustCompile(`[A-Za-z_$][\w$]*`)
	sourceTexts = regexp.MustCompile("'[^'\\\\\n]*'|\"[^\"\\\\\n]*\"|`[^`\\\\$]*`")
)

// maxProbed bounds how many names of a source the requests are made of.
const maxProbed = 100

// probes ranges over kinds of requests that a script may be made for, and what is special about each: what the script looks for is
// there, with one value or another, or nothing is.
func (l *lintList) probes(source string) iter.Seq2[string, *match.Values] {
	texts := firstOf(sourceTexts.FindAllString(source, -1), func(quoted string) string { return quoted[1 : len(quoted)-1] })
	names := firstOf(slices.Concat(texts, sourceNames.FindAllString(source, -1)), func(name string) string { return name })
	return func(yield func(string, *match.Values) bool) {
		if !yield("attributes that are a word", l.probing(names, "x")) || !yield("a user without attributes, groups, roles and tags", l.bareValues()) {
			return
		}
		for _, value := range []string{"1", "2026/01/01", `["x", "y"]`, object(names, "x"), object(names, []string{"x"})} {
			if !yield("other attributes", l.probing(names, value)) {
				return
			}
		}
		for _, text := range texts[:min(len(texts), 4)] {
			if !yield("other attributes", l.probing(names, text)) {
				return
			}
		}
	}
}

// object returns a JSON object with one value for each name.
func object[V any](names []string, value V) string {
	m := make(map[string]V, len(names))
	for _, name := range names {
		m[name] = value
	}
	text, _ := json.Marshal(m) // strings and lists of them can be marshalled
	return string(text)
}

// firstOf returns the first few of a list, each once, as of makes them.
func firstOf(list []string, of func(string) string) (few []string) {
	for _, s := range list {
		if s = of(s); s != "" && !slices.Contains(few, s) && len(few) < maxProbed {
			few = append(few, s)
		}
	}
	return few
}

// bareValues returns the values of a request of somebody of whom nothing is known, for something without tags; in a policy on tags
// for something with one that has no attributes.
func (l *lintList) bareValues() *match.Values {
	v := &match.Values{
		User: "user", AccessType: "select", Action: "select", ClientIP: "10.0.0.1", Time: l.options.Compile.Time,
		Resource: match.Resource{{Name: "catalog", Value: "x"}, {Name: "schema", Value: "x"}, {Name: "table", Value: "x"}},
	}
	if l.tags {
		v.Tag = match.NewTag("tag", nil, nil, match.Self)
		v.Tags = []*match.Tag{v.Tag}
	}
	return v
}

// probing returns the values of a request in which all that a script may look for is there: its names as groups, roles, tags and
// levels of the resource, and as attributes of each with one value.
func (l *lintList) probing(names []string, value string) *match.Values {
	attributes := make(map[string]string, len(names))
	context := make(map[string]any, len(names))
	v := l.bareValues()
	v.Owner, v.ClientType, v.Data = "owner", "client", "select 1"
	v.Tags = nil
	for _, name := range names {
		attributes[name], context[name] = value, value
		if !slices.ContainsFunc(v.Resource, func(e match.Element) bool { return e.Name == name }) {
			v.Resource = append(v.Resource, match.Element{Name: name, Value: value})
		}
	}
	v.Context = context
	ofGroups := make(map[string]map[string]string)
	for _, name := range append([]string{"other"}, names...) {
		v.Groups = append(v.Groups, name)
		ofGroups[name] = attributes
		v.Tags = append(v.Tags, match.NewTag(name, attributes, nil, match.Self))
	}
	slices.Sort(v.Groups)
	v.Roles = func() []string { return v.Groups }
	v.Users = &ranger.UserStore{UserAttrMapping: map[string]map[string]string{v.User: attributes}, GroupAttrMapping: ofGroups}
	if l.tags {
		v.Tag = v.Tags[0]
	}
	return v
}
