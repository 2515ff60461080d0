package keys_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ucwarden/apiserver/keys"
	"ucwarden/policy"
)

func TestGenerate(t *testing.T) {
	for _, alg := range []string{"", "ES256", "EdDSA"} {
		t.Run("algorithm "+alg, func(t *testing.T) {
			dir := t.TempDir()
			g, err := keys.Generate(keys.GenerateOptions{Dir: dir, Instance: "instance1", Algorithm: alg})
			if err != nil {
				t.Fatal(err)
			}
			base := filepath.Join(dir, "instance1", "api-server")
			for path, mode := range map[string]os.FileMode{
				filepath.Join(base, "private-key.pem"): 0o600,
				filepath.Join(base, "token"):           0o600,
				filepath.Join(base, "jwks.json"):       0o644,
				base:                                   0o700 | os.ModeDir,
			} {
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode() != mode {
					t.Errorf("%s has mode %v, want %v", path, info.Mode(), mode)
				}
			}
			public := read(t, g.JWKS)
			if strings.Contains(public, `"d"`) || !strings.Contains(public, g.KeyID) {
				t.Errorf("key set: %s", public)
			}
			v := verifier(t, keys.VerifierOptions{JWKS: g.JWKS})
			id := wantAccepted(t, v, strings.TrimSpace(read(t, g.Token)))
			if id.Subject != "instance1" || !id.Has(keys.ScopeAdmin) || id.Limited || id.KeyID != g.KeyID || !id.AllowsPipeline("any") {
				t.Errorf("first token: %+v", id)
			}
			if left := time.Until(id.Expires); left > 24*time.Hour || left < 24*time.Hour-time.Minute {
				t.Errorf("first token is valid for %v", left)
			}
			k, err := keys.LoadPrivateKey(g.PrivateKey)
			if err != nil {
				t.Fatal(err)
			}
			token, err := keys.Issue(keys.IssueOptions{Key: k, Subject: "etl", Scopes: []keys.Scope{keys.ScopeRead}, Catalogs: []string{"sales"}})
			if err != nil {
				t.Fatal(err)
			}
			id = wantAccepted(t, v, token)
			if id.AllowsPipeline("any") {
				t.Error("a token without the claim allows a pipeline")
			}
			if id.Subject != "etl" || id.Has(keys.ScopeWrite) || !id.Has(keys.ScopeRead) || !id.Limited || !id.AllowsCatalog("sales") {
				t.Errorf("issued token: %+v", id)
			}
		})
	}
}

func TestGenerateDoesNotOverwrite(t *testing.T) {
	o := keys.GenerateOptions{Dir: t.TempDir(), Instance: "i"}
	g, err := keys.Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	before := read(t, g.PrivateKey)
	if err := os.Remove(g.Token); err != nil {
		t.Fatal(err)
	}
	_, err = keys.Generate(o)
	if policy.CodeOf(err) != policy.CodeConflict || !strings.Contains(err.Error(), g.PrivateKey) || !strings.Contains(err.Error(), g.JWKS) {
		t.Errorf("error %v, want one that names both files", err)
	}
	if strings.Contains(err.Error(), g.Token) {
		t.Errorf("error %v names a file that is not there", err)
	}
	if read(t, g.PrivateKey) != before {
		t.Error("the private key was replaced")
	}
	if _, err := os.Stat(g.Token); err == nil {
		t.Error("a token was written")
	}
}

