package attach

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy"
)

// through returns the row filter that a table has while its masks are replaced, and the function of it, where its filter is replaced,
// too: in either order of the two somebody would see rows by one of them and values by the other. ok is false where there is no need
// of one, or where the filter before cannot be read.
func (in *Inspection) through(table *policy.TableState, c *policy.ProtectionChange, functions []policy.SQLFunction) (between policy.Attached, f policy.SQLFunction, ok bool) {
	replaces := false
	for _, m := range c.Masks {
		replaces = replaces || m.From != nil && m.To != nil
	}
	if !replaces || c.Filter == nil || c.Filter.From == nil || c.Filter.To == nil {
		return between, f, false
	}
	before, exists := in.Functions[c.Filter.From.Function]
	at := slices.IndexFunc(functions, func(f policy.SQLFunction) bool {
		return IsRevision(c.Filter.To.Function, f.Name)
	})
	if !exists || at < 0 || !in.ours(before.Name) || len(before.Parameters) != len(c.Filter.From.Arguments) {
		return between, f, false
	}
	after := functions[at]
	f = policy.SQLFunction{Parameters: slices.Clone(after.Parameters), Returns: after.Returns}
	for _, p := range before.Parameters {
		f.Parameters = append(f.Parameters, policy.Column{Name: "q" + p.Name, Type: p.Type})
	}
	f.Body = fmt.Sprintf("(%s) AND (%s)", after.Body, renameParameters(before.Body, before.Parameters))
	schema, _, _ := strings.Cut(after.Name, ".rf_")
	Name(&f, schema, table, nil)
	return policy.Attached{Function: f.Name, Arguments: slices.Concat(c.Filter.To.Arguments, c.Filter.From.Arguments)}, f, true
}

// IsRevision reports whether a function has a name, or that with the number of a revision (see place).
func IsRevision(function, name string) bool {
	rest, ok := strings.CutPrefix(function, name)
	return ok && (rest == "" || strings.HasPrefix(rest, "_r"))
}

// renameParameters returns an expression of ours with a q before the names of parameters. It holds no other names of that form: no
// column stands in it by its own name, and literals are left as they are.
func renameParameters(body string, parameters []policy.Column) string {
	isWord := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
	}
	var b strings.Builder
	for i := 0; i < len(body); {
		end := i + 1
		switch c := body[i]; {
		case c == '\'' || c == '`':
			for end < len(body) && body[end] != c {
				if c == '\'' && body[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(body))
		case isWord(c):
			for end < len(body) && isWord(body[end]) {
				end++
			}
			if slices.ContainsFunc(parameters, func(p policy.Column) bool { return strings.EqualFold(p.Name, body[i:end]) }) {
				b.WriteByte('q')
			}
		}
		b.WriteString(body[i:end])
		i = end
	}
	return b.String()
}
