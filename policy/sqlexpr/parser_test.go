package sqlexpr

import (
	"errors"
	"strings"
	"testing"

	"ucwarden/policy"
)

var testColumns = []policy.Column{
	{Name: "region", Type: "string"}, {Name: "Dept", Type: "varchar(20)"}, {Name: "id", Type: "bigint"}, {Name: "price", Type: "decimal(10,2)"},
	{Name: "born", Type: "date"}, {Name: "seen", Type: "timestamp"}, {Name: "active", Type: "boolean"}, {Name: "tags", Type: "array<string>"},
	{Name: "odd name.x", Type: "string"},
}

func sql(e *Expr) string {
	return e.SQL(Env{
		Column: func(name string) string { return "<" + name + ">" }, Self: "val", User: "session_user()",
		Macro: func(source string) string { return "macro[" + source + "]" },
	})
}

func macros(source string) (Kind, error) {
	if source != "USER.dept" {
		return 0, errors.New("unknown attribute")
	}
	return String, nil
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		`region = 'EU'`:                                 `(<region> = 'EU')`,
		`REGION == "EU"`:                                `(<region> = 'EU')`,
		`dept != 'x' and not active`:                    `((<Dept> <> 'x') AND (NOT <active>))`,
		`a`:                                             ``,
		`region in ('a','b') or id>=3`:                  `((<region> IN ('a', 'b')) OR (<id> >= 3))`,
		`id not in (1, 2) and id > -1`:                  `((<id> NOT IN (1, 2)) AND (<id> > (- 1)))`,
		`id between 1 and 2 and active`:                 `((<id> BETWEEN 1 AND 2) AND <active>)`,
		`region like 'E\_%'`:                            `(<region> LIKE 'E\\_%')`,
		`region not rlike '^E.*'`:                       `(<region> NOT RLIKE '^E.*')`,
		`tags is not null`:                              `(<tags> IS NOT NULL)`,
		`active is true`:                                `(<active> IS TRUE)`,
		`price / id > 2.5e3`:                            `(try_divide(<price>, <id>) > 2.5e3)`,
		`id % 2 = 0`:                                    `((<id> % 2) = 0)`,
		`cast(id as string) = '5'`:                      `(try_cast(<id> AS STRING) = '5')`,
		`born >= '2020-01-01'`:                          `(<born> >= try_cast('2020-01-01' AS DATE))`,
		`seen < date '2020-01-01'`:                      `(<seen> < try_cast('2020-01-01' AS DATE))`,
		`year(born) = 2020`:                             `(year(<born>) = 2020)`,
		`to_date(region) = born`:                        `(try_cast(<region> AS DATE) = <born>)`,
		`region = current_user()`:                       `(<region> = session_user())`,
		`region = {USER}`:                               `(<region> = session_user())`,
		`region = '{USER}'`:                             `(<region> = session_user())`,
		`region = 'u_{USER}'`:                           `(<region> = concat('u_', session_user()))`,
		`region = '${{USER.dept}}'`:                     `(<region> = macro[USER.dept])`,
		`region = ${{ USER.dept }}`:                     `(<region> = macro[USER.dept])`,
		"`odd name.x` = 'O\\'Neil'":                     `(<odd name.x> = 'O\'Neil')`,
		`case when active then 1 end = 1`:               `(CASE WHEN <active> THEN 1 END = 1)`,
		`case region when 'a' then true else false end`: `CASE WHEN (<region> = 'a') THEN TRUE ELSE FALSE END`,
		`coalesce(region, 'x') || dept = 'ab'`:          `(concat(coalesce(<region>, 'x'), <Dept>) = 'ab')`,
		`if(active, id, 0) <=> 1`:                       `(if(<active>, <id>, 0) <=> 1)`,
		`region = 'a' or region = 'b' or region = 'c'`:  `((<region> = 'a') OR (<region> = 'b') OR (<region> = 'c'))`,
		`region = null`:                                 `(<region> = NULL)`,
		`lower(trim(region)) = split_part(session_user(), '@', 1)`: `(lower(trim(<region>)) = split_part(session_user(), '@', 1))`,
		`1 = 1`: `(1 = 1)`,
	} {
		e, err := Parse(text, Options{Columns: testColumns, Macros: macros})
		switch {
		case want == "" && err == nil:
			t.Errorf("%s is read as %s, want an error", text, sql(e))
		case want != "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && sql(e) != want:
			t.Errorf("%s\n is written as %s\n want         %s", text, sql(e), want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                                 `at character 1: it is empty`,
		`region = 'a' -- x`:                `at character 14: comments`,
		`region = /* x */ 'a'`:             `at character 10: comments`,
		`region = 'a';`:                    `';' is not allowed`,
		`region = (select 1)`:              `subqueries`,
		`exists (select 1)`:                `subqueries`,
		`id in (select x from y)`:          `subqueries`,
		`region = 'a`:                      `no end`,
		`(region = 'a'`:                    `ends too early`,
		`region = 'a')`:                    `not expected`,
		`count(id) > 1`:                    `aggregates`,
		`rand() > 0.5`:                     `often enough sees every row`,
		`is_member('x')`:                   `groups of the workspace`,
		`is_account_group_member('x')`:     `fail open`,
		`unix_timestamp(seen) > 1`:         `time zone`,
		`nothing = 1`:                      `no column "nothing"`,
		`region = 1`:                       `a string and a number cannot be compared`,
		`id = '1'`:                         `a number and a string cannot be compared`,
		`tags = 'x'`:                       `IS NULL`,
		`coalesce(tags, tags) = 'a'`:       `IS NULL`,
		`coalesce(tags, 5) > 1`:            `IS NULL`,
		`if(active, 'a', tags) = 'a'`:      `IS NULL`,
		`nvl(tags, null) = 1`:              `IS NULL`,
		`coalesce(tags, tags)  and active`: `must be a boolean`,
		`id + region > 1`:                  `must be a number`,
		`region and active`:                `must be a boolean`,
		`not region`:                       `must be a boolean`,
		`lower(id) = 'x'`:                  `must be a string`,
		`region = :x`:                      `parameters`,
		`region = ?`:                       `parameters`,
		`id % id = 1`:                      `must be a number that is not 0`,
		`id % 0 = 1`:                       `must be a number that is not 0`,
		`region = 'a' 'b'`:                 `two literals side by side`,
		`region = 'O''Neil'`:               `two literals side by side`,
		`region = r'x'`:                    `raw and binary`,
		`id = 1L`:                          `suffix`,
		`a.b = 1`:                          ``,
		`id = 1 = 2`:                       `in a row`,
		`transform(tags, x -> x)`:          `not known to be safe`,
		`sum(id) over (partition by id)`:   `aggregates`,
		`row_number() over ()`:             `not known`,
		`region rlike dept`:                `must be a literal`,
		`region rlike '('`:                 `regular expression`,
		`region like 'a\\b'`:               `backslash`,
		`born = 'yesterday'`:               `compared with a date`,
		`cast(id as array<int>)`:           `cannot be converted`,
		`cast(born as int) > 1`:            `a date cannot be converted to INT`,
		`cast(born as boolean)`:            `cannot be converted`,
		`cast(id as date) = born`:          `a number cannot be converted to DATE`,
		`cast(active as date) = born`:      `cannot be converted`,
		`cast(seen as boolean)`:            `cannot be converted`,
		`cast(id as decimal(60,5)) = 1`:    `precision from 1 to 38`,
		`cast(id as decimal(5,9)) = 1`:     `precision from 1 to 38`,
		`cast(id as decimal(0)) = 1`:       `precision from 1 to 38`,
		`id = 1e999`:                       `range of DOUBLE`,
		`id = 999999999999999999999999999999999999999`:              `38 digits`,
		`id > .000000000000000000000000000000000000001`:             `38 digits`,
		`left(region, 3000000000) = 'a'`:                            `up to 2147483647`,
		`round(id, 3000000000) = 1`:                                 `up to 2147483647`,
		`region = '${{UG.dept}}'`:                                   `macro ${{UG.dept}} is not allowed`,
		`region = ${{USER.dept`:                                     `no end`,
		`{col} = 'x'`:                                               `{col} is not known here`,
		`{OWNER} = region`:                                          `{OWNER} is not known here`,
		`split_part(region, '@', 0) = 'a'`:                          `counts parts from 1`,
		"region = 'a\xff'":                                          `not valid UTF-8`,
		`region = 'ü' § 1`:                                          `at character 14:`,
		`mask(region) = 'x'`:                                        `not known to be safe`,
		`regexp_replace(region, 'a', '$1') = 'x'`:                   `which has 0`,
		`regexp_replace(region, '(a)', '${x}') = 'x'`:               `which has 1`,
		`regexp_replace(region, 'a', 'b\\') = 'x'`:                  `backslash`,
		strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000): `nested`,
		strings.Repeat("not ", 5000) + "active":                     `nested`,
		"id" + strings.Repeat(" + 1", 100) + " > 1":                 `nested`,
		"region = '" + strings.Repeat("x", 70<<10) + "'":            `longer than`,
		repeated(30, 3):                                             `bytes of SQL`,
		repeated(1, 900):                                            `bytes of SQL`,
	} {
		e, err := Parse(text, Options{Columns: testColumns, Macros: macros})
		if err == nil {
			t.Errorf("%.80s is read as %s", text, sql(e))
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
}

// repeated is a number that is a CASE within a CASE, and so on, of so many WHENs each; in the innermost a long text is compared.
func repeated(deep, whens int) string {
	text := "case '" + strings.Repeat("x", 2000) + "'" + strings.Repeat(" when region then 1", whens) + " end"
	for range deep {
		text = "case " + text + strings.Repeat(" when 1 then 1", whens) + " end"
	}
	return text + " = 1"
}

// Whatever may be written at length is written in time that goes by its length, however it is nested.
func TestParseLarge(t *testing.T) {
	for name, text := range map[string]string{
		"list": "id in (1" + strings.Repeat(",1", 32_000) + ")", "times": "seen in (now()" + strings.Repeat(",now()-interval 1 month", 2700) + ")",
		"days": "born in (curdate()" + strings.Repeat(",curdate()", 6000) + ")", "case": repeated(0, 400), "nested": repeated(3, 3),
	} {
		e, err := Parse(text, Options{Columns: testColumns})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if n := len(sql(e)); n > 2*maxWritten {
			t.Errorf("%s becomes %d bytes", name, n)
		}
	}
}

func TestParseMask(t *testing.T) {
	o := Options{Columns: testColumns, Self: "varchar(20)", SelfName: "dept"}
	for text, want := range map[string]string{
		`concat(left({col}, 1), '***')`: `concat(left(val, 1), '***')`,
		`upper(dept)`:                   `upper(val)`,
		`cast({col} as {colType})`:      `try_cast(val AS varchar(20))`,
		`case when region = 'EU' then {col} else mask({col}, 'X', 'x', 'n', '-') end`: `CASE WHEN (<region> = 'EU') THEN val ELSE mask(val, 'X', 'x', 'n', '-') END`,
		`sha2({col}, 256)`: `sha2(val, 256)`,
	} {
		e, err := Parse(text, o)
		if err != nil || sql(e) != want {
			t.Errorf("%s is written as %v, %v; want %s", text, e, err, want)
		}
	}
	if _, err := Parse("sha2({col}, 100)", o); err == nil {
		t.Error("sha2 with 100 bits is read")
	}
}

// What is read is written so that it is read again as the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`region = 'EU'`, `id in (1,2) and not active`, `case when active then id else 0 end > 1`, `born = '2020-01-01'`, `region like 'a%'`, `price/id>1`, `born > current_date - 7`, `seen - interval '3' hours < now() - interval 2 months`} {
		f.Add(seed)
	}
	back := func(e *Expr) string {
		return e.SQL(Env{
			Column: func(name string) string { q, _ := Identifier(name); return q }, Self: "{col}", User: "session_user()",
			Macro: func(source string) string { return "${{" + source + "}}" },
		})
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := Options{Columns: testColumns, Macros: macros}
		e, err := Parse(text, o)
		if err != nil {
			return
		}
		once := back(e)
		o.Self, o.SelfName = "string", "no such column" // for try_divide and its like nothing is needed
		again, err := Parse(once, o)
		if err != nil {
			if strings.Contains(once, "try_divide") || strings.Contains(once, "unix_") || strings.Contains(err.Error(), "nested") || strings.Contains(text, "$") {
				return // these are written, and not read
			}
			t.Fatalf("%q is written as %q: %v", text, once, err)
		}
		if twice := back(again); twice != once {
			t.Fatalf("%q is written as %q, and that as %q", text, once, twice)
		}
	})
}
