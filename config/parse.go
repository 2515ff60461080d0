package config

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ucwarden/endpoint"
)

// rawValue is a value as written, before it is parsed.
type rawValue struct {
	text   string
	list   []string
	isList bool
}

// parseValue parses r as a value of the key: string, Secret, bool, int, int64 (bytes), float64, time.Duration or
// []string. A non-empty problem says what is wrong, without the value of a secret.
func (k Key) parseValue(r rawValue) (value any, problem string) {
	if k.Type == TypeList {
		items := parseList(r)
		for _, item := range items {
			if isPlaceholder(k.Type, item) {
				return nil, placeholderProblem
			}
		}
		if k.isFilter() {
			if problem := k.filterProblem(r, items); problem != "" {
				return nil, problem
			}
		}
		if k.check != nil {
			if problem := k.check(items); problem != "" {
				return nil, problem
			}
		}
		return items, ""
	}
	if r.isList {
		return nil, "wants one value, not a list" + k.listHint()
	}
	text := r.text
	if !k.verbatim {
		text = strings.TrimSpace(text)
	}
	if isPlaceholder(k.Type, text) {
		return nil, placeholderProblem
	}
	if k.parse != nil {
		parsed, problem := k.parse(text)
		if problem != "" {
			return nil, problem
		}
		text = parsed
	}
	value, expected := parseText(k, text)
	if expected != "" {
		if k.Type == TypeURL { // may hold a password
			return nil, "want " + expected
		}
		return nil, fmt.Sprintf("%s is not %s%s", quote(text), expected, k.listHint())
	}
	if k.check != nil {
		if problem := k.check(value); problem != "" {
			return nil, problem
		}
	}
	return value, ""
}

// listHint returns where a list goes that was written under the name of a boolean; "" where none is expected.
func (k Key) listHint() string {
	if k.listUnder == "" {
		return ""
	}
	return "; a list of names goes under " + k.listUnder
}

// parseText returns the value, or what was expected instead.
func parseText(k Key, text string) (value any, expected string) {
	switch k.Type {
	case TypeSecret:
		return NewSecret(text), ""
	case TypeBool:
		switch strings.ToLower(text) {
		case "true", "yes", "on", "1":
			return true, ""
		case "false", "no", "off", "0":
			return false, ""
		}
		return nil, "a boolean: want true or false"
	case TypeInt:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, "a whole number"
		}
		return n, ""
	case TypeFloat:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, "a number, for example 0.2"
		}
		return f, ""
	case TypeDuration:
		return parseDuration(text)
	case TypeBytes:
		return parseBytes(text)
	case TypeEnum:
		if lower := strings.ToLower(text); slices.Contains(k.Enum, lower) {
			return lower, ""
		}
		return nil, "one of " + strings.Join(k.Enum, ", ")
	case TypeURL:
		return parseURL(text, k)
	}
	return text, ""
}

// parseList splits a string at commas, trims the items, and drops empty ones.
func parseList(r rawValue) []string {
	parts := r.list
	if !r.isList {
		parts = strings.Split(r.text, ",")
	}
	var items []string
	for _, part := range parts {
		if part = strings.TrimSpace(part); part != "" {
			items = append(items, part)
		}
	}
	return items
}

var dayCount = regexp.MustCompile(`^(\d{1,5})d$`)

func parseDuration(text string) (any, string) {
	if m := dayCount.FindStringSubmatch(text); m != nil {
		days, _ := strconv.Atoi(m[1])
		return time.Duration(days) * 24 * time.Hour, ""
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, "a duration: want a number and a unit, for example 90s, 5m, 1h30m or 30d"
	}
	return d, ""
}

var byteUnits = map[string]int64{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9,
	"k": 1 << 10, "m": 1 << 20, "g": 1 << 30,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
}

func parseBytes(text string) (any, string) {
	const want = "a size: want bytes, or a number with KiB, MiB, GiB, kB, MB or GB"
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, ok := byteUnits[strings.ToLower(strings.TrimSpace(text[len(digits):]))]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n > math.MaxInt64/unit || n < math.MinInt64/unit {
		return nil, want
	}
	return n * unit, ""
}

