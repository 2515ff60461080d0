package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"ucwarden/apiserver/keys"
	"ucwarden/policy"
)

// testKey is a key pair with the kid it is published under.
type testKey struct {
	kid    string
	method jwt.SigningMethod
	signer crypto.Signer
}

func newEC(t testing.TB, kid string) testKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return testKey{kid, jwt.SigningMethodES256, k}
}

func newEd(t testing.TB, kid string) testKey {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return testKey{kid, jwt.SigningMethodEdDSA, k}
}

func newRSA(t testing.TB, kid string, bits int) testKey {
	t.Setenv("GODEBUG", "rsa1024min=0") // some tests publish a key that is too small
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return testKey{kid, jwt.SigningMethodRS256, k}
}

// jwks publishes the public halves.
func jwks(t testing.TB, list ...testKey) []byte {
	set := jwk.NewSet()
	for _, k := range list {
		addKey(t, set, k.signer.Public(), k.kid)
	}
	data, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func addKey(t testing.TB, set jwk.Set, raw any, kid string) jwk.Key {
	entry, err := jwk.Import(raw)
	if err == nil && kid != "" {
		err = entry.Set(jwk.KeyIDKey, kid)
	}
	if err == nil {
		err = set.AddKey(entry)
	}
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func publicPEM(t testing.TB, public any) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func writeTemp(t testing.TB, name string, data []byte) string {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func verifier(t testing.TB, o keys.VerifierOptions) *keys.Verifier {
	t.Helper()
	v, err := keys.NewVerifier(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// claims are good ones, changed by the overrides; a nil override takes the claim out.
func claims(overrides map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": "ucwarden", "aud": "ucwarden", "sub": "airflow", "scope": "tasks:write",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(c, overrides)
	for name, value := range overrides {
		if value == nil {
			delete(c, name)
		}
	}
	return c
}

// signed makes a token of any header and payload text.
func signed(t testing.TB, method jwt.SigningMethod, key any, header, payload string) string {
	text := b64(header) + "." + b64(payload)
	sig, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// token signs claims the way an honest issuer does.
func (k testKey) token(t testing.TB, c map[string]any) string {
	return signed(t, k.method, k.signer, object(t, map[string]any{"alg": k.method.Alg(), "typ": "JWT", "kid": k.kid}), object(t, c))
}

func object(t testing.TB, v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// wantRefused checks that the token is not accepted, for the reason, and that the error does not quote it.
func wantRefused(t testing.TB, v *keys.Verifier, token, reason string) {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	if err == nil {
		t.Fatalf("accepted as %+v", id)
	}
	if code := policy.CodeOf(err); code != policy.CodeUnauthenticated {
		t.Errorf("class %q: %v", code, err)
	}
	if !strings.Contains(err.Error(), reason) {
		t.Errorf("reason %q, want %q", err, reason)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
}

func wantAccepted(t testing.TB, v *keys.Verifier, token string) keys.Identity {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
