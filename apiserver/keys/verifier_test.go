package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"pgregory.net/rapid"

	"ucwarden/apiserver/keys"
	"ucwarden/policy"
)

func TestVerifyReadsClaims(t *testing.T) {
	for _, k := range []testKey{newEC(t, "ec"), newEd(t, "ed"), newRSA(t, "rsa", 2048)} {
		t.Run(k.kid, func(t *testing.T) {
			v := verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, k, newEC(t, "other")))})
			id := wantAccepted(t, v, k.token(t, claims(map[string]any{
				"scope": " tasks:read  tasks:write future:scope ", "jti": "one", "aud": []string{"else", "ucwarden"},
			})))
			want := keys.Identity{
				Subject: "airflow", KeyID: k.kid, TokenID: "one",
				Scopes: []keys.Scope{keys.ScopeRead, keys.ScopeWrite, "future:scope"},
			}
			if d := cmp.Diff(want, id, cmpopts.IgnoreFields(keys.Identity{}, "Expires")); d != "" {
				t.Error(d)
			}
			if left := time.Until(id.Expires); left < 59*time.Minute || left > time.Hour {
				t.Errorf("expires in %v", left)
			}
		})
	}
}

// A subject is as long as OpenID Connect has it; what is kept with each task of a longer one would grow without a bound.
func TestSubjectsAreBounded(t *testing.T) {
	k := newEC(t, "k")
	v := verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, k))})
	longest := strings.Repeat("é", 127) + "x"
	if id := wantAccepted(t, v, k.token(t, claims(map[string]any{"sub": longest}))); id.Subject != longest {
		t.Errorf("subject %q", id.Subject)
	}
	for _, subject := range []string{longest + "x", strings.Repeat("s", 5000)} {
		if _, err := v.Verify(t.Context(), k.token(t, claims(map[string]any{"sub": subject}))); policy.CodeOf(err) != policy.CodeUnauthenticated || !strings.Contains(err.Error(), "sub is longer than 255 bytes") {
			t.Errorf("%d bytes: %v", len(subject), err)
		}
	}
}

func TestVerifyCatalogs(t *testing.T) {
	k := newEC(t, "k")
	v := verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, k))})
	for _, tt := range []struct {
		claim          any
		reach, noReach []string
	}{
		{nil, []string{"sales", "x"}, nil},
		{[]string{"sales", "dev_*"}, []string{"sales", "SALES", "dev_1"}, []string{"sale", "sales2", "dev"}},
		{[]string{}, nil, []string{"sales", ""}},
		{[]string{"*"}, []string{"anything"}, nil},
		{[]string{"Über*"}, []string{"überall"}, []string{"uber"}},
	} {
		t.Run(fmt.Sprint(tt.claim), func(t *testing.T) {
			id := wantAccepted(t, v, k.token(t, claims(map[string]any{"catalogs": tt.claim})))
			if id.Limited != (tt.claim != nil) {
				t.Errorf("Limited is %v", id.Limited)
			}
			for _, name := range tt.reach {
				if !id.AllowsCatalog(name) {
					t.Errorf("does not reach %q", name)
				}
			}
			for _, name := range tt.noReach {
				if id.AllowsCatalog(name) {
					t.Errorf("reaches %q", name)
				}
			}
		})
	}
}