// parseURL returns scheme://host[:port][/path], without slashes at its end but for an exact one, and with a query where the key takes
// one; https is the default scheme.
func parseURL(text string, k Key) (any, string) {
	if text == "" {
		return "", ""
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.Hostname() == "" || parsed.Scheme != "https" && parsed.Scheme != "http":
		return nil, "a URL, for example https://dbc-1234abcd-56ef.cloud.databricks.com"
	case parsed.User != nil || parsed.RawQuery != "" && !k.query || parsed.Fragment != "":
		if k.query {
			return nil, "a URL without user, password or fragment"
		}
		return nil, "a URL without user, password, query or fragment"
	case !isQuery(parsed.RawQuery):
		return nil, "a URL whose query is escaped: visible ASCII characters alone"
	}
	parsed.ForceQuery = false
	if k.exactPath {
		return parsed.String(), ""
	}
	return strings.TrimRight(parsed.String(), "/"), ""
}

var (
	warehouseID   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	warehousePath = regexp.MustCompile(`^/?sql/(?:1\.0|protocolv1)/(?:warehouses|endpoints)/([A-Za-z0-9_-]{1,64})$`)
)

// parseWarehouse returns the id of a SQL warehouse from the id, its HTTP path, or a JDBC URL whose httpPath parameter
// is that path (the Databricks driver's form, parameters after semicolons). The problem never repeats the text, because
// JDBC URLs contain passwords.
func parseWarehouse(text string) (id, problem string) {
	text = strings.TrimSpace(text)
	path := text
	if strings.HasPrefix(strings.ToLower(text), "jdbc:") {
		path = ""
		for part := range strings.SplitSeq(text, ";") {
			if name, value, ok := strings.Cut(part, "="); ok && strings.EqualFold(strings.TrimSpace(name), "httpPath") {
				path = strings.TrimSpace(value)
			}
		}
		if path == "" {
			return "", "the JDBC URL has no httpPath: copy it from the warehouse's connection details, it ends in httpPath=/sql/1.0/warehouses/ID"
		}
	}
	if m := warehousePath.FindStringSubmatch(path); m != nil {
		return m[1], ""
	}
	if path == text && (text == "" || warehouseID.MatchString(text)) {
		return text, ""
	}
	return "", "not a SQL warehouse: want its id, its HTTP path /sql/1.0/warehouses/ID, or a JDBC URL with that httpPath"
}

// quote returns an invalid value, shortened and in quotes.
func quote(text string) string {
	text = endpoint.MaskURLs(text) // before it is cut: a password is told by the @ behind it
	if short := shorten(text, 60); short != text {
		return strconv.Quote(short) + "…"
	}
	return strconv.Quote(text)
}

// shorten returns the first n characters of text.
func shorten(text string, n int) string {
	for i := range text {
		if n--; n < 0 {
			return text[:i]
		}
	}
	return text
}

func checkPositive(v any) string {
	if toFloat(v) <= 0 {
		return fmt.Sprintf("%v is not allowed: want more than 0", v)
	}
	return ""
}

// checkRefreshWindow bounds the window by how long the queue lets a task wait.
func checkRefreshWindow(v any) string {
	if n := toFloat(v); n < 0 || n > float64(5*time.Minute) {
		return fmt.Sprintf("%v is not allowed: want 0s to 5m", v)
	}
	return ""
}

func checkNotNegative(v any) string {
	if toFloat(v) < 0 {
		return fmt.Sprintf("%v is not allowed: want 0 or more", v)
	}
	return ""
}

func checkRatio(v any) string {
	if n := toFloat(v); n < 0 || n > 1 {
		return fmt.Sprintf("%v is not allowed: want a share from 0 to 1", v)
	}
	return ""
}

func checkPositiveRatio(v any) string {
	if n := toFloat(v); n <= 0 || n > 1 {
		return fmt.Sprintf("%v is not allowed: want a share above 0, up to 1", v)
	}
	return ""
}

func toFloat(v any) float64 {
	switch n := v.(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	case time.Duration:
		return float64(n)
	case float64:
		return n
	}
	return 0
}

func checkNotEmpty(v any) string {
	if v == "" {
		return "must not be empty"
	}
	return ""
}

func checkAddress(v any) string {
	text := v.(string)
	if text == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(text)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		return fmt.Sprintf("%s is not an address: want host:port, for example 127.0.0.1:8282 or :8282", quote(text))
	}
	return ""
}

// checkHS256Secret checks the rule of RFC 7518, section 3.2: an HS256 key has at least 256 bits.
func checkHS256Secret(v any) string {
	if s := v.(Secret); s.IsSet() && len(s.Reveal()) < 32 {
		return "too short: HS256 needs at least 32 bytes, for example from: openssl rand -hex 32"
	}
	return ""
}

func checkUpTo(limit int) func(any) string {
	return func(v any) string {
		if n := v.(int); n < 1 || n > limit {
			return fmt.Sprintf("%d is not allowed: want 1 to %d", n, limit)
		}
		return ""
	}
}
