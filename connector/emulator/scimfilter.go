package emulator

import (
	"regexp"
	"strconv"
	"strings"
)

// scimTokens are parentheses, literals in quotes, and words.
var scimTokens = regexp.MustCompile(`[()]|"(?:[^"\\]|\\.)*"|[^\s()"]+`)

// scimFilterParser parses filters such as: displayName sw "a" and (id ne "1" or externalId eq "x").
type scimFilterParser struct {
	tokens []string
	wrong  bool
}

// scimFilter returns what a filter lets through; an empty one lets all through. Names are compared without regard to case.
func scimFilter(text string) (func(*principal) bool, error) {
	if strings.TrimSpace(text) == "" {
		return func(*principal) bool { return true }, nil
	}
	p := &scimFilterParser{tokens: scimTokens.FindAllString(text, -1)}
	f := p.either()
	if p.wrong || len(p.tokens) > 0 || strings.TrimSpace(scimTokens.ReplaceAllString(text, "")) != "" {
		return nil, invalid(`filter must be like: userName eq "name", with eq, ne, co or sw, joined by and and or.`)
	}
	return f, nil
}

func (p *scimFilterParser) next() string {
	if len(p.tokens) == 0 {
		p.wrong = true
		return ""
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	return token
}

func (p *scimFilterParser) accept(word string) bool {
	if len(p.tokens) == 0 || !strings.EqualFold(p.tokens[0], word) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *scimFilterParser) either() func(*principal) bool {
	f := p.both()
	for !p.wrong && p.accept("or") {
		a, b := f, p.both()
		f = func(who *principal) bool { return a(who) || b(who) }
	}
	return f
}

func (p *scimFilterParser) both() func(*principal) bool {
	f := p.one()
	for !p.wrong && p.accept("and") {
		a, b := f, p.one()
		f = func(who *principal) bool { return a(who) && b(who) }
	}
	return f
}

func (p *scimFilterParser) one() func(*principal) bool {
	if p.accept("(") {
		f := p.either()
		if !p.accept(")") {
			p.wrong = true
		}
		return f
	}
	attribute, op, value := p.next(), strings.ToLower(p.next()), p.next()
	if unquoted, err := strconv.Unquote(value); err == nil {
		value = unquoted
	}
	value = strings.ToLower(value)
	read, known := map[string]func(*principal) string{
		"userName": func(who *principal) string { return who.name }, "applicationId": func(who *principal) string { return who.name },
		"displayName": (*principal).shownName, "externalId": func(who *principal) string { return who.externalID },
		"id": func(who *principal) string { return jsonNumber(who.id) },
	}[attribute]
	compare, comparison := map[string]func(a, b string) bool{
		"eq": func(a, b string) bool { return a == b }, "ne": func(a, b string) bool { return a != b }, "co": strings.Contains, "sw": strings.HasPrefix,
	}[op]
	if !known || !comparison {
		p.wrong = true
		return nil
	}
	return func(who *principal) bool { return compare(strings.ToLower(read(who)), value) }
}
