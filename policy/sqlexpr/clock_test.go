package sqlexpr

import (
	"strings"
	"testing"

	"ucwarden/policy"
)

const (
	todaySQL = "date_from_unix_date(CAST(unix_seconds(current_timestamp()) / 86400 AS INT))"
	nowSQL   = "current_timestamp()"
)

// What an expression says of the time of the query is written so that no setting of a session moves it.
func TestClock(t *testing.T) {
	for text, want := range map[string]string{
		`born >= current_date()`:                    `(<born> >= ` + todaySQL + `)`,
		`born >= CURRENT_DATE`:                      `(<born> >= ` + todaySQL + `)`,
		`born = curdate()`:                          `(<born> = ` + todaySQL + `)`,
		`seen < now()`:                              `(<seen> < ` + nowSQL + `)`,
		`seen < current_timestamp`:                  `(<seen> < ` + nowSQL + `)`,
		`seen < current_timestamp( )`:               `(<seen> < ` + nowSQL + `)`,
		`id > unix_timestamp()`:                     `(<id> > unix_seconds(` + nowSQL + `))`,
		`born > current_date() - 7`:                 `(<born> > date_sub(` + todaySQL + `, 7))`,
		`born + 3 > current_date`:                   `(date_add(<born>, 3) > ` + todaySQL + `)`,
		`born - -3 > current_date`:                  `(date_add(<born>, 3) > ` + todaySQL + `)`,
		`born > date_sub(current_date, 30)`:         `(<born> > date_sub(` + todaySQL + `, 30))`,
		`born > add_months(current_date, -6)`:       `(<born> > add_months(` + todaySQL + `, (- 6)))`,
		`born > current_date - interval 2 weeks`:    `(<born> > date_sub(` + todaySQL + `, 14))`,
		`born > current_date - interval '1' YEAR`:   `(<born> > add_months(` + todaySQL + `, (- 12)))`,
		`born < current_date + interval '3 months'`: `(<born> < add_months(` + todaySQL + `, 3))`,
		`seen > now() - interval 30 days`:           `(<seen> > timestamp_micros(try_add(unix_micros(` + nowSQL + `), -2592000000000)))`,
		`seen + interval 90 minutes < now()`:        `(timestamp_micros(try_add(unix_micros(<seen>), 5400000000)) < ` + nowSQL + `)`,
		`seen > now() - interval -1 hour`:           `(<seen> > timestamp_micros(try_add(unix_micros(` + nowSQL + `), 3600000000)))`,
		`seen > now() - interval 1 month`:           `(<seen> > timestamp_micros(unix_micros(` + nowSQL + `) + (unix_date(add_months(` + todaySQL + `, -1)) - unix_date(` + todaySQL + `)) * 86400000000))`,
		`datediff(current_date(), born) <= 30`:      `(datediff(` + todaySQL + `, <born>) <= 30)`,
		`born > null - interval 1 day`:              `(<born> > NULL)`,
		`year(born) = year(current_date)`:           `(year(<born>) = year(` + todaySQL + `))`,
	} {
		e, err := Parse(text, Options{Columns: testColumns})
		switch {
		case err != nil:
			t.Errorf("%s: %v", text, err)
		case sql(e) != want:
			t.Errorf("%s\n is written as %s\n want         %s", text, sql(e), want)
		case !e.ReadsClock() && strings.Contains(want, nowSQL):
			t.Errorf("%s is said not to depend on the time of the query", text)
		}
	}
}

func TestClockRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`uuid() = region`:                               `often enough sees every row`,
		`randn() > id`:                                  `often enough sees every row`,
		`localtimestamp() > seen`:                       `settings of their session; write now()`,
		`localtimestamp > seen`:                         `settings of their session; write now()`,
		`current_timezone() = region`:                   `settings of their session`,
		`current_schema() = region`:                     `settings of their session`,
		`current_database() = region`:                   `settings of their session`,
		`current_catalog() = region`:                    `settings of their session`,
		`unix_timestamp(region) > 1`:                    `time zone`,
		`now(1) > seen`:                                 `only without an argument`,
		`seen > now() - 7`:                              `INTERVAL 7 DAYS`,
		`current_date() - born > 7`:                     `datediff(later, earlier)`,
		`current_date() - id > born`:                    `whole number`,
		`current_date() - 1.5 > born`:                   `whole number`,
		`born > date_sub(current_date(), id)`:           `must be a literal`,
		`born > date_sub(current_date(), 10000000)`:     `up to 1000000`,
		`born > current_date() - 10000000`:              `1000000 days`,
		`born > current_date() - interval 500000 weeks`: `1000000 days`,
		`born > current_date() - interval 1 hour`:       `no time of day`,
		`seen > seen - interval 1 month`:                `time zone of the session`,
		`seen > now() - interval 1 day 2 hours`:         `INTERVAL 30 DAYS`,
		`seen > now() - interval '1 2' day to hour`:     `INTERVAL 30 DAYS`,
		`seen > now() - interval 1.5 days`:              `INTERVAL 30 DAYS`,
		`seen > now() - interval 1 fortnight`:           `INTERVAL 30 DAYS`,
		`seen > now() - interval 9999999 seconds`:       `INTERVAL 30 DAYS`,
		`seen > now() - interval`:                       `INTERVAL 30 DAYS`,
		`seen > now() * interval 1 day`:                 `not expected`,
		`id - interval 1 day > 1`:                       `only be added to a date`,
		`interval 1 day > 1`:                            `not expected`,
		`now() over () > seen`:                          `windows`,
	} {
		if e, err := Parse(text, Options{Columns: testColumns}); err == nil {
			t.Errorf("%s is read as %s", text, sql(e))
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at character") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	named := Options{Columns: []policy.Column{{Name: "current_date", Type: "date"}}}
	if _, err := Parse("current_date > '2026-01-01'", named); err == nil || !strings.Contains(err.Error(), "a function and a column") {
		t.Errorf("a column that is named as a function: %v", err)
	}
	if e, err := Parse("`current_date` > current_date()", named); err != nil || sql(e) != "(<current_date> > "+todaySQL+")" {
		t.Errorf("a column that is named as a function, in backticks: %v", err)
	}
}

// localColumns are some with a timestamp that has no time zone.
var localColumns = []policy.Column{{Name: "seen", Type: "timestamp"}, {Name: "wall", Type: "timestamp_ntz"}, {Name: "born", Type: "date"}, {Name: "s", Type: "string"}, {Name: "id", Type: "bigint"}}

// unix_micros takes no timestamp without a time zone.
func TestLocalTimes(t *testing.T) {
	for text, want := range map[string]string{
		"wall + interval 1 hour < now()":                      `(timestamp_micros(try_add(unix_micros(try_cast(<wall> AS TIMESTAMP)), 3600000000)) < ` + nowSQL + `)`,
		"coalesce(wall, null) - interval 1 second < now()":    `(timestamp_micros(try_add(unix_micros(try_cast(coalesce(<wall>, NULL) AS TIMESTAMP)), -1000000)) < ` + nowSQL + `)`,
		"cast(seen as {colType}) + interval 1 second < now()": `(timestamp_micros(try_add(unix_micros(try_cast(try_cast(<seen> AS timestamp_ntz) AS TIMESTAMP)), 1000000)) < ` + nowSQL + `)`,
		"seen + interval 1 second < now()":                    `(timestamp_micros(try_add(unix_micros(<seen>), 1000000)) < ` + nowSQL + `)`,
	} {
		e, err := Parse(text, Options{Columns: localColumns, Self: "timestamp_ntz"})
		if err != nil || sql(e) != want || e.ByTimeZone() == strings.HasPrefix(text, "seen") {
			t.Errorf("%s is written as %v, %v; want %s", text, e, err, want)
		}
	}
}

func TestByTimeZone(t *testing.T) {
	for text, want := range map[string]bool{
		"born >= current_date()": false, "seen > now() - interval 30 days": false, "id > unix_timestamp()": false, "born = '2026-01-01'": false, "year(born) = 2026": false,
		"wall >= '2026-01-01'": false, "cast(s as date) = born": false, "seen > now() - interval 2 months": false, "seen is null": false, "seen in (seen, now())": false,
		"date_trunc('DAY', born) = born": false, "date_trunc('YEAR', born) = '2026-01-01'": false,
		"date_trunc('DAY', born) <= now()": true, "now() > date_trunc('MONTH', current_date())": true, "date_trunc('DAY', born) + interval 1 day > now()": true, "date_trunc('DAY', born) = seen": true,
		"year(seen) = 2026": true, "seen >= '2026-01-01'": true, "'2026-01-01' < seen or id = 1": true, "seen > timestamp '2026-01-01 10:00'": true, "to_date(seen) = born": true,
		"born = seen": true, "wall < now()": true, "cast(born as timestamp) < now()": true, "cast(s as timestamp) < now()": true, "cast(wall as timestamp) < now()": true, "date_trunc('DAY', seen) = seen": true,
		"datediff(current_date(), seen) < 7": true, "coalesce(seen, born) < now()": true, "seen between '2026-01-01' and now()": true, "cast(seen as string) like '2026%'": true, "seen in ('2026-01-01')": true, "coalesce(wall, wall) < now()": true, "case when id = 1 then wall end > '2026-01-01'": false,
	} {
		e, err := Parse(text, Options{Columns: localColumns})
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if e.ByTimeZone() != want {
			t.Errorf("%s goes by the time zone: %t, want %t", text, !want, want)
		}
	}
}

// What cannot be converted is refused here: the function would be, and with it all that it does for others.
func TestConversions(t *testing.T) {
	o := Options{Columns: append(localColumns, policy.Column{Name: "yes", Type: "boolean"}), Self: "timestamp_ntz"}
	for text, want := range map[string]bool{
		"cast(id as boolean)": true, "cast(id as timestamp) < now()": true, "cast(id as {colType}) < wall": false, "cast(yes as {colType}) < wall": false, "cast(yes as timestamp) < now()": true, "cast(yes as int) = 1": true,
		"cast(seen as bigint) = 1": true, "cast(wall as bigint) = 1": false, "cast(cast(wall as timestamp) as bigint) = 1": true, "cast(born as {colType}) = wall": true, "cast(null as {colType}) = wall": true, "cast(s as {colType}) = wall": true,
		"cast(yes as string) = s": true, "cast(born as string) = s": true, "to_date(wall) = born": true, "cast(born as date) = born": true, "cast(seen as {colType}) = wall": true, "cast(wall as double) = 1": false,
	} {
		if _, err := Parse(text, o); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Without its table only that of an expression is refused which would be refused on any.
func TestParseWithoutColumns(t *testing.T) {
	for text, want := range map[string]string{
		"region = 'EU' and n > 1 and born > current_date() and lower(x) = y": "", "a + b > c / d": "", "x - interval 1 day < now()": "", "x": "", "x in (1, null)": "", "year(x) = 1 and x like 'a%'": "",
		"n > 1 -- x": "comments", "n in (select 1)": "subqueries", "rand() > n": "every row", "leak(n)": "not known to be safe", "n > ": "too early", "1 = 'a'": "cannot be compared",
		"valid_to - 7 >= current_date()": "", "valid_to + 7 - 1 >= '2026-01-01'": "", "user = 5": "", "id + 1 > 7": "", "1 - 1 = 'a'": "cannot be compared", "a * 2 = 'b'": "cannot be compared",
	} {
		_, err := Parse(text, Options{AnyColumn: true})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{"{col} + 1": "", "upper({col})": "", "cast({col} as {colType})": "", "case when x then {col} end": "", "concat({col}": "too early", "uuid()": "every row"} {
		_, err := Parse(text, Options{AnyColumn: true, Self: "string"})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("the mask %s: %v, want %q", text, err, want)
		}
	}
}
