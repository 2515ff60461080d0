package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sample is a value of one series.
type sample struct {
	labels map[string]string // with its name as __name__
	value  float64
}

// key returns what tells a series from others but for the labels that are ignored.
func (s sample) key(ignored ...string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.labels)) {
		if name != "__name__" && s.labels[name] != "" && !slices.Contains(ignored, name) {
			fmt.Fprintf(&b, "%s=%q ", name, s.labels[name])
		}
	}
	return b.String()
}

var (
	exposed      = regexp.MustCompile(`(?m)^([a-z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
	exposedLabel = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// scraped reads metrics in Prometheus' text format.
func scraped(t *testing.T, text string) (list []sample) {
	t.Helper()
	for _, m := range exposed.FindAllStringSubmatch(text, -1) {
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatalf("%s: %v", m[0], err)
		}
		s := sample{labels: map[string]string{"__name__": m[1]}, value: value}
		for _, l := range exposedLabel.FindAllStringSubmatch(m[2], -1) {
			s.labels[l[1]] = l[2]
		}
		list = append(list, s)
	}
	return list
}

// promExpr evaluates those forms of PromQL that our alert rules use, over two scrapes: an increase is from the first to the second, whatever
// its range is, and 0 is none of a series that the first does not have, as Prometheus sees it. Any other form is an error.
type promExpr struct {
	before, after []sample
	tokens        []string
}

var errPromForm = errors.New("a form of PromQL that the test does not know")

var promToken = regexp.MustCompile(`^(?:[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9]+(?:\.[0-9]+)?(?:[smhd])?|"[^"\\]*"|==|!=|>=|<=|[{}()\[\],=<>*])`)

// evalProm returns the samples for which an expression holds.
func evalProm(text string, before, after []sample) ([]sample, error) {
	e := &promExpr{before: before, after: after}
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		token := promToken.FindString(rest)
		if token == "" {
			return nil, fmt.Errorf("%w: %s", errPromForm, rest)
		}
		e.tokens = append(e.tokens, token)
		rest = rest[len(token):]
	}
	v, err := e.or()
	if err == nil && len(e.tokens) > 0 {
		err = fmt.Errorf("%w: %s", errPromForm, strings.Join(e.tokens, " "))
	}
	return v.list, err
}

// promValue is a vector, or a number.
type promValue struct {
	list   []sample
	number float64
	scalar bool
}

func (e *promExpr) next() string {
	if len(e.tokens) == 0 {
		return ""
	}
	token := e.tokens[0]
	e.tokens = e.tokens[1:]
	return token
}

func (e *promExpr) take(token string) bool {
	if len(e.tokens) == 0 || e.tokens[0] != token {
		return false
	}
	e.tokens = e.tokens[1:]
	return true
}

func (e *promExpr) want(tokens ...string) error {
	for _, token := range tokens {
		if got := e.next(); got != token {
			return fmt.Errorf("%w: %q where %q is wanted", errPromForm, got, token)
		}
	}
	return nil
}

// or is the operator that binds least; unless binds more, comparisons more than that.
func (e *promExpr) or() (promValue, error) {
	v, err := e.unless()
	for err == nil && e.take("or") {
		var right promValue
		if right, err = e.unless(); err == nil {
			v.list = append(slices.Clone(v.list), without(right.list, v.list)...)
		}
	}
	return v, err
}

func (e *promExpr) unless() (promValue, error) {
	v, err := e.compare()
	for err == nil && e.take("unless") {
		var ignored []string
		if e.take("ignoring") {
			if ignored, err = e.names(); err != nil {
				break
			}
		}
		var right promValue
		if right, err = e.compare(); err == nil {
			v.list = without(v.list, right.list, ignored...)
		}
	}
	return v, err
}

// without returns the samples of a list that another has none of the same labels for.
func without(list, other []sample, ignored ...string) (rest []sample) {
	for _, s := range list {
		if !slices.ContainsFunc(other, func(o sample) bool { return o.key(ignored...) == s.key(ignored...) }) {
			rest = append(rest, s)
		}
	}
	return rest
}

// names are those in parentheses.
func (e *promExpr) names() (list []string, err error) {
	if err := e.want("("); err != nil {
		return nil, err
	}
	for {
		list = append(list, e.next())
		if !e.take(",") {
			return list, e.want(")")
		}
	}
}

func (e *promExpr) compare() (promValue, error) {
	v, err := e.product()
	if err != nil {
		return v, err
	}
	holds := map[string]func(a, b float64) bool{
		">": func(a, b float64) bool { return a > b }, "<": func(a, b float64) bool { return a < b }, "==": func(a, b float64) bool { return a == b },
		">=": func(a, b float64) bool { return a >= b }, "<=": func(a, b float64) bool { return a <= b }, "!=": func(a, b float64) bool { return a != b },
	}
	for op, hold := range holds {
		if !e.take(op) {
			continue
		}
		limit, err := e.product()
		if err != nil || v.scalar || !limit.scalar {
			return v, fmt.Errorf("%w: a comparison of other than a vector with a number (%w)", errPromForm, err)
		}
		v.list = slices.DeleteFunc(slices.Clone(v.list), func(s sample) bool { return !hold(s.value, limit.number) })
		return v, nil
	}
	return v, nil
}

// product is a product of numbers, or something that is neither.
func (e *promExpr) product() (promValue, error) {
	v, err := e.operand()
	for err == nil && e.take("*") {
		var right promValue
		if right, err = e.operand(); err == nil && (!v.scalar || !right.scalar) {
			err = fmt.Errorf("%w: a product of other than numbers", errPromForm)
		}
		v.number *= right.number
	}
	return v, err
}

func (e *promExpr) operand() (promValue, error) {
	token := e.next()
	number, err := strconv.ParseFloat(token, 64)
	switch {
	case err == nil:
		return promValue{number: number, scalar: true}, nil
	case token == "increase":
		return e.increase()
	case token == "sum":
		return e.sum()
	}
	return e.selected(token, e.after)
}

// increase is of what both scrapes have.
func (e *promExpr) increase() (promValue, error) {
	if err := e.want("("); err != nil {
		return promValue{}, err
	}
	name := e.next()
	again := &promExpr{tokens: slices.Clone(e.tokens)}
	before, err := again.selected(name, e.before)
	if err != nil {
		return promValue{}, err
	}
	v, err := e.selected(name, e.after)
	if err != nil {
		return v, err
	}
	if err := e.want("["); err != nil {
		return v, err
	}
	if d := e.next(); !regexp.MustCompile(`^[0-9]+[smhd]$`).MatchString(d) {
		return v, fmt.Errorf("%w: the range %q", errPromForm, d)
	}
	var list []sample
	for _, s := range v.list {
		for _, b := range before.list {
			if b.key() == s.key() {
				list = append(list, sample{labels: s.labels, value: s.value - b.value})
			}
		}
	}
	return promValue{list: list}, e.want("]", ")")
}

// sum is by labels.
func (e *promExpr) sum() (promValue, error) {
	if err := e.want("by"); err != nil {
		return promValue{}, err
	}
	by, err := e.names()
	if err != nil {
		return promValue{}, err
	}
	if err := e.want("("); err != nil {
		return promValue{}, err
	}
	v, err := e.or()
	if err != nil {
		return v, err
	}
	sums := make(map[string]sample)
	for _, s := range v.list {
		labels := make(map[string]string)
		for _, name := range by {
			labels[name] = s.labels[name]
		}
		group := sample{labels: labels}
		group.value = sums[group.key()].value + s.value
		sums[group.key()] = group
	}
	return promValue{list: slices.Collect(maps.Values(sums))}, e.want(")")
}

// selected is the series of a name, with labels that are equal to texts.
func (e *promExpr) selected(name string, from []sample) (promValue, error) {
	if !strings.HasPrefix(name, "ucwarden_") {
		return promValue{}, fmt.Errorf("%w: %q", errPromForm, name)
	}
	labels := make(map[string]string)
	if e.take("{") {
		for !e.take("}") {
			label := e.next()
			if err := e.want("="); err != nil {
				return promValue{}, err
			}
			text, err := strconv.Unquote(e.next())
			if err != nil {
				return promValue{}, fmt.Errorf("%w: the value of %q", errPromForm, label)
			}
			labels[label] = text
			e.take(",")
		}
	}
	var v promValue
	for _, s := range from {
		matches := s.labels["__name__"] == name
		for label, text := range labels {
			matches = matches && s.labels[label] == text
		}
		if matches {
			v.list = append(v.list, s)
		}
	}
	return v, nil
}

func TestPromExpressions(t *testing.T) {
	before := scraped(t, "# HELP x\nucwarden_a{r=\"x\"} 1\nucwarden_a{r=\"y\"} 5\nucwarden_g 2")
	after := scraped(t, "ucwarden_a{r=\"x\"} 3\nucwarden_a{r=\"y\"} 5\nucwarden_a{r=\"z\"} 1\nucwarden_g 2.5e+00\nucwarden_p{p=\"0\",i=\"q\"} 600\nucwarden_p{p=\"1\",i=\"q\"} 600")
	for text, want := range map[string]int{
		`ucwarden_g > 2`: 1, `ucwarden_g > 3`: 0, `ucwarden_g == 2.5`: 1, `ucwarden_g > 2 * 2`: 0, `ucwarden_none == 0`: 0, `ucwarden_g`: 1,
		`increase(ucwarden_a[1h]) > 0`: 1, `increase(ucwarden_a{r="y"}[10m]) > 0`: 0, `increase(ucwarden_a{r="z"}[1h]) > 0`: 0, // which has no earlier sample
		`ucwarden_g > 2 or ucwarden_p > 0`: 3, `ucwarden_g > 3 or ucwarden_a > 4`: 1,
		`ucwarden_a{r="z"} > 0 unless ignoring (r) increase(ucwarden_a{r="x"}[1h]) > 0`: 0,
		`ucwarden_a{r="z"} > 0 unless ignoring (r) increase(ucwarden_a{r="y"}[1h]) > 0`: 1, `ucwarden_a{r="z"} > 0 unless ucwarden_a{r="x"} > 0`: 1,
		`sum by (i) (ucwarden_p) > 1000`: 1, `sum by (i, p) (ucwarden_p) > 1000`: 0,
	} {
		if got, err := evalProm(text, before, after); err != nil || len(got) != want {
			t.Errorf("%s: %v, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		`rate(ucwarden_a[1h]) > 0`, `ucwarden_a{r=~"x"} > 0`, `ucwarden_a and ucwarden_g`, `ucwarden_a > ucwarden_g`, `ucwarden_a * 2 > 0`, `absent(ucwarden_a)`,
		`increase(ucwarden_a) > 0`, `sum(ucwarden_a) > 0`, `ucwarden_a > 0 unless on (r) ucwarden_g`, `up == 0`, `ucwarden_a offset 1h`, ``, `ucwarden_g - 1`,
	} {
		if got, err := evalProm(text, before, after); !errors.Is(err, errPromForm) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
