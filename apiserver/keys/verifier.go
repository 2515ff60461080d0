package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
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
	// JWKS is the path or the https URL of a JSON Web Key Set; may be empty.
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
	// HTTPClient downloads the key set; default a plain one. No redirect away from https is followed.
	HTTPClient *http.Client
	Logger     *slog.Logger // default: discards
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
	client := http.Client{}
	if o.HTTPClient != nil {
		client = *o.HTTPClient
	}
	client.CheckRedirect = httpsOnly
	o.HTTPClient = &client
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func httpsOnly(req *http.Request, via []*http.Request) error {
	if req.URL.Scheme != "https" {
		return errors.New("the key set's server redirects away from https")
	}
	if len(via) >= 5 {
		return errors.New("too many redirects")
	}
	return nil
}

// Verifier verifies bearer tokens. It is safe for concurrent use.
type Verifier struct {
	set      *keySet
	issuer   string
	audience string
}

// NewVerifier loads the keys and returns a verifier. A file that cannot be used is an error; a URL that does not answer
// is not: that is logged and tried again, and until then Verify returns errors of class policy.CodeUnavailable.
func NewVerifier(ctx context.Context, o VerifierOptions) (*Verifier, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &keySet{log: o.Logger, refresh: o.Refresh, minRefetch: o.MinRefetch}
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
		s.sources = append(s.sources, &keySource{
			name: path, load: readFile(path),
			parse: func(data []byte) ([]key, error) { return parsePEM(path, data) },
		})
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
		}
	}
	s.filesRead.Store(time.Now().UnixNano())
	idx, err := s.build()
	if err != nil {
		return nil, err
	}
	s.current.Store(idx)
	return &Verifier{set: s, issuer: o.Issuer, audience: o.Audience}, nil
}

func jwksSource(o VerifierOptions) (*keySource, error) {
	src := &keySource{name: o.JWKS, load: readFile(o.JWKS)}
	src.parse = func(data []byte) ([]key, error) {
		keys, skipped, err := parseJWKS(data)
		if err == nil && len(skipped) > 0 {
			o.Logger.Warn("some keys of the key set are ignored", "source", src.name, "reasons", skipped)
		}
		return keys, err
	}
	if !strings.Contains(o.JWKS, "://") {
		return src, nil
	}
	u, err := url.Parse(o.JWKS)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, policy.Errorf(policy.CodeInvalid, "the JWKS address must be a file or an https URL")
	}
	src.remote, src.name = true, u.Redacted()
	src.load = fetch(o.HTTPClient, o.JWKS)
	return src, nil
}

// Ready returns nil once every source of keys was loaded at least once, before that an error of class unavailable.
func (v *Verifier) Ready(ctx context.Context) error {
	v.set.refreshStale(ctx)
	if v.set.current.Load().ready {
		return nil
	}
	return policy.Errorf(policy.CodeUnavailable, "the key set for verifying tokens was not downloaded yet")
}

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
	hdr, err := parseHeader(token)
	if err != nil {
		return Identity{}, err
	}
	k, err := v.set.find(ctx, hdr.kid)
	if err != nil {
		return Identity{}, err
	}
	if hdr.alg != k.method.Alg() {
		return Identity{}, rejected("its algorithm is not the one of the key it names")
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
	if err := checkUniqueMembers(token, 1); err != nil {
		return Identity{}, rejected(fmt.Sprintf("its claims are ambiguous: %v", err))
	}
	id, err := identityOf(claims)
	if err != nil {
		return Identity{}, err
	}
	id.KeyID = hdr.kid
	return id, nil
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
