package endpoint

import (
	"regexp"
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
