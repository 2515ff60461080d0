package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/config"
)

// Every setting of a URL has a switch for plain http, without which http beyond this machine is refused, by whatever name
// it is set.
func TestPlainHTTPIsRefused(t *testing.T) {
	urls := []string{"apiserver.jwt.jwks"} // a file or a URL
	for _, k := range config.Keys() {
		if k.Type == config.TypeURL {
			urls = append(urls, k.Name)
		}
	}
	if len(urls) < 3 {
		t.Fatalf("only %q", urls)
	}
	rest := "databricks.token: t\npolicies.ranger.service: s\nwebhook.secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"
	for _, key := range urls {
		env := "UCWARDEN_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		const address = "http://me.example.com:8080/x"
		if got := loadErr(t, rest+key+": "+address+"\n"); !strings.Contains(got, key+".allow_http") || !strings.Contains(got, "me.example.com:8080") {
			t.Errorf("%s: %s", key, got)
		}
		if got := loadErr(t, rest, env+"="+address); !strings.Contains(got, key+".allow_http") {
			t.Errorf("%s: %s", env, got)
		}
		section, last := key[:strings.LastIndex(key, ".")], key[strings.LastIndex(key, ".")+1:]
		for _, file := range []string{
			rest + key + ": " + address + "\n" + key + ".allow_http: true\n",
			fmt.Sprintf("%s%s:\n  %s: %s\n  %s.allow_http: true\n", rest, section, last, address, last),
		} {
			c := load(t, file)
			if got := setting(c, key).Text(); got != address {
				t.Errorf("%s is %q", key, got)
			}
			if w := strings.Join(c.Warnings(), "\n"); !strings.Contains(w, key+" uses http") {
				t.Errorf("%s: warnings %q", key, w)
			}
		}
		load(t, rest+key+": "+address+"\n", env+"_ALLOW_HTTP=true")
		load(t, rest+key+": http://localhost:8080\n")
		load(t, rest+key+": https://me.example.com\n")
	}
}

// Wherever a URL with user and password is put, they are shown nowhere.
func TestNoPasswordOfAURLInAnyOutput(t *testing.T) {
	keys := config.Keys()
	rapid.Check(t, func(rt *rapid.T) {
		password := rapid.StringMatching(`[A-Z]{8}[a-z0-9:/!$&*+=-]{0,40}[A-Z]{8}`).Draw(rt, "password")
		k := rapid.SampledFrom(keys).Draw(rt, "key")
		name := rapid.SampledFrom(append([]string{k.Name}, k.Properties...)).Draw(rt, "name")
		text := rapid.SampledFrom([]string{"https://", "http://", "sb://", "jdbc:x://"}).Draw(rt, "scheme") + "me:" + password + "@" +
			rapid.SampledFrom([]string{"host.example/path", "host.example:8443", "localhost", "a b", ""}).Draw(rt, "host")
		file := name + ": '" + text + "'\n"
		var out strings.Builder
		c, err := config.Load(config.Options{File: write(t, file), Environ: []string{k.Env() + "=" + rapid.SampledFrom([]string{"", text}).Draw(rt, "env")}})
		fmt.Fprintf(&out, "%v\n", err)
		if c != nil {
			body, err := json.Marshal(map[string]any{"settings": c.Settings(), "warnings": c.Warnings(), "problems": c.FileProblems()})
			if err != nil {
				rt.Fatal(err)
			}
			out.Write(body)
			for _, s := range c.Settings() {
				out.WriteString(s.Text() + "\n")
			}
		}
		for _, part := range []string{password[:8], password[len(password)-8:]} {
			if strings.Contains(out.String(), part) {
				rt.Fatalf("%s is in the output:\n%s\nof the file:\n%s", part, out.String(), file)
			}
		}
	})
}