func TestScopeAdminImpliesOthers(t *testing.T) {
	for _, tt := range []struct {
		have []keys.Scope
		want map[keys.Scope]bool
	}{
		{[]keys.Scope{keys.ScopeAdmin}, map[keys.Scope]bool{keys.ScopeAdmin: true, keys.ScopeRead: true, keys.ScopeWrite: true}},
		{[]keys.Scope{keys.ScopeWrite}, map[keys.Scope]bool{keys.ScopeWrite: true}},
		{[]keys.Scope{keys.ScopeRead, "tasks"}, map[keys.Scope]bool{keys.ScopeRead: true}},
		{nil, nil},
	} {
		for _, s := range []keys.Scope{keys.ScopeAdmin, keys.ScopeRead, keys.ScopeWrite} {
			if got := (keys.Identity{Scopes: tt.have}).Has(s); got != tt.want[s] {
				t.Errorf("%v: Has(%s) = %v", tt.have, s, got)
			}
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	var asked int // by a verifier that follows jku
	lure := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer lure.Close()

	ec, rsa, evil := newEC(t, "ec"), newRSA(t, "rsa", 2048), newEC(t, "evil")
	v := verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, ec, rsa))})
	good := object(t, claims(nil))
	goodClaims := func(over map[string]any) string { return ec.token(t, claims(over)) }
	hdr := func(alg, kid string) string { return fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, kid) }
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	rsaPEM := publicPEM(t, rsa.signer.Public())
	evilJWK := strings.TrimSuffix(strings.TrimPrefix(string(jwks(t, evil)), `{"keys":[`), `]}`)
	unsigned := func(header string) string { return b64(header) + "." + b64(good) + "." }

	const wrongAlg, badSig, malformed = "algorithm", "signature", "well-formed"
	for _, tt := range []struct{ name, token, reason string }{
		{"alg none", unsigned(hdr("none", "ec")), wrongAlg},
		{"alg NoNe", unsigned(hdr("NoNe", "ec")), wrongAlg},
		{"alg none without kid", unsigned(`{"alg":"none"}`), "no kid"},
		{"no alg", unsigned(`{"kid":"ec"}`), malformed},
		{"alg is a list", unsigned(`{"alg":["ES256"],"kid":"ec"}`), malformed},
		{"HS256 signed with the RSA public key", signed(t, jwt.SigningMethodHS256, rsaPEM, hdr("HS256", "rsa"), good), wrongAlg},
		{"HS256 signed with the RSA public key, saying RS256", signed(t, jwt.SigningMethodHS256, rsaPEM, hdr("RS256", "rsa"), good), badSig},
		{"RS384 with the right key", signed(t, jwt.SigningMethodRS384, rsa.signer, hdr("RS384", "rsa"), good), wrongAlg},
		{"PS256 with the right key", signed(t, jwt.SigningMethodPS256, rsa.signer, hdr("PS256", "rsa"), good), wrongAlg},
		{"kid of another key", signed(t, ec.method, ec.signer, hdr("ES256", "rsa"), good), wrongAlg},
		{"signed by a stranger", signed(t, evil.method, evil.signer, hdr("ES256", "ec"), good), badSig},
		{"unknown kid", signed(t, evil.method, evil.signer, hdr("ES256", "evil"), good), "its kid names no key"},
		{"kid is a path", signed(t, ec.method, ec.signer, hdr("ES256", "../../dev/null"), good), "its kid names no key"},
		{"no kid", signed(t, ec.method, ec.signer, `{"alg":"ES256"}`, good), "no kid"},
		{"empty kid", signed(t, ec.method, ec.signer, hdr("ES256", ""), good), malformed},
		{"kid is a number", signed(t, ec.method, ec.signer, `{"alg":"ES256","kid":1}`, good), malformed},
		{"jwk of a stranger in the header", signed(t, evil.method, evil.signer, `{"alg":"ES256","kid":"evil","jwk":`+evilJWK+`}`, good), "its kid names no key"},
		{"jwk of a stranger under a good kid", signed(t, evil.method, evil.signer, `{"alg":"ES256","kid":"ec","jwk":`+evilJWK+`}`, good), badSig},
		{"jku and x5u of a stranger", signed(t, evil.method, evil.signer, `{"alg":"ES256","kid":"evil","jku":"`+lure.URL+`","x5u":"`+lure.URL+`"}`, good), "its kid names no key"},
		{"crit", signed(t, ec.method, ec.signer, `{"alg":"ES256","kid":"ec","crit":["exp"]}`, good), "crit"},
		{"kid twice", signed(t, ec.method, ec.signer, `{"alg":"ES256","kid":"ec","kid":"rsa"}`, good), "duplicate member"},
		{"sub twice", signed(t, ec.method, ec.signer, hdr("ES256", "ec"), strings.Replace(good, "{", `{"sub":"root",`, 1)), "claims are ambiguous"},
		{"exp twice", signed(t, ec.method, ec.signer, hdr("ES256", "ec"), strings.Replace(good, "{", `{"exp":1,`, 1)), "claims are ambiguous"},
		{"claim with its name escaped, twice", signed(t, ec.method, ec.signer, hdr("ES256", "ec"), strings.Replace(good, "{", `{"s\u0075b":"root",`, 1)), "claims are ambiguous"},
		{"capital EXP only", goodClaims(map[string]any{"exp": nil, "EXP": in(time.Hour)}), "exp is missing"},
		{"exp missing", goodClaims(map[string]any{"exp": nil}), "exp is missing"},
		{"exp is text", goodClaims(map[string]any{"exp": "tomorrow"}), "wrong JSON type"},
		{"expired beyond the leeway", goodClaims(map[string]any{"exp": in(-32 * time.Second)}), "expired"},
		{"nbf in the future", goodClaims(map[string]any{"nbf": in(40 * time.Second)}), "not valid yet"},
		{"iat in the future", goodClaims(map[string]any{"iat": in(40 * time.Second)}), "issued in the future"},
		{"iss missing", goodClaims(map[string]any{"iss": nil}), "iss is missing"},
		{"other iss", goodClaims(map[string]any{"iss": "else"}), "another issuer"},
		{"iss with a slash more", goodClaims(map[string]any{"iss": "ucwarden/"}), "another issuer"},
		{"aud missing", goodClaims(map[string]any{"aud": nil}), "aud is missing"},
		{"aud empty", goodClaims(map[string]any{"aud": []string{}}), "missing"},
		{"other aud", goodClaims(map[string]any{"aud": []string{"a", "b"}}), "another audience"},
		{"aud is a number", goodClaims(map[string]any{"aud": 1}), "wrong JSON type"},
		{"sub missing", goodClaims(map[string]any{"sub": nil}), "sub is missing"},
		{"sub empty", goodClaims(map[string]any{"sub": " "}), "sub is missing"},
		{"sub is a number", goodClaims(map[string]any{"sub": 7}), "sub is missing"},
		{"scope is a list", goodClaims(map[string]any{"scope": []string{"admin"}}), "scope is not"},
		{"catalogs is text", goodClaims(map[string]any{"catalogs": "*"}), "catalogs is not"},
		{"catalogs holds a number", goodClaims(map[string]any{"catalogs": []any{"a", 1}}), "catalogs is not"},
		{"catalogs is null", signed(t, ec.method, ec.signer, hdr("ES256", "ec"), strings.Replace(good, "{", `{"catalogs":null,`, 1)), "catalogs is not"},
		{"claims are a list", signed(t, ec.method, ec.signer, hdr("ES256", "ec"), `[1]`), malformed},
		{"claims are null", signed(t, ec.method, ec.signer, hdr("ES256", "ec"), `null`), "missing"},
		{"claims are followed by more", signed(t, ec.method, ec.signer, hdr("ES256", "ec"), good+good), malformed},
		{"number out of range", signed(t, ec.method, ec.signer, hdr("ES256", "ec"), `{"exp":1e999}`), malformed},
		{"empty", "", malformed},
		{"two parts", "a.b", malformed},
		{"four parts", goodClaims(nil) + ".x", malformed},
		{"JWE-like", "a.b.c.d.e", malformed},
		{"padded", goodClaims(nil) + "==", malformed},
		{"huge", strings.Repeat("a", 16<<10+1), "16 KiB"},
		{"deep header", b64(strings.Repeat(`{"a":`, 1500)+"1"+strings.Repeat("}", 1500)) + ".e30.", malformed},
	} {
		t.Run(tt.name, func(t *testing.T) { wantRefused(t, v, tt.token, tt.reason) })
	}
	if asked != 0 {
		t.Errorf("a URL in a header was followed %d times", asked)
	}
}

