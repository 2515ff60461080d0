package statement_test

import (
	"strings"
	"testing"
	"time"

	"ucwarden/connector/emulator/statement"
)

// TestEval: expressions return what Databricks SQL returns for them, NULL as "NULL", an error as "error".
func TestEval(t *testing.T) {
	session := &statement.Session{User: "Ana@example.com", Now: time.Date(2026, 3, 31, 22, 30, 5, 6000, time.UTC), InGroup: func(group string) bool { return group == "eu" }}
	columns := map[string]statement.Value{"s": "Hello-42", "n": int64(-7), "x": nil, "d": statement.Date{Time: time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)}, "b": true}
	for source, want := range map[string]string{
		"NULL AND FALSE": "false", "NULL AND TRUE": "NULL", "NULL OR TRUE": "true", "NOT x": "NULL", "x = 1": "NULL", "x <=> NULL": "true", "1 IN (2, NULL)": "NULL", "1 NOT IN (2, NULL)": "NULL",
		"1 IN (1, NULL)": "true", "x IS NULL": "true", "s IS NOT NULL": "true", "x IS TRUE": "false", "b IS NOT FALSE": "true", "coalesce(x = 1, FALSE)": "false",
		"CASE WHEN x THEN 1 WHEN TRUE THEN 2 END": "2", "CASE n WHEN -7 THEN 'seven' ELSE 'other' END": "seven", "CASE WHEN FALSE THEN 1 END": "NULL", "if(n < 0, 'neg', CAST('a' AS INT))": "neg",
		"is_account_group_member('eu')": "true", "is_account_group_member('EU')": "false", "lower(session_user()) = 'ana@example.com'": "true", "split_part(session_user(), '@', 1)": "Ana",
		"mask(s)": "Xxxxx-nn", "mask(s, NULL, 'y', 'z', '.')": "Hyyyy.zz", "concat(mask(left(s, 4)), right(s, 4))": "Xxxxo-42", "s LIKE 'Hello%'": "true", "s LIKE '_ello\\\\-42'": "true", "s NOT LIKE '%x'": "true", "s RLIKE '[0-9]+$'": "true",
		"sha2('a', 256)": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb", "md5('a')": "0cc175b9c0f1b6a831c399e269772661", "substr(s, -2)": "42", "substr(s, 2, 3)": "ell", "length('テスト')": "3",
		"year(d)": "2026", "date_trunc('YEAR', d)": "2026-01-01T00:00:00.000Z", "CAST(date_trunc('YEAR', d) AS DATE)": "2026-01-01", "d = '2026-03-04'": "true", "d > DATE '2026-03-03'": "true", "datediff(d, '2026-03-01')": "3",
		"try_cast('a' AS INT)": "NULL", "CAST('a' AS INT)": "error", "CAST(NULL AS DECIMAL(10,2))": "NULL", "try_divide(1, 0)": "NULL", "1 / 0": "error", "1 + 2 * 3": "7", "-n": "7", "abs(n)": "7", "3 / 2": "1.5", "1.5 + 1": "2.5", "'a' || 'b' || 1": "ab1",
		"n BETWEEN -8 AND -6": "true", "n NOT BETWEEN -8 AND -6": "false", "'10' > 9": "true", "'a' > 9": "error", "greatest(length(s) - 4, 0)": "4", "least(1, NULL, 0)": "0", "'a' 'b'": "ab", "'O''Neil'": "ONeil", "regexp_replace(CAST(n AS STRING), '[0-9]', '1')": "-1",
		"now()": "2026-03-31T22:30:05.000Z", "current_timestamp": "2026-03-31T22:30:05.000Z", "current_date": "2026-03-31", "curdate() > d": "true", "unix_timestamp()": "1774996205", "`current_date`": "error", "current_timezone()": "Etc/UTC",
		"date_from_unix_date(CAST(unix_seconds(current_timestamp()) / 86400 AS INT))": "2026-03-31", "unix_micros(now())": "1774996205000006", "timestamp_micros(try_add(unix_micros(now()), -7200000000))": "2026-03-31T20:30:05.000Z",
		"date_add(d, 30)": "2026-04-03", "date_sub(d, 4)": "2026-02-28", "add_months(current_date, -1)": "2026-02-28", "add_months(current_date, 11)": "2027-02-28", "add_months(d, -15)": "2024-12-04", "unix_date(d) - unix_date('2026-03-01')": "3",
		"try_add(9223372036854775807, 1)": "NULL", "try_add(-9223372036854775807, -2)": "NULL", "try_add(1, 2)": "3", "try_add(x, 1)": "NULL", "date_add(d, x)": "NULL", "date_add(d, 3000000000)": "error",
		"round(2.46, 1)": "2.5", "repeat('ab', 2)": "abab", "lpad('7', 3, '0')": "007", "replace(s, 'l', 'L')": "HeLLo-42", "nvl(x, 'none')": "none", "NOT TRUE OR TRUE": "true", "(1 = 1) = TRUE": "true",
	} {
		e, err := statement.ParseExpression(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		got := "NULL"
		if v, err := e.Eval(session, columns); err != nil {
			got = "error"
		} else if text := statement.Text(v); text != nil {
			got = *text
		}
		if got != want {
			t.Errorf("%s is %s, want %s", source, got, want)
		}
	}
	for _, source := range []string{"", "a +", "(a", "a b", "rand()", "length()", "a.b", "CASE END", "a IN ()", "SELECT 1", "a = (SELECT 1)", "'a", strings.Repeat("(", 1000) + "1" + strings.Repeat(")", 1000), strings.Repeat("NOT (", 1000)} {
		if e, err := statement.ParseExpression(source); err == nil {
			t.Errorf("%s is accepted: %v", source, e)
		}
	}
}
