package endpoint_test

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/endpoint"
)

func TestMaskURLs(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"no URL here, ana@example.com":   "no URL here, ana@example.com",
		"https://host/path":              "https://host/path",
		"https://host:8443/path?limit=3": "https://host:8443/path?limit=3",
		"https://user:pw@host/path":      "https://********@host/path",
		"https://token@host":             "https://********@host",
		`Get "https://u:p@h:1/x": EOF`:   `Get "https://********@h:1/x": EOF`,
		"https://u:p@@h/x":               "https://********@h/x",
		"https://u:p/w@h/x":              "https://********@h/x",
		"https://u:p?w#@h/x":             "https://********@h/x",
		"https://h/users/ana@example.com, https://u:p@h": "https://h/users/ana@example.com, https://********@h",
		"https://h:8443/users/ana@example.com":           "https://h:8443/users/ana@example.com",
		"https://[::1]:8443/users/ana@example.com":       "https://[::1]:8443/users/ana@example.com",
		"sb://u:p@h;x":                          "sb://********@h;x",
		"https://h/jwks?sig=abc&x=1":            "https://h/jwks?sig=********&x=1",
		"https://h/jwks?x=1&access_token=abc#y": "https://h/jwks?x=1&access_token=********#y",
		"https://h/jwks?code=abc":               "https://h/jwks?code=********",
		"jdbc:databricks://h:443/default;AuthMech=3;UID=token;PWD=dapi1;httpPath=/x": "jdbc:databricks://h:443/default;AuthMech=3;UID=token;PWD=********;httpPath=/x",
		"a=https://u:p@h b=https://v:q@i":                                            "a=https://********@h b=https://********@i",
		"://":                                                                        "://",
	} {
		if got := endpoint.MaskURLs(text); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

// Whatever a password holds, escaped as a URL needs it or not, masking leaves nothing of it and keeps the host.
func TestMaskedURLsShowNoPassword(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringMatching(`[A-Z]{6}[a-z0-9:/?#@!$&*;=%+-]{0,12}[A-Z]{6}`).Draw(t, "password")
		user := rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "user")
		written := rapid.SampledFrom([]string{user + ":" + password, url.UserPassword(user, password).String()}).Draw(t, "written")
		text := rapid.SampledFrom([]string{"https://%@host.example:8443/path", "call https://%@host.example: refused", `"jdbc:x://%@host.example/y"`}).Draw(t, "text")
		got := endpoint.MaskURLs(strings.Replace(text, "%", written, 1))
		if strings.Contains(got, password[:6]) || strings.Contains(got, password[len(password)-6:]) || !strings.Contains(got, "host.example") {
			t.Fatalf("%s became %s", strings.Replace(text, "%", written, 1), got)
		}
	})
}
