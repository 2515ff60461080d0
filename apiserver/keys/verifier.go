package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"ucwarden/policy"
)

// Leeway is the clock difference that is tolerated in exp, nbf and iat.
const Leeway = 30 * time.Second

// maxTokenSize is the size of the longest token that is parsed, in bytes.
const maxTokenSize = 16 << 10

// VerifierOptions says where keys come from and what tokens must claim. At least one of JWKS, PEMFiles and HS256Secret
// is required.
type VerifierOptions struct {
	// Issuer and Audience must be the token's iss and among its aud; both "ucwarden" by default.
	Issuer, Audience string
	// JWKS is the path or the URL of a JSON Web Key Set; may be empty.
	JWKS string
	// PEMFiles are paths of public keys or certificates. The kid of such a key is its RFC 7638 SHA-256 thumbprint, or
	// the file's base name without extension where the file holds one key.
	PEMFiles []string
	// HS256Secret, at least 32 bytes, allows HS256 for tokens without a kid; may be empty.
	HS256Secret []byte
	// Refresh is the age at which a key set from a URL is downloaded again; default 15 minutes.
	Refresh time.Duration
	// MinRefetch is the shortest time between two downloads, whatever kids tokens name; default 30 seconds.
	MinRefetch time.Duration
	// KeepUnread is how long keys stay in force that cannot be read again; default one hour.
	KeepUnread time.Duration
	// AllowHTTP permits a JWKS URL of plain http to a host that is not this machine; such keys can be forged on the way.
	AllowHTTP bool
	Transport http.RoundTripper // sends the downloads; for tests
	Logger    *slog.Logger      // default: discards
}

func (o *VerifierOptions) validate() error {
	if o.Issuer == "" {
		o.Issuer = defaultIssuer
	}
	if o.Audience == "" {
		o.Audience = defaultAudience
	}
	if o.JWKS == "" && len(o.PEMFiles) == 0 && len(o.HS256Secret) == 0 {
		return policy.Errorf(policy.CodeInvalid, "no key for verifying tokens: set a JWKS file or https URL, PEM files, or an HS256 secret (`ucwarden keys generate` makes a key set)")
	}
	if n := len(o.HS256Secret); n > 0 && n < minSecretBytes {
		return policy.Errorf(policy.CodeInvalid, "the HS256 secret has %d bytes: at least %d are needed", n, minSecretBytes)
	}
	if o.Refresh <= 0 {
		o.Refresh = 15 * time.Minute
	}
	if o.MinRefetch <= 0 {
		o.MinRefetch = 30 * time.Second
	}
	if o.KeepUnread <= 0 {
		o.KeepUnread = time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Verifier verifies bearer tokens. It is safe for concurrent use.
type Verifier struct {
	set      *keySet
	issuer   string
	audience string
	verified verifiedTokens
}

// NewVerifier loads the keys and returns a verifier. A file that cannot be used is an error; a URL that does not answer
// is not: that is logged and tried again, and until then Verify returns errors of class policy.CodeUnavailable. A key set
// without any key is none either: it revokes every token.
func NewVerifier(ctx context.Context, o VerifierOptions) (*Verifier, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &keySet{log: o.Logger, refresh: o.Refresh, minRefetch: o.MinRefetch, keepUnread: o.KeepUnread}
	if len(o.HS256Secret) > 0 {
		s.secretKeys = []key{{method: jwt.SigningMethodHS256, public: o.HS256Secret}}
	}
	if o.JWKS != "" {
		src, err := jwksSource(o)
		if err != nil {
			return nil, err
		}
		s.sources = append(s.sources, src)
	}
	for _, path := range o.PEMFiles {
		s.sources = append(s.sources, pemSource(path))
	}
	for _, src := range s.sources {
		_, err := src.refresh(ctx)
		switch {
		case src.remote:
			s.fetchTried.Store(time.Now().UnixNano())
			if err != nil {
				o.Logger.Warn("key set not downloaded; tokens cannot be verified until it is", "source", src.name, "error", err)
				continue
			}
			s.fetched.Store(time.Now().UnixNano())
		case err != nil:
			return nil, policy.Errorf(policy.CodeInvalid, "load token keys from %s: %w", src.name, err)
		case len(src.keys) == 0 && len(src.skipped) > 0: // not emptied to revoke its keys: a mistake to be found at once
			return nil, policy.Errorf(policy.CodeInvalid, "load token keys from %s: no usable key in the set: %s", src.name,
				strings.Join(append(src.skipped, "want RS256, ES256 or EdDSA public keys"), "; "))
		}
	}
	s.filesRead.Store(time.Now().UnixNano())
	idx, conflicts := s.build()
	if len(conflicts) > 0 {
		return nil, conflicts[0]
	}
	s.current.Store(idx)
	s.warnWithout(idx)
	s.renew()
	return &Verifier{set: s, issuer: o.Issuer, audience: o.Audience}, nil
}

// Ready returns nil while the keys of every source are in force; otherwise an error of class unavailable that names a
// source that was never read, or not for so long that its keys have ended.
func (v *Verifier) Ready(ctx context.Context) error {
	v.set.freshen(ctx)
	if unread := v.set.current.Load().unread; len(unread) > 0 {
		return policy.Errorf(policy.CodeUnavailable, "the source of token keys %s %s", unread[0].name, unread[0].text)
	}
	return nil
}

// Warnings returns a line for each source that cannot be read and whose earlier keys are still in force, and one where there
// are no keys at all.
func (v *Verifier) Warnings() []string {
	var lines []string
	if v.set.empty(v.set.current.Load()) {
		lines = append(lines, withoutKeys)
	}
	for _, note := range v.set.current.Load().failing {
		lines = append(lines, fmt.Sprintf("the source of token keys %s %s", note.name, note.text))
	}
	return lines
}

// Reload reads every source again, at once, and returns the number of keys in force. The error, of class unavailable,
// names the sources that could not be read; their earlier keys stay in force for a limited time.
func (v *Verifier) Reload(ctx context.Context) (int, error) { return v.set.readAgain(ctx) }

// rejected returns the error for a token that is not valid; why must not quote the token.
func rejected(why string) error {
	return policy.Errorf(policy.CodeUnauthenticated, "invalid token: %s", why)
}

// Verify verifies a token and returns its bearer's identity. An error of class unauthenticated says which check failed
// and never quotes the token; one of class unavailable means that the keys are not loaded.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if len(token) > maxTokenSize {
		return Identity{}, rejected("it is longer than 16 KiB")
	}
	v.set.freshen(ctx)
	inForce, hash, now := v.set.current.Load(), sha256.Sum256([]byte(token)), time.Now().Round(0)
	if id, ok := v.verified.get(hash, inForce); ok {
		return id, nil
	}
	id, err := v.verify(ctx, token)
	if err == nil && v.set.current.Load() == inForce {
		v.verified.add(hash, verifiedToken{id, inForce, now})
	}
	return id, err
}