func TestGenerateForceAndRotate(t *testing.T) {
	o := keys.GenerateOptions{Dir: t.TempDir(), Instance: "i"}
	g, err := keys.Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.TrimSpace(read(t, g.Token))
	v := verifier(t, keys.VerifierOptions{JWKS: g.JWKS})

	o.Rotate, o.Algorithm = true, "EdDSA"
	if g, err = keys.Generate(o); err != nil {
		t.Fatal(err)
	}
	second := strings.TrimSpace(read(t, g.Token))
	wantAccepted(t, v, second)
	wantAccepted(t, v, first)

	o.Rotate, o.Force = false, true
	if g, err = keys.Generate(o); err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, v, strings.TrimSpace(read(t, g.Token)))
	wantRefused(t, v, first, "its kid names no key")
	wantRefused(t, v, second, "its kid names no key")
	left, err := filepath.Glob(filepath.Join(filepath.Dir(g.Token), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, instance := range []string{"", "..", ".", "a/b", "../x", "a b", "-x", strings.Repeat("x", 64)} {
		if _, err := keys.Generate(keys.GenerateOptions{Dir: t.TempDir(), Instance: instance}); policy.CodeOf(err) != policy.CodeInvalid {
			t.Errorf("instance %q: error %v", instance, err)
		}
	}
	dir := t.TempDir()
	for _, alg := range []string{"none", "HS256", "RS256"} {
		if _, err := keys.Generate(keys.GenerateOptions{Dir: dir, Instance: "i", Algorithm: alg}); policy.CodeOf(err) != policy.CodeInvalid {
			t.Errorf("algorithm %q: error %v", alg, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("written in spite of the error: %v %v", entries, err)
	}
}

func TestIssueRefuses(t *testing.T) {
	k := newEC(t, "").signer
	ok := keys.IssueOptions{Key: k, Subject: "s", Scopes: []keys.Scope{keys.ScopeRead}}
	for name, change := range map[string]func(*keys.IssueOptions){
		"no key":           func(o *keys.IssueOptions) { o.Key = nil },
		"key and secret":   func(o *keys.IssueOptions) { o.HS256Secret = make([]byte, 32) },
		"short secret":     func(o *keys.IssueOptions) { o.Key, o.HS256Secret = nil, make([]byte, 31) },
		"no subject":       func(o *keys.IssueOptions) { o.Subject = " " },
		"a long subject":   func(o *keys.IssueOptions) { o.Subject = strings.Repeat("s", 256) },
		"no scope":         func(o *keys.IssueOptions) { o.Scopes = nil },
		"unknown scope":    func(o *keys.IssueOptions) { o.Scopes = []keys.Scope{"tasks:wirte"} },
		"empty catalog":    func(o *keys.IssueOptions) { o.Catalogs = []string{"a", ""} },
		"negative ttl":     func(o *keys.IssueOptions) { o.TTL = -time.Hour },
		"ttl of centuries": func(o *keys.IssueOptions) { o.TTL = 100 * 366 * 24 * time.Hour },
		"weak RSA key":     func(o *keys.IssueOptions) { o.Key = newRSA(t, "", 1024).signer },
	} {
		o := ok
		change(&o)
		if token, err := keys.Issue(o); policy.CodeOf(err) != policy.CodeInvalid {
			t.Errorf("%s: token %q, error %v", name, token, err)
		}
	}
	if _, err := keys.Issue(ok); err != nil {
		t.Error(err)
	}
	secret := []byte(strings.Repeat("s", 32))
	ok.Key, ok.HS256Secret = nil, secret
	token, err := keys.Issue(ok)
	if err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, verifier(t, keys.VerifierOptions{HS256Secret: secret}), token)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Once completes what an interrupted run left, keeps the keys that are there, and changes nothing of a pair.
func TestGenerateOnce(t *testing.T) {
	dir := t.TempDir()
	o := keys.GenerateOptions{Dir: dir, Instance: "i", Once: true}
	first, err := keys.Generate(o)
	if err != nil || first.KeyID == "" {
		t.Fatalf("%+v %v", first, err)
	}
	again, err := keys.Generate(o)
	if err != nil || again.KeyID != "" || again.JWKS != first.JWKS {
		t.Errorf("a second time: %+v %v", again, err)
	}
	if err := os.Remove(first.PrivateKey); err != nil {
		t.Fatal(err)
	}
	completed, err := keys.Generate(o)
	if err != nil || completed.KeyID == "" || completed.KeyID == first.KeyID {
		t.Fatalf("completed: %+v %v", completed, err)
	}
	if set := read(t, first.JWKS); !strings.Contains(set, first.KeyID) || !strings.Contains(set, completed.KeyID) {
		t.Errorf("the key set lost a key: %s", set)
	}
	// A key pair whose public half was taken away is not made anew in silence: its tokens were revoked, perhaps on purpose.
	if err := os.Remove(first.JWKS); err != nil {
		t.Fatal(err)
	}
	if g, err := keys.Generate(o); policy.CodeOf(err) != policy.CodeConflict {
		t.Errorf("without its key set: %+v %v", g, err)
	}
}
