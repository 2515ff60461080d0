package endpoint

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// mask is written instead of a secret.
const mask = "********"

// secretParameter matches a parameter of a URL, or of a JDBC URL, whose name says that its value is secret.
var secretParameter = regexp.MustCompile(`(?i)([?&;](?:[\w.-]*(?:password|passwd|secret|token|signature|accesskey|api_?key|credential)|pwd|sig|code|key)=)[^&;#\s"']+`)

// MaskURLs returns text with the user, the password and secret parameters of every URL in it masked. Errors of
// libraries repeat the URL they are about, so texts are masked where they are printed, not where they are made.
func MaskURLs(text string) string {
	at := strings.Index(text, "://")
	if at < 0 {
		return text
	}
	var b strings.Builder
	rest := text
	for at >= 0 {
		b.WriteString(rest[:at+3])
		rest = rest[at+3:]
		end := strings.IndexAny(rest, " \t\r\n\"'<>`")
		if end < 0 {
			end = len(rest)
		}
		if user := userinfo(rest[:end]); user > 0 {
			b.WriteString(mask)
			rest = rest[user:]
		}
		at = strings.Index(rest, "://")
	}
	b.WriteString(rest)
	return secretParameter.ReplaceAllString(b.String(), "${1}"+mask)
}

// HideQuery returns text with the query of u masked, and each of its values, in whatever form a URL may repeat them. Values of fewer
// than 8 bytes are left: they would be found in words that are no secret.
func HideQuery(u *url.URL, text string) string {
	if u.RawQuery == "" {
		return text
	}
	list := []string{u.RawQuery}
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		_, value, found := strings.Cut(part, "=")
		if !found {
			value = part
		}
		list = append(list, value)
		if plain, err := url.QueryUnescape(value); err == nil {
			list = append(list, plain, url.QueryEscape(plain), url.PathEscape(plain), (&url.URL{Path: plain}).EscapedPath())
		}
	}
	list = slices.DeleteFunc(list, func(s string) bool { return len(s) < shortestSecret })
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // one may be within another
	return masked(text, list)
}

// userinfo returns the length of user and password before the @ of what follows "://"; 0 where there is none. A
// password that was not escaped may hold any of / ? # @, so that the last @ counts; where it cuts the host off, what
// looks like a port is no number.
func userinfo(rest string) int {
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	if strings.Contains(authority, "@") {
		return strings.LastIndexByte(rest, '@')
	}
	_, port, found := strings.Cut(authority, ":")
	if strings.HasPrefix(authority, "[") { // an IPv6 address
		_, port, found = strings.Cut(authority, "]:")
	}
	if !found || strings.Trim(port, "0123456789") == "" {
		return 0
	}
	return max(strings.LastIndexByte(rest, '@'), 0)
}