// verify verifies a token by its signature.
func (v *Verifier) verify(ctx context.Context, token string) (Identity, error) {
	hdr, err := parseHeader(token)
	if err != nil {
		return Identity{}, err
	}
	k, err := v.set.find(ctx, hdr.kid)
	if err != nil {
		return Identity{}, err
	}
	if hdr.alg != k.method.Alg() {
		return Identity{}, rejected(wrongAlgorithm(hdr, k))
	}
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{k.method.Alg()}),
		jwt.WithStrictDecoding(),
		jwt.WithLeeway(Leeway),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithIssuer(v.issuer),
		jwt.WithAudience(v.audience),
	)
	_, err = parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if t.Method != k.method {
			return nil, jwt.ErrTokenUnverifiable
		}
		return k.public, nil
	})
	if err != nil {
		return Identity{}, rejected(rejectReason(err, claims))
	}
	if err := checkClaims(token); err != nil {
		return Identity{}, err
	}
	id, err := identityOf(claims)
	if err != nil {
		return Identity{}, err
	}
	id.KeyID = hdr.kid
	return id, nil
}

// wrongAlgorithm says why a token is not verified with a key that is for another algorithm.
func wrongAlgorithm(hdr header, k key) string {
	switch _, secret := k.public.([]byte); {
	case hdr.kid != "":
		return "its algorithm is not the one of the key it names"
	case secret:
		return "it names no key (kid), and without one only the shared secret is tried, whose algorithm, HS256, it does not have"
	}
	return fmt.Sprintf("it names no key (kid), and has not the algorithm of the one in force, which is %s", k.method.Alg())
}

// rejectReason says which check failed. The parser's own error is not used, because it may quote the token.
func rejectReason(err error, claims jwt.MapClaims) string {
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return "it is not a well-formed JWT"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return "its signature does not verify"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		for _, name := range []string{"exp", "iss", "aud"} {
			if v, ok := claims[name]; !ok || v == "" || v == nil {
				return fmt.Sprintf("the claim %s is missing", name)
			}
		}
		return "a required claim is missing or has the wrong JSON type (exp, iss, aud)"
	case errors.Is(err, jwt.ErrTokenExpired):
		return "it has expired (exp)"
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return "it is not valid yet (nbf)"
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "it was issued in the future (iat)"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "it is for another audience (aud)"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "it is from another issuer (iss)"
	}
	return "a claim has the wrong JSON type"
}
