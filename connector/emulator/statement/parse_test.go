package statement_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"ucwarden/connector/emulator/statement"
)

func TestParse(t *testing.T) {
	literal := "x"
	for sql, want := range map[string]statement.Statement{
		"GRANT SELECT ON TABLE a.b.c TO `x@y`;": &statement.Grant{Privileges: []string{"SELECT"}, On: statement.Object{Type: "TABLE", Name: []string{"a", "b", "c"}}, Principal: "x@y"},
		"grant use schema, all privileges on schema `a b`.`c``d` to `account users`": &statement.Grant{Privileges: []string{"USE SCHEMA", "ALL PRIVILEGES"},
			On: statement.Object{Type: "SCHEMA", Name: []string{"a b", "c`d"}}, Principal: "account users"},
		"REVOKE ALL ON DATABASE s FROM g":        &statement.Grant{Revoke: true, Privileges: []string{"ALL PRIVILEGES"}, On: statement.Object{Type: "SCHEMA", Name: []string{"s"}}, Principal: "g"},
		"GRANT CREATE CATALOG ON METASTORE TO g": &statement.Grant{Privileges: []string{"CREATE CATALOG"}, On: statement.Object{Type: "METASTORE"}, Principal: "g"},
		"GRANT SELECT ON SHARE s TO RECIPIENT r": &statement.Grant{Privileges: []string{"SELECT"}, On: statement.Object{Type: "SHARE", Name: []string{"s"}}, Principal: "r"},
		"GRANT READ FILES ON EXTERNAL LOCATION l TO g": &statement.Grant{Privileges: []string{"READ FILES"},
			On: statement.Object{Type: "EXTERNAL LOCATION", Name: []string{"l"}}, Principal: "g"},
		"GRANT SELECT ON share.s TO g -- a table":      &statement.Grant{Privileges: []string{"SELECT"}, On: statement.Object{Type: "TABLE", Name: []string{"share", "s"}}, Principal: "g"},
		"SHOW GRANTS /* all */ ON MATERIALIZED VIEW v": &statement.ShowGrants{On: statement.Object{Type: "TABLE", Name: []string{"v"}}},
		"show grants `g` on volume a.b.v":              &statement.ShowGrants{Principal: "g", On: statement.Object{Type: "VOLUME", Name: []string{"a", "b", "v"}}},
		"ALTER CATALOG c SET OWNER TO `g`":             &statement.SetOwner{On: statement.Object{Type: "CATALOG", Name: []string{"c"}}, Owner: "g"},
		"ALTER STORAGE CREDENTIAL c OWNER TO g":        &statement.SetOwner{On: statement.Object{Type: "STORAGE CREDENTIAL", Name: []string{"c"}}, Owner: "g"},
		`ALTER TABLE t SET TAGS ('a' = 'it\'s', "b", c = d)`: &statement.SetTags{On: statement.Object{Type: "TABLE", Name: []string{"t"}},
			Set: []statement.Tag{{Key: "a", Value: "it's"}, {Key: "b"}, {Key: "c", Value: "d"}}},
		"ALTER VIEW v UNSET TAGS ('a', 'b')":              &statement.SetTags{On: statement.Object{Type: "TABLE", Name: []string{"v"}}, Unset: []string{"a", "b"}},
		"ALTER TABLE t ALTER COLUMN `c.d` SET TAGS ('a')": &statement.SetTags{On: statement.Object{Type: "TABLE", Name: []string{"t"}}, Column: "c.d", Set: []statement.Tag{{Key: "a"}}},
		"ALTER TABLE t ALTER COLUMN c UNSET TAGS ('a')":   &statement.SetTags{On: statement.Object{Type: "TABLE", Name: []string{"t"}}, Column: "c", Unset: []string{"a"}},
		"SET TAG ON COLUMN a.b.t.c pii = high":            &statement.SetTags{On: statement.Object{Type: "TABLE", Name: []string{"a", "b", "t"}}, Column: "c", Set: []statement.Tag{{Key: "pii", Value: "high"}}},
		"UNSET TAG ON CATALOG a `p i`":                    &statement.SetTags{On: statement.Object{Type: "CATALOG", Name: []string{"a"}}, Unset: []string{"p i"}},
		"SELECT 'x', session_user()":                      &statement.Select{Columns: []statement.Column{{As: "x", Literal: &literal}, {Name: "session_user", As: "session_user()", Call: true}}, Limit: -1},
		"SELECT * FROM c.information_schema.table_tags":   &statement.Select{From: []string{"c", "information_schema", "table_tags"}, Limit: -1},
		"SELECT a AS b FROM v WHERE A = :p LIMIT 3":       &statement.Select{Columns: []statement.Column{{Name: "a", As: "b"}}, From: []string{"v"}, Where: []statement.Condition{{Column: "a", Op: "=", Values: []string{"marked"}}}, Limit: 3},
		"SELECT * FROM v WHERE a IN ('x', 'y') AND b NOT LIKE 'z%' AND c IS NOT NULL AND d != 4 ORDER BY a DESC, b ASC, c": &statement.Select{From: []string{"v"},
			Where: []statement.Condition{{Column: "a", Op: "IN", Values: []string{"x", "y"}}, {Column: "b", Op: "LIKE", Not: true, Values: []string{"z%"}},
				{Column: "c", Op: "NULL", Not: true}, {Column: "d", Op: "<>", Values: []string{"4"}}},
			Order: []statement.Order{{Column: "a", Descending: true}, {Column: "b"}, {Column: "c"}}, Limit: -1},
	} {
		got, err := statement.Parse(sql, map[string]string{"p": "marked"})
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if g, w := jsonOf(t, got), jsonOf(t, want); g != w {
			t.Errorf("%s: is\n%s, want\n%s", sql, g, w)
		}
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestRefused: what is not understood is refused with its place, and said to be not supported where it may be right.
func TestRefused(t *testing.T) {
	for sql, unsupported := range map[string]bool{
		"": false, ";": false, "GRANT": false, "GRANT ON TABLE t TO g": false, "GRANT SELECT TABLE t TO g": false, "GRANT SELECT ON TABLE t FROM g": false,
		"GRANT SELECT ON TABLE t TO 'g'": false, "GRANT SELECT ON TABLE t TO g, h": false, "REVOKE SELECT ON TABLE t TO g": false, "GRANT SELECT ON TABLE t. TO g": false,
		"GRANT SELECT ON TABLE `` TO g": false, "GRANT SELECT ON TABLE `t TO g": false, "SHOW GRANTS": false, "SHOW GRANTS TO RECIPIENT r": true,
		"SHOW GRANTS ON CATALOG IDENTIFIER(:c)": true, "GRANT SELECT ON TABLE identifier('a.b') TO g": true, "ALTER TABLE t SET TAGS": false, "ALTER TABLE t SET TAGS ()": false,
		"ALTER TABLE t SET TAGS ('a' 'b')": false, "SET TAG ON COLUMN c a": false, "SELECT": false, "SELECT *": false, "SELECT * FROM v WHERE": false, "SELECT * FROM v WHERE a": false,
		"SELECT * FROM v WHERE a = b": false, "SELECT * FROM v WHERE a = :q": false, "SELECT * FROM v LIMIT x": false, "SELECT 'x": false, "SELECT 1 /* x": false, "\xff": false,
		"GRANT SELECT ON TABLE t TO g; GRANT SELECT ON TABLE t TO h": false,
		"CREATE TABLE t (a INT)":                                     true, "INSERT INTO t VALUES (1)": true, "DROP VIEW t": true, "ALTER TABLE t ADD COLUMN c INT": true, "ALTER TABLE t SET TBLPROPERTIES (a = 1)": true,
		"SELECT * FROM v JOIN w": true, "SELECT * FROM v WHERE a = 'x' OR b = 'y'": true, "SELECT a FROM v GROUP BY a": true,
	} {
		got, err := statement.Parse(sql, nil)
		var mistake *statement.Error
		if !errors.As(err, &mistake) {
			t.Errorf("%s: %v, %v", sql, got, err)
			continue
		}
		if mistake.Unsupported != unsupported || strings.Contains(mistake.Message, "not supported by the emulator") != unsupported || mistake.At < 0 || mistake.At > len(sql) {
			t.Errorf("%s: unsupported %v, at %d: %v", sql, mistake.Unsupported, mistake.At, err)
		}
	}
}

// FuzzParse: no text breaks the parser, and what is quoted is read as it was.
func FuzzParse(f *testing.F) {
	for _, sql := range []string{"GRANT SELECT ON TABLE `a`.b TO `x@y`", "SELECT * FROM v WHERE a = 'b' -- c", `ALTER TABLE t SET TAGS ('a' = "b")`, "SHOW GRANTS ON METASTORE"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := statement.Parse(text, nil); (got == nil) == (err == nil) {
			t.Errorf("%q: %v and %v", text, got, err)
		}
		got, err := statement.Parse("SHOW GRANTS ON CATALOG `"+strings.ReplaceAll(text, "`", "``")+"`", nil)
		if err != nil { // empty, or no UTF-8
			return
		}
		if show, ok := got.(*statement.ShowGrants); !ok || show.On.Name[0] != text {
			t.Errorf("quoted %q is read as %v", text, got)
		}
	})
}
