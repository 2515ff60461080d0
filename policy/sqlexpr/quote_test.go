package sqlexpr

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// unquote reads one token from the beginning of a text as Databricks SQL does, written apart from the lexer of expressions:
// a literal in single quotes, or a name in backticks. doubled says that the runtime reads two quotes in a literal as one;
// older ones end the literal there. It returns what the token means and what follows it.
func unquote(t *testing.T, text string, doubled bool) (value, rest string) {
	t.Helper()
	quote := text[0]
	runes := []rune(text[1:])
	var out []rune
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '`' && quote == '`', r == '\'' && quote == '\'':
			if i+1 < len(runes) && runes[i+1] == r && (quote == '`' || doubled) {
				out = append(out, r)
				i++
				continue
			}
			return string(out), string(runes[i+1:])
		case r == '\\' && quote == '\'':
			if i++; i == len(runes) {
				t.Fatalf("%q ends in an escape", text)
			}
			switch e := runes[i]; e {
			case 'u':
				if string(runes[i:i+5]) != "u0000" {
					t.Fatalf("%q holds an escape of another character than NUL", text)
				}
				out = append(out, 0)
				i += 4
			case 'n':
				out = append(out, '\n')
			case 'r':
				out = append(out, '\r')
			case 't':
				out = append(out, '\t')
			case 'Z':
				out = append(out, 0x1a)
			case '\\', '\'', '{':
				out = append(out, e)
			default:
				t.Fatalf("%q holds the escape \\%c, which runtimes may read in different ways", text, e)
			}
		default:
			out = append(out, r)
		}
	}
	t.Fatalf("%q has no end", text)
	return "", ""
}

func FuzzLiteral(f *testing.F) {
	for _, seed := range []string{"", "O'Neil", `\`, `\'`, "'; DROP TABLE t --", "''", "\x0000", "a\x00b\x1a\n\r\t", "${x}", "$${", `\0`, `01`, "\xff", "é", "\u2028'", "' OR '1'='1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		literal, err := Literal(text)
		if err != nil {
			if utf8.ValidString(text) {
				t.Fatalf("%q is refused: %v", text, err)
			}
			return
		}
		for _, doubled := range []bool{false, true} {
			if value, rest := unquote(t, literal, doubled); value != text || rest != "" {
				t.Fatalf("%q became %q, read as %q with %q after it", text, literal, value, rest)
			}
		}
		if strings.Contains(literal, "${") {
			t.Fatalf("%q became %q", text, literal)
		}
		e, err := Parse(literal, Options{})
		if err != nil && !strings.Contains(text, "${") {
			t.Fatalf("%q does not parse: %v", literal, err)
		}
		if err == nil && !strings.Contains(text, "{USER}") && (e.op != opString || e.text != text) {
			t.Fatalf("%q parses as %q", literal, e.text)
		}
	})
}

func FuzzIdentifier(f *testing.F) {
	for _, seed := range []string{"", "a", "a`b", "``", "a.b", "a b", "a\nb", "${x}", "`; DROP TABLE t --", "\xff", strings.Repeat("x", 256)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		quoted, err := Identifier(name)
		if err != nil {
			if name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= 255 && !strings.ContainsFunc(name, unicode.IsControl) && !strings.Contains(name, "${") {
				t.Fatalf("%q is refused: %v", name, err)
			}
			return
		}
		if value, rest := unquote(t, quoted, true); value != name || rest != "" {
			t.Fatalf("%q became %q, read as %q with %q after it", name, quoted, value, rest)
		}
	})
}

func TestQualifiedNameKeepsDots(t *testing.T) {
	got, err := QualifiedName("c", "s", "a.b`c")
	if want := "`c`.`s`.`a.b``c`"; err != nil || got != want {
		t.Errorf("QualifiedName returns %s, %v; want %s", got, err, want)
	}
}

func TestTypeName(t *testing.T) {
	for _, ok := range []string{"string", "decimal(10,2)", "array<struct<a:int,b:map<string,int>>>", "varchar(10)", "timestamp_ntz",
		"struct<`a b`:int,`c``d`: string,e:array<struct<`名:>'`:date>>>", "map<string,struct<`x`:int>>", "string collate UTF8_LCASE", "interval day to second"} {
		if got, err := TypeName(ok); err != nil || got != ok {
			t.Errorf("TypeName(%q) = %q, %v", ok, got, err)
		}
	}
	for _, bad := range []string{"", "int)", "int, x int", "int; drop", "struct<a:int", "struct<`x`>", "struct<`x:int>", "struct<``:int>", "struct<`x`y:int>", "`x`", "int`x`", "struct<a`x`:int>", "decimal(`x`)", "struct<`a`` :int> , b int",
		"struct<`a\n`:int>", "struct<`${a}`:int>", "string collate x y", "interval day; x", "int -- x", "array<int)>", "int NOT NULL", "1nt", "struct<a'b:int>"} {
		if got, err := TypeName(bad); err == nil {
			t.Errorf("TypeName(%q) = %q, want an error", bad, got)
		}
	}
}
