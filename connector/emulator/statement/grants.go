package statement

import "strings"

func (p *parser) grant(revoke bool) *Grant {
	g := &Grant{Revoke: revoke}
	for {
		var words []string
		for p.peek().kind == word && !p.is("ON") {
			words = append(words, strings.ToUpper(p.identifier()))
		}
		if len(words) == 0 {
			p.fail("want a privilege instead of %q", p.peek().text)
		}
		if len(words) == 1 && words[0] == "ALL" {
			words = append(words, "PRIVILEGES")
		}
		g.Privileges = append(g.Privileges, strings.Join(words, " "))
		if !p.accept(",") {
			break
		}
	}
	p.expect("ON")
	g.On = p.object()
	if revoke {
		p.expect("FROM")
	} else {
		p.expect("TO")
	}
	g.Principal = p.principal(g.On)
	return g
}

// principal parses who a grant is to; a share's is a recipient, which may say so.
func (p *parser) principal(on Object) string {
	if on.Type == "SHARE" {
		p.accept("RECIPIENT")
	}
	return p.identifier()
}

func (p *parser) showGrants() *ShowGrants {
	s := &ShowGrants{}
	if p.is("TO", "RECIPIENT") {
		panic(failure{&Error{p.peek().at, "SHOW GRANTS TO RECIPIENT is not supported by the emulator: SHOW GRANTS ON SHARE is", true}})
	}
	if !p.is("ON") {
		s.Principal = p.identifier()
	}
	p.expect("ON")
	s.On = p.object()
	return s
}