func TestVerifyLeeway(t *testing.T) {
	k := newEd(t, "k")
	v := verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, k))})
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for name, over := range map[string]map[string]any{
		"just expired":  {"exp": in(-25 * time.Second)},
		"nbf soon":      {"nbf": in(25 * time.Second)},
		"iat soon":      {"iat": in(25 * time.Second)},
		"no nbf or iat": {"nbf": nil, "iat": nil},
	} {
		t.Run(name, func(t *testing.T) { wantAccepted(t, v, k.token(t, claims(over))) })
	}
}

// An access token may say that it is one, as RFC 7519 and RFC 9068 have it.
func TestTypes(t *testing.T) {
	k := newEd(t, "k")
	v := verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, k))})
	for _, member := range []string{``, `,"typ":"JWT"`, `,"typ":"jwt"`, `,"typ":"at+jwt"`, `,"typ":"AT+JWT"`, `,"typ":"application/at+jwt"`} {
		wantAccepted(t, v, signed(t, k.method, k.signer, `{"alg":"EdDSA","kid":"k"`+member+`}`, object(t, claims(nil))))
	}
	wantRefused(t, v, signed(t, k.method, k.signer, `{"alg":"EdDSA","kid":"k","typ":"logout+jwt"}`, object(t, claims(nil))), "typ")
}

