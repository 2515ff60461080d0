package match

import (
	"strings"

	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
)

// macroOptions says how macros are written in the values of a resource. Source: RangerAbstractResourceMatcher.
type macroOptions struct {
	tokens            bool // {USER}, {OWNER}
	expressions       bool // ${{USER.attr}}
	start, end, quote byte
	prefix            string
}

func newMacroOptions(o ranger.OptionMap) macroOptions {
	char := func(name string, def byte) byte {
		if o[name] == "" {
			return def
		}
		return o[name][0]
	}
	m := macroOptions{
		tokens:      o.Matching("replaceTokens", true),
		expressions: o.Matching("replaceReqExpressions", true),
		start:       char("tokenDelimiterStart", '{'),
		end:         char("tokenDelimiterEnd", '}'),
		quote:       char("tokenDelimiterEscape", '\\'),
		prefix:      o["tokenDelimiterPrefix"],
	}
	if m.quote == m.start || m.quote == m.end || strings.ContainsAny(m.prefix, string([]byte{m.quote, m.start, m.end})) {
		m.tokens = false
	}
	return m
}

// applies reports whether text holds a macro.
func (o macroOptions) applies(text string) bool {
	if o.expressions && hasExpression(text) {
		return true
	}
	if !o.tokens {
		return false
	}
	i := strings.IndexByte(text, o.start)
	return i >= 0 && strings.IndexByte(text[i:], o.end) > 0
}

// HoldsMacro reports whether a value of a resource holds a macro, as its definition, which may be nil, writes them.
func HoldsMacro(def *ranger.ResourceDef, value string) bool {
	var options ranger.OptionMap
	if def != nil {
		options = def.MatcherOptions
	}
	return newMacroOptions(options).applies(value)
}

// replaceTokens replaces {NAME} by what lookup returns; a name that lookup does not know stays as it is. A backslash
// keeps a brace from beginning or ending a token. Source: StringTokenReplacer.
func (o macroOptions) replaceTokens(text string, lookup func(name string) (string, bool)) string {
	var out strings.Builder
	token, inToken := []byte(nil), false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == o.quote:
			into := func(bytes ...byte) {
				if inToken {
					token = append(token, bytes...)
				} else {
					out.Write(bytes)
				}
			}
			if i++; i == len(text) {
				into(o.quote)
				break
			}
			c = text[i]
			if special := inToken && c == o.end || !inToken && c == o.start; c != o.quote && !special {
				into(o.quote)
			}
			into(c)
		case !inToken && c == o.start:
			token, inToken = token[:0], true
		case !inToken:
			out.WriteByte(c)
		case c == o.end:
			inToken = false
			if name, ok := strings.CutPrefix(string(token), o.prefix); ok {
				if value, known := lookup(name); known {
					out.WriteString(value)
					break
				}
			}
			out.WriteByte(o.start)
			out.Write(token)
			out.WriteByte(o.end)
		default:
			token = append(token, c)
		}
	}
	if inToken {
		out.WriteByte(o.start)
		out.Write(token)
	}
	return out.String()
}

// macroText is a value with macros. Like Ranger it settles by what the policy says, before macros are replaced, whether
// the value is a name, "name*", "*name" or a general pattern: for all but the last, a user whose own name holds a '*'
// gains nothing by it.
type macroText struct {
	source   string
	text     string    // without the '*' at its end or beginning when kind is macroPrefix or macroSuffix
	template *Template // of text; nil where it holds no expression
	kind     macroKind
	options  macroOptions
}

type macroKind uint8

const (
	macroExact macroKind = iota
	macroPrefix
	macroSuffix
	macroGlob
)

func newMacroText(text string, o matcherOptions) *macroText {
	m := &macroText{source: text, text: text, options: o.macros, kind: macroGlob}
	start, end := strings.TrimRight(text, "*"), strings.TrimLeft(text, "*")
	switch {
	case !o.wildcard || !strings.ContainsAny(text, "*?"):
		m.kind = macroExact
	case !strings.ContainsAny(start, "*?"):
		m.kind, m.text = macroPrefix, start
	case !strings.ContainsAny(end, "*?"):
		m.kind, m.text = macroSuffix, end
	}
	if m.options.expressions {
		m.template = NewTemplate(m.text, o.scripts)
	}
	return m
}

// expand replaces the macros for one request. Without a request they stay as they are.
func (m *macroText) expand(v *Values) string {
	if v == nil {
		return m.text
	}
	text := m.template.Expand(m.text, v)
	if m.options.tokens {
		text = m.options.replaceTokens(text, v.token)
	}
	return text
}

func (m *macroText) match(name string, v *Values, o *matcherOptions) bool {
	text := m.expand(v)
	if o.fold {
		text, name = naming.Canonical(text), naming.Canonical(name)
	}
	switch m.kind {
	case macroExact:
		return name == text || o.recursive && matchRecursive(naming.NewPattern(text, false, false), name, o.separator)
	case macroPrefix:
		return strings.HasPrefix(name, text)
	case macroSuffix:
		return strings.HasSuffix(name, text)
	}
	p := naming.NewPattern(text, true, false)
	return p.Match(name) || o.recursive && matchRecursive(p, name, o.separator)
}

// withWildcards returns the value with each macro replaced by '*': what it may come to for some request.
func (m *macroText) withWildcards() string {
	text := m.source
	if m.options.expressions {
		if t := NewTemplate(text, nil); t != nil {
			text = t.fill(func(Script) string { return "*" })
		}
	}
	if m.options.tokens {
		text = m.options.replaceTokens(text, func(string) (string, bool) { return "*", true })
	}
	return text
}
