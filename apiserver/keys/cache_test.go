package keys_test

import (
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/apiserver/keys"
)

// A token that was verified before is refused once its time is over, or its key is no longer in force.
func TestVerifiedTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, next := newEC(t, "k"), newEC(t, "next")
		path := writeTemp(t, "jwks.json", jwks(t, k))
		v := verifier(t, keys.VerifierOptions{JWKS: path})
		token := k.token(t, claims(map[string]any{"exp": time.Now().Add(time.Minute).Unix()}))
		long := k.token(t, claims(map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}))
		for range 3 {
			wantAccepted(t, v, token)
			wantAccepted(t, v, long)
		}
		time.Sleep(time.Minute + keys.Leeway - time.Second)
		wantAccepted(t, v, token)
		time.Sleep(2 * time.Second)
		wantRefused(t, v, token, "expired")
		wantAccepted(t, v, long)

		rewrite(t, path, jwks(t, next))
		if _, err := v.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, v, long, "its kid names no key")
	})
}

// More tokens than are remembered are verified all the same.
func TestManyTokensAreVerified(t *testing.T) {
	k := newEd(t, "k")
	v := verifier(t, keys.VerifierOptions{JWKS: writeTemp(t, "jwks.json", jwks(t, k))})
	for range 5000 { // more than are remembered
		id := wantAccepted(t, v, k.token(t, claims(map[string]any{"sub": "airflow"})))
		if id.Subject != "airflow" {
			t.Fatalf("subject %q", id.Subject)
		}
	}
}