func TestVerifyHS256(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	ec := newEC(t, "ec")
	token := signed(t, jwt.SigningMethodHS256, secret, `{"alg":"HS256"}`, object(t, claims(nil)))

	v := verifier(t, keys.VerifierOptions{HS256Secret: secret, JWKS: writeTemp(t, "jwks.json", jwks(t, ec))})
	if id := wantAccepted(t, v, token); id.KeyID != "" {
		t.Errorf("key %q", id.KeyID)
	}
	wantAccepted(t, v, ec.token(t, claims(nil)))
	wantRefused(t, v, signed(t, jwt.SigningMethodHS512, secret, `{"alg":"HS512"}`, object(t, claims(nil))), "algorithm")
	wantRefused(t, v, signed(t, ec.method, ec.signer, `{"alg":"ES256"}`, object(t, claims(nil))), "it names no key (kid), and without one only the shared secret is tried")

	v = verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, ec))})
	wantRefused(t, v, token, "it names no key (kid), and has not the algorithm of the one in force, which is ES256") // the lone key stands for tokens without a kid, and it is no HS256 key
}

func TestVerifierOptionsRefused(t *testing.T) {
	ec, small := newEC(t, "ec"), newRSA(t, "small", 1024)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(change func(jwk.Key), raw any) string {
		s := jwk.NewSet()
		k := addKey(t, s, raw, "k")
		change(k)
		return writeTemp(t, "jwks.json", []byte(object(t, s)))
	}
	keep := func(jwk.Key) {}
	put := func(name string, value any) func(jwk.Key) {
		return func(k jwk.Key) {
			if err := k.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := newEC(t, "ec")
	keyFile := writeTemp(t, "k.pem", publicPEM(t, ec.signer.Public()))
	dir := t.TempDir()
	g, err := keys.Generate(keys.GenerateOptions{Dir: dir, Instance: "i"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		o    keys.VerifierOptions
		want string
	}{
		{"nothing", keys.VerifierOptions{}, "keys generate"},
		{"short secret", keys.VerifierOptions{HS256Secret: []byte("short")}, "at least 32"},
		{"http URL", keys.VerifierOptions{JWKS: "http://issuer.test/jwks"}, "apiserver.jwt.jwks.allow_http"},
		{"http URL of a name server", keys.VerifierOptions{JWKS: "http://localhost.example.com/jwks"}, "apiserver.jwt.jwks.allow_http"},
		{"file URL", keys.VerifierOptions{JWKS: "file:///etc/passwd"}, "https"},
		{"no such file", keys.VerifierOptions{JWKS: dir + "/none.json"}, "none.json"},
		{"not a set", keys.VerifierOptions{JWKS: writeTemp(t, "x.json", []byte("{}["))}, "not a JSON Web Key Set"},
		{"duplicate key", keys.VerifierOptions{JWKS: writeTemp(t, "x.json", []byte(`{"keys":[],"keys":[]}`))}, "duplicate key"},
		{"keys in another case", keys.VerifierOptions{JWKS: writeTemp(t, "x.json", []byte(`{"Keys":[]}`))}, "not a JSON Web Key Set"},
		{"shared secret in the set", keys.VerifierOptions{JWKS: set(keep, []byte(strings.Repeat("s", 32)))}, "shared secret"},
		{"private key in the set", keys.VerifierOptions{JWKS: set(keep, ec.signer)}, "private key"},
		{"encryption key", keys.VerifierOptions{JWKS: set(put(jwk.KeyUsageKey, "enc"), ec.signer.Public())}, `use is "enc"`},
		{"alg of another kind", keys.VerifierOptions{JWKS: set(put(jwk.AlgorithmKey, "RS512"), newRSA(t, "", 2048).signer.Public())}, "RS512"},
		{"small RSA", keys.VerifierOptions{PEMFiles: []string{writeTemp(t, "x.pem", publicPEM(t, small.signer.Public()))}}, "1024 bits"},
		{"P-384", keys.VerifierOptions{JWKS: set(keep, p384.Public())}, "P-384"},
		{"private PEM", keys.VerifierOptions{PEMFiles: []string{g.PrivateKey}}, "private key"},
		{"no PEM", keys.VerifierOptions{PEMFiles: []string{g.Token}}, "no PEM block"},
		{"one kid, two keys", keys.VerifierOptions{JWKS: writeTemp(t, "x.json", jwks(t, ec, other))}, "kid"},
		{"one kid, two sources", keys.VerifierOptions{PEMFiles: []string{keyFile, writeTemp(t, "k.pem", publicPEM(t, other.signer.Public()))}}, `kid "k"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := keys.NewVerifier(t.Context(), tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || policy.CodeOf(err) != policy.CodeInvalid {
				t.Errorf("error %v (%s), want one with %q", err, policy.CodeOf(err), tt.want)
			}
		})
	}
}

func TestPEMKeysByNameAndThumbprint(t *testing.T) {
	ec, ed := newEC(t, "2026-01"), newEd(t, "2026-02")
	v := verifier(t, keys.VerifierOptions{PEMFiles: []string{
		writeTemp(t, "2026-01.pem", publicPEM(t, ec.signer.Public())),
		writeTemp(t, "2026-02.pem", publicPEM(t, ed.signer.Public())),
	}})
	wantAccepted(t, v, ec.token(t, claims(nil)))
	wantAccepted(t, v, ed.token(t, claims(nil)))

	token, err := keys.Issue(keys.IssueOptions{Key: ed.signer, Subject: "s", Scopes: []keys.Scope{keys.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, v, token) // its kid is the thumbprint
}

func TestTokenWithoutKidAndOneKey(t *testing.T) {
	ec := newEC(t, "only")
	v := verifier(t, keys.VerifierOptions{PEMFiles: []string{writeTemp(t, "only.pem", publicPEM(t, ec.signer.Public()))}})
	wantAccepted(t, v, signed(t, ec.method, ec.signer, `{"alg":"ES256"}`, object(t, claims(nil))))
}

// Any change of one character makes a token another one, or none.
func TestAnyMutationIsRefused(t *testing.T) {
	k := newEC(t, "k")
	v := verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, k))})
	token := k.token(t, claims(nil))
	rapid.Check(t, func(rt *rapid.T) {
		i := rapid.IntRange(0, len(token)-1).Draw(rt, "at")
		b := rapid.SampledFrom([]byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ")).Draw(rt, "char")
		if token[i] == b {
			return
		}
		mutant := token[:i] + string(b) + token[i+1:]
		if id, err := v.Verify(t.Context(), mutant); policy.CodeOf(err) != policy.CodeUnauthenticated {
			rt.Fatalf("accepted as %+v, or error %v", id, err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	k := newEC(f, "k")
	path := f.TempDir() + "/jwks.json"
	if err := os.WriteFile(path, jwks(f, k), 0o600); err != nil {
		f.Fatal(err)
	}
	v := verifier(f, keys.VerifierOptions{JWKS: path})
	f.Add(k.token(f, claims(map[string]any{"exp": 1})))
	f.Add("..")
	f.Add(b64(`{"alg":"none"}`) + "." + b64(`{}`) + ".")
	f.Add(b64(`{"alg":"ES256","kid":"k"}`) + "." + b64(`{"exp":1e300}`) + "." + b64(strings.Repeat("x", 64)))
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(t.Context(), token); policy.CodeOf(err) != policy.CodeUnauthenticated {
			t.Fatalf("error %v", err)
		}
	})
}
