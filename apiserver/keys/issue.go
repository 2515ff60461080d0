package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"ucwarden/policy"
)

// DefaultTTL is the default validity of a token that [Issue] signs or [Generate] writes.
const DefaultTTL = 24 * time.Hour

// maxTTL guards against a mistaken unit.
const maxTTL = 10 * 366 * 24 * time.Hour

// IssueOptions describes a token to sign. Either Key or HS256Secret signs it.
type IssueOptions struct {
	// Key signs with the algorithm of its type: RSA of 2048 bits or more, P-256, or Ed25519. See [LoadPrivateKey].
	Key crypto.Signer
	// KeyID is the kid; default the RFC 7638 thumbprint of Key, as in the key sets of [Generate].
	KeyID string
	// HS256Secret signs with HS256 and without a kid.
	HS256Secret []byte

	Subject          string        // who the token is for; required
	Scopes           []Scope       // at least one
	Catalogs         []string      // patterns of the catalogs the token is limited to; nil: not limited
	Pipelines        []string      // patterns of ids or names of the pipelines that it may update; nil: none
	TTL              time.Duration // default DefaultTTL
	Issuer, Audience string        // both "ucwarden" by default
}

// Issue returns a signed token. Errors name the invalid option.
func Issue(o IssueOptions) (string, error) {
	if err := o.validate(); err != nil {
		return "", err
	}
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": o.Issuer, "aud": o.Audience, "sub": o.Subject, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(o.TTL).Unix(),
	}
	words := make([]string, len(o.Scopes))
	for i, s := range o.Scopes {
		words[i] = string(s)
	}
	claims["scope"] = strings.Join(words, " ")
	if o.Catalogs != nil {
		claims["catalogs"] = o.Catalogs
	}
	if o.Pipelines != nil {
		claims["pipelines"] = o.Pipelines
	}
	if len(o.HS256Secret) > 0 {
		return sign(jwt.SigningMethodHS256, o.HS256Secret, "", claims)
	}
	method, err := methodOf(o.Key.Public())
	if err != nil {
		return "", policy.Errorf(policy.CodeInvalid, "issue token: %w", err)
	}
	if o.KeyID == "" {
		if o.KeyID, err = thumbprint(o.Key.Public()); err != nil {
			return "", policy.Errorf(policy.CodeInvalid, "issue token: compute the key id: %w", err)
		}
	}
	return sign(method, o.Key, o.KeyID, claims)
}

func sign(method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		return "", policy.Errorf(policy.CodeInternal, "sign token: %w", err)
	}
	return text, nil
}

func (o *IssueOptions) validate() error {
	switch {
	case (o.Key == nil) == (len(o.HS256Secret) == 0):
		return policy.Errorf(policy.CodeInvalid, "issue token: set either a private key or an HS256 secret")
	case len(o.HS256Secret) > 0 && len(o.HS256Secret) < minSecretBytes:
		return policy.Errorf(policy.CodeInvalid, "issue token: the HS256 secret has %d bytes: at least %d are needed", len(o.HS256Secret), minSecretBytes)
	case strings.TrimSpace(o.Subject) == "":
		return policy.Errorf(policy.CodeInvalid, "issue token: the subject is missing: say who the token is for")
	case len(o.Subject) > maxSubject:
		return policy.Errorf(policy.CodeInvalid, "issue token: the subject has %d bytes: at most %d are accepted", len(o.Subject), maxSubject)
	case len(o.Scopes) == 0:
		return policy.Errorf(policy.CodeInvalid, "issue token: no scope: set one or more of %v", scopes)
	case slices.Contains(o.Catalogs, ""):
		return policy.Errorf(policy.CodeInvalid, "issue token: an empty catalog pattern")
	case slices.Contains(o.Pipelines, ""):
		return policy.Errorf(policy.CodeInvalid, "issue token: an empty pipeline pattern")
	}
	for _, s := range o.Scopes {
		if !slices.Contains(scopes, s) {
			return policy.Errorf(policy.CodeInvalid, "issue token: unknown scope %q: want one of %v", s, scopes)
		}
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.TTL < time.Second || o.TTL > maxTTL {
		return policy.Errorf(policy.CodeInvalid, "issue token: a validity of %v: want between one second and ten years", o.TTL)
	}
	if o.Issuer == "" {
		o.Issuer = defaultIssuer
	}
	if o.Audience == "" {
		o.Audience = defaultAudience
	}
	return nil
}

// LoadPrivateKey reads a private key in PEM (PKCS #8, PKCS #1 or SEC 1) to sign tokens with.
func LoadPrivateKey(path string) (crypto.Signer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "read private key: %w", err)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var k any
		switch block.Type {
		case "PRIVATE KEY":
			k, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			k, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			k, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			continue // for example EC PARAMETERS
		}
		if err != nil { // the cause may quote the key
			return nil, policy.Errorf(policy.CodeInvalid, "private key %s: the %s block does not parse", path, block.Type)
		}
		switch k := k.(type) {
		case *ecdsa.PrivateKey:
			return k, nil
		case *rsa.PrivateKey:
			return k, nil
		case ed25519.PrivateKey:
			return k, nil
		}
		return nil, policy.Errorf(policy.CodeInvalid, "private key %s: its kind is not supported: use RSA, P-256 or Ed25519", path)
	}
	return nil, policy.Errorf(policy.CodeInvalid, "private key %s: no PRIVATE KEY block found (it must not be encrypted)", path)
}