// Every secret can come from a file, by the name of its variable and of each property.
func TestSecretsFromFiles(t *testing.T) {
	for _, k := range config.Keys() {
		value := "Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=" + strings.Repeat("s", 32)
		other := value + "x"
		if k.Name == "webhook.secret" {
			value = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
			other = value + " " + value
		}
		for _, name := range append([]string{k.Env()}, k.Properties...) {
			path := write(t, "\ufeff"+value+"\r\n")
			if k.Type != config.TypeSecret {
				if got := loadErr(t, "", name+"_FILE="+path); !strings.Contains(got, "only secrets are read from files") || !strings.Contains(got, name) {
					t.Errorf("%s_FILE: %s", name, got)
				}
				continue
			}
			var file string
			if k.Name == "policies.ranger.password" {
				file = "policies: {ranger: {url: r.com, service: s, username: u}}\n"
			}
			c := load(t, file, name+"_FILE="+path, name+"=")
			s := setting(c, k.Name)
			if got := s.Value.(config.Secret).Reveal(); got != value {
				t.Errorf("%s_FILE: %d bytes", name, len(got))
			}
			if got := s.Source.String(); got != "env "+name+"_FILE" {
				t.Errorf("%s_FILE: from %s", name, got)
			}
			if got := loadErr(t, file, name+"_FILE="+path, name+"="+other); !strings.Contains(got, name+"_FILE") || !strings.Contains(got, "keep one") {
				t.Errorf("%s beside its file: %s", name, got)
			}
		}
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": "", "blank": " \n", "lines": "s3cr3t\ns3cr3t\n", "large": strings.Repeat("s", 70_000), "nul": "s3cr3t\x00"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got := loadErr(t, "", "UCWARDEN_DATABRICKS_TOKEN_FILE="+path)
		if !strings.Contains(got, path) || !strings.Contains(got, "UCWARDEN_DATABRICKS_TOKEN_FILE") || strings.Contains(got, "s3cr3t") {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, path := range []string{filepath.Join(dir, "none"), dir} {
		if got := loadErr(t, "", "UCWARDEN_DATABRICKS_TOKEN_FILE="+path); !strings.Contains(got, path) {
			t.Errorf("%s: %s", path, got)
		}
	}
	// A misspelt variable is named beside what is missing for it.
	if got := loadErr(t, "", "UCWARDEN_DATABRICKS_HOST=h.com", "UCWARDEN_DATABRICKS_TOKN_FILE=/run/token"); !strings.Contains(got, "no credentials") || !strings.Contains(got, "did you mean UCWARDEN_DATABRICKS_TOKEN_FILE?") {
		t.Error(got)
	}
	// All else can be used by who needs no secret; what the file to be read was to replace is no secret either.
	c, err := config.Load(config.Options{
		File:    write(t, "databricks: {host: h.com, token: s3cr3t}\napiserver: {jwt: {issuer: us}}\n"),
		Environ: []string{"UCWARDEN_DATABRICKS_TOKEN_FILE=" + filepath.Join(dir, "none")},
	})
	if bad, ok := errors.AsType[*config.Error](err); !ok || len(bad.Problems) != 1 || c == nil || c.Databricks.Token.IsSet() || c.APIServer.JWT.Issuer != "us" {
		t.Errorf("%v: %+v", err, c)
	}
	// A key whose own name ends so is not a secret's.
	load(t, "", "UCWARDEN_DATABRICKS_CA_FILE=/etc/ca.pem", "UCWARDEN_TOKEN_FILE=/run/token")
}

func TestPlaceholdersAreRefused(t *testing.T) {
	for _, value := range []string{
		"<PLEASE_CHANGE>", "<please change>", "<token>", "${DATABRICKS_TOKEN}", "$(DATABRICKS_TOKEN)", "{{ .Values.token }}", "%TOKEN%",
		"PLEASE_CHANGE", "please-change-me", "CHANGEME", "Change_Me!", "replace-me", "TODO", "your-token-here", "xxxxxxxx", "XXX", "dapi<TOKEN>",
	} {
		got := loadErr(t, "databricks: {host: h.com, token: '"+value+"'}\n")
		if !strings.Contains(got, "databricks.token") || !strings.Contains(got, "placeholder") || strings.Contains(got, value) {
			t.Errorf("%s: %s", value, got)
		}
		if got := loadErr(t, "", "CONNECTOR_DATABRICKS_UNITY_CATALOG_API_ACCESS_TOKEN="+value); !strings.Contains(got, "placeholder") {
			t.Errorf("%s: %s", value, got)
		}
		if got := loadErr(t, "", "UCWARDEN_DATABRICKS_TOKEN_FILE="+write(t, value+"\n")); !strings.Contains(got, "placeholder") {
			t.Errorf("%s in a file: %s", value, got)
		}
	}
	for file, key := range map[string]string{
		"databricks: {host: 'https://<WORKSPACE>.cloud.databricks.com', token: t}":                                   "databricks.host",
		"databricks: {host: 'https://<workspace>.azuredatabricks.net', token: t}":                                    "databricks.host",
		"databricks: {host: 'https://{workspace}.azuredatabricks.net', token: t}":                                    "databricks.host",
		"databricks: {host: '<your-workspace>', token: t}":                                                           "databricks.host",
		"scope: {catalogs: {include: [sales, '<PLEASE_CHANGE>']}}":                                                   "scope.catalogs.include",
		"CONNECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_CATALOG_LIST: <PLEASE_CHANGE>":                                    "scope.catalogs.include",
		"guard: {max_revokes: <PLEASE_CHANGE>}":                                                                      "guard.max_revokes",
		"store: {path: '${DATA}'}":                                                                                   "store.path",
		"CONNECTOR_DATABRICKS_UNITY_CATALOG_JDBC_URL: 'jdbc:databricks://<HOST>:443;httpPath=/sql/1.0/warehouses/a'": "databricks.warehouse",
	} {
		if got := loadErr(t, file+"\n"); !strings.Contains(got, key) || !strings.Contains(got, "placeholder") {
			t.Errorf("%s: %s", file, got)
		}
	}
	for _, token := range []string{"dapi0123456789abcdef", "a<b", "x", "xx", "<", "todo-list-token", "s${x}y", "1<A>2"} {
		load(t, "databricks: {host: h.com, token: '"+token+"'}\n")
	}
	load(t, "scope: {catalogs: {include: [todo, changeme, xxx, placeholder]}}\n") // names that a catalog may have
}

func TestFileProblems(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	named := func(c *config.Config) string {
		var names []string
		for _, p := range c.FileProblems() {
			rel, err := filepath.Rel(dir, p.Path)
			if err != nil {
				t.Fatal(err)
			}
			what := "read"
			switch {
			case strings.Contains(p.Message, "replace"):
				what = "replace"
			case strings.Contains(p.Message, "write it"):
				what = "write"
			}
			names = append(names, rel+" "+what)
			if p.Setting == "" || !strings.HasPrefix(p.Do, "chmod ") {
				t.Errorf("%+v does not say what to do", p)
			}
		}
		return strings.Join(names, ", ")
	}
	flags := func(pairs ...string) *config.Config {
		var list []config.Flag
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, config.Flag{Key: pairs[i], Value: pairs[i+1], Name: "--set"})
		}
		c, err := config.Load(config.Options{Flags: list})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, test := range []struct {
		c    *config.Config
		want string
	}{
		{flags(), ""},
		{flags("apiserver.jwt.jwks", file("a/jwks.json", 0o644)), ""},
		{flags("apiserver.jwt.jwks", file("b/jwks.json", 0o666)), "b/jwks.json write"},
		{flags("apiserver.jwt.jwks", "https://host/jwks", "databricks.ca_file", filepath.Join(dir, "none")), ""},
		{flags("apiserver.jwt.pem_keys", file("c/1.pem", 0o644)+","+file("c/2.pem", 0o602)), "c/2.pem write"},
		{flags("apiserver.tls.cert", file("d/cert.pem", 0o644), "apiserver.tls.key", file("d/key.pem", 0o644)), "d/key.pem read"},
		{flags("apiserver.tls.cert", file("e/cert.pem", 0o646), "apiserver.tls.key", file("e/key.pem", 0o640)), "e/cert.pem write"},
		{flags("policies.ranger.cert_file", file("f/cert.pem", 0o644), "policies.ranger.key_file", file("f/key.pem", 0o606)), "f/key.pem write, f/key.pem read"},
		{flags("databricks.ca_file", file("g/ca.pem", 0o666)), "g/ca.pem write"},
	} {
		if got := named(test.c); got != test.want {
			t.Errorf("found %q, want %q", got, test.want)
		}
	}
	// The token and the private key that lie beside a key set are found, although no setting names them.
	jwks := file("h/jwks.json", 0o644)
	file("h/token", 0o644)
	file("h/private-key.pem", 0o604)
	if got := named(flags("apiserver.jwt.jwks", jwks)); got != "h/private-key.pem read, h/token read" {
		t.Errorf("found %q", got)
	}
	// So is a folder in which everybody may replace the file, but not one as /tmp.
	open := file("i/jwks.json", 0o644)
	for mode, want := range map[os.FileMode]string{0o777: "i/jwks.json replace", 0o777 | os.ModeSticky: ""} {
		if err := os.Chmod(filepath.Dir(open), mode); err != nil {
			t.Fatal(err)
		}
		if got := named(flags("apiserver.jwt.jwks", open)); got != want {
			t.Errorf("%v: found %q, want %q", mode, got, want)
		}
	}
	// Files with secrets: of a variable, and the configuration itself.
	secret, plain := file("j/token", 0o644), file("k/plain.yaml", 0o644)
	if err := os.WriteFile(plain, []byte("store.path: d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{File: plain, Environ: []string{"UCWARDEN_DATABRICKS_TOKEN_FILE=" + secret}})
	if err != nil {
		t.Fatal(err)
	}
	if got := named(c); got != "j/token read" {
		t.Errorf("found %q", got)
	}
	if err := os.WriteFile(plain, []byte("databricks.token: t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = config.Load(config.Options{File: plain}); err != nil {
		t.Fatal(err)
	}
	if got := named(c); got != "k/plain.yaml read" {
		t.Errorf("found %q", got)
	}
}

// A URL that is requested as it is keeps the slash at its end, which servers tell from none; one that paths are added to has none.
func TestSlashAtTheEndOfURLs(t *testing.T) {
	rest := "databricks.token: t\npolicies.ranger.service: s\nwebhook.secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"
	for key, want := range map[string]string{
		"webhook.url": "https://h.example/hook/", "apiserver.jwt.jwks": "https://h.example/hook/",
		"databricks.host": "https://h.example/hook", "policies.ranger.url": "https://h.example/hook", "tracing.url": "https://h.example/hook",
	} {
		if got := setting(load(t, rest+key+": https://h.example/hook/\n"), key).Text(); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// The query of the receiver's URL, which may hold a key, comes with the URL or as a secret of its own; nothing shows it.
func TestWebhookQuery(t *testing.T) {
	const query = "api-version=2016-06-01&sp=%2Ftriggers%2Fmanual&sig=s3cr3t-_"
	const rest = "webhook.secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"
	for name, c := range map[string]*config.Config{
		"with the URL":  load(t, rest+"webhook.url: https://h.example:8443/paths/invoke/?"+query+"\n"),
		"in a variable": load(t, rest, "UCWARDEN_WEBHOOK_URL=h.example:8443/paths/invoke/?"+query),
		"of its own":    load(t, rest+"webhook.url: https://h.example:8443/paths/invoke/\n", "UCWARDEN_WEBHOOK_QUERY_FILE="+write(t, query+"\n")),
	} {
		if c.Webhook.URL != "https://h.example:8443/paths/invoke/" || c.Webhook.Query.Reveal() != query {
			t.Errorf("%s: %s, query of %d bytes", name, c.Webhook.URL, len(c.Webhook.Query.Reveal()))
		}
		body, err := json.Marshal(c.Settings())
		if err != nil {
			t.Fatal(err)
		}
		shown := fmt.Sprintf("%s %v %+v %#v %v", body, *c, c.Webhook, c.Webhook, c.Warnings())
		for _, s := range c.Settings() {
			shown += s.Text()
		}
		if strings.Contains(shown, "s3cr3t") || strings.Contains(shown, "2016-06-01") {
			t.Errorf("%s: %s", name, shown)
		}
		if !strings.Contains(string(body), "h.example:8443/paths/invoke/") {
			t.Errorf("%s: nothing says which receiver: %s", name, body)
		}
	}
	if c := load(t, rest+"webhook.url: https://h.example/?"+query+"\n", "UCWARDEN_WEBHOOK_URL=https://other.example/"); c.Webhook.URL != "https://other.example/" || c.Webhook.Query.IsSet() {
		t.Error("the query of one receiver is sent to another")
	}
	c, err := config.Load(config.Options{File: write(t, rest), Flags: []config.Flag{{Key: "webhook.url", Value: "https://h.example/?" + query, Name: "--set"}}})
	if err != nil || c.Webhook.Query.Reveal() != query || !strings.Contains(strings.Join(c.Warnings(), "\n"), "UCWARDEN_WEBHOOK_QUERY_FILE") {
		t.Errorf("in a flag: %v", err)
	}
	path := write(t, rest+"webhook.url: https://h.example/?"+query+"\n")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err = config.Load(config.Options{File: path}); err != nil {
		t.Fatal(err)
	}
	if found := c.FileProblems(); len(found) != 1 || !strings.Contains(found[0].Message, "a secret that every user may read") {
		t.Errorf("%v", found)
	}
	if got := load(t, rest+"webhook.url: https://h.example/x?\n").Webhook; got.URL != "https://h.example/x" || got.Query.IsSet() {
		t.Errorf("without a query: %+v", got)
	}
	for file, want := range map[string]string{
		"webhook.url: https://me:s3cr3t@h.example/?sig=s3cr3t\n":                                   "webhook.url: want a URL without user, password or fragment",
		"webhook.url: 'https://h.example/?sig=s3cr3t#x'\n":                                         "webhook.url: want a URL without user, password or fragment",
		"webhook.url: 'https://h.example/?sig=s3cr3t two'\n":                                       "webhook.url: want a URL whose query is escaped",
		"webhook.url: https://h.example/?sig=s3cr3t\nwebhook.query: sig=s3cr3t\n":                  "webhook.query: webhook.url has a query too",
		"webhook.url: https://h.example/\nwebhook.query: '?sig=s3cr3t'\n":                          "webhook.query: want what is behind the ?",
		"webhook.url: https://h.example/\nwebhook.query: https://h.example/?sig=s3cr3t\n":          "webhook.query: want what is behind the ?",
		"webhook.url: https://h.example/\nwebhook.query: 'sig=s3cr3t#x'\n":                         "webhook.query: is not escaped",
		"webhook.url: http://h.example/?sig=s3cr3t\n":                                              "webhook.url.allow_http",
		"webhook.url: ftp://h.example/?sig=s3cr3t\n":                                               "webhook.url: want a URL",
		"databricks.host: https://h.example/?sig=s3cr3t\ndatabricks.token: t\n":                    "databricks.host: want a URL without user, password, query or fragment",
		"policies.ranger: {url: 'https://h.example/?sig=s3cr3t', service: s}\n":                    "policies.ranger.url: want a URL without user, password, query or fragment",
		"webhook.urll: https://h.example/?sig=s3cr3t\n":                                            "webhook.urll",
		"webhook.url: https://h.example/?sig=s3cr3t\nwebhook.url: https://i.example/?sig=s3cr3t\n": "webhook.url",
	} {
		if got := loadErr(t, rest+file); !strings.Contains(got, want) || strings.Contains(got, "s3cr3t") {
			t.Errorf("%s: %s", file, got)
		}
	}
}
