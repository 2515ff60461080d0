package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"ucwarden/input"
)

// minRSABits is the smallest RSA key that RFC 7518, section 3.3, allows for RS256.
const minRSABits = 2048

// minSecretBytes is the shortest secret that RFC 7518, section 3.2, allows for HS256.
const minSecretBytes = 32

// key is one verification key with the only algorithm it is ever used with.
type key struct {
	id     string
	method jwt.SigningMethod
	public any // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, or the bytes of the shared secret
}

// methodOf returns the algorithm of a public key, or an error that says why the key cannot be used.
func methodOf(public any) (jwt.SigningMethod, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("RSA key of %d bits: at least %d are needed", k.N.BitLen(), minRSABits)
		}
		return jwt.SigningMethodRS256, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return nil, fmt.Errorf("elliptic curve %s: only P-256 (ES256) is supported", k.Curve.Params().Name)
		}
		return jwt.SigningMethodES256, nil
	case ed25519.PublicKey:
		return jwt.SigningMethodEdDSA, nil
	}
	return nil, fmt.Errorf("keys of kind %T are not supported: use RSA, P-256 or Ed25519", public)
}

// thumbprint returns the RFC 7638 SHA-256 thumbprint of a public key, the kid of keys that have none.
func thumbprint(public any) (string, error) {
	k, err := jwk.Import(public)
	if err != nil {
		return "", err
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// parseJWKS returns the verification keys of a JSON Web Key Set. Keys that are not for signatures, or of an unsupported
// type or algorithm, are left out, and skipped says why: other programs may use the same set.
func parseJWKS(data []byte) (usable []key, skipped []string, err error) {
	malformed := errors.New("not a JSON Web Key Set: want an object with a list of keys")
	if err := input.CheckUnique(data, maxDepth); err != nil {
		if errors.As(err, new(*input.DuplicateError)) {
			return nil, nil, fmt.Errorf("not a JSON Web Key Set: %w", err)
		}
		return nil, nil, malformed
	}
	var doc map[string]json.RawMessage // a map, because names of struct fields are matched in any case
	var list []json.RawMessage
	if json.Unmarshal(data, &doc) != nil || json.Unmarshal(doc["keys"], &list) != nil || list == nil {
		return nil, nil, malformed
	}
	for i, raw := range list {
		k, err := parseJWK(raw)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("key %d: %v", i, err))
			continue
		}
		usable = append(usable, k)
	}
	return usable, skipped, nil
}

func parseJWK(raw []byte) (key, error) {
	k, err := jwk.ParseKey(raw)
	if err != nil { // the cause may quote the key
		return key{}, errors.New("it is malformed, too weak, or of an unknown kind")
	}
	if use, ok := k.KeyUsage(); ok && use != "sig" {
		return key{}, fmt.Errorf("its use is %q", use)
	}
	if ops, ok := k.KeyOps(); ok && !slices.Contains(ops, jwk.KeyOpVerify) {
		return key{}, errors.New("its key_ops do not include verify")
	}
	if private, err := jwk.IsPrivateKey(k); err != nil {
		return key{}, errors.New("a shared secret does not belong in a key set; configure it as the HS256 secret")
	} else if private {
		return key{}, errors.New("it is a private key; publish the public one")
	}
	var public any
	if err := jwk.Export(k, &public); err != nil {
		return key{}, errors.New("its parameters are not those of a public key")
	}
	method, err := methodOf(public)
	if err != nil {
		return key{}, err
	}
	if alg, ok := k.Algorithm(); ok && alg.String() != method.Alg() {
		return key{}, fmt.Errorf("its alg %q is not supported for this kind of key (want %s)", alg, method.Alg())
	}
	id, ok := k.KeyID()
	if !ok || id == "" {
		if id, err = thumbprint(public); err != nil {
			return key{}, err
		}
	}
	return key{id, method, public}, nil
}

// parsePEM returns the public keys of a PEM file, certificates included. The kid of a key is its thumbprint; the key of
// a file with just one is also returned under the file's base name without extension.
func parsePEM(path string, data []byte) ([]key, error) {
	var keys []key
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		public, err := parsePEMBlock(block)
		if err != nil {
			return nil, err
		}
		method, err := methodOf(public)
		if err != nil {
			return nil, err
		}
		id, err := thumbprint(public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key{id, method, public})
	}
	switch len(keys) {
	case 0:
		return nil, errors.New("no PEM block found: want PUBLIC KEY or CERTIFICATE")
	case 1:
		base := filepath.Base(path)
		named := keys[0]
		named.id = strings.TrimSuffix(base, filepath.Ext(base))
		keys = append(keys, named)
	}
	return keys, nil
}

func parsePEMBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("the PUBLIC KEY block does not parse")
		}
		return public, nil
	case "RSA PUBLIC KEY":
		public, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("the RSA PUBLIC KEY block does not parse")
		}
		return public, nil
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("the CERTIFICATE block does not parse")
		}
		return cert.PublicKey, nil
	}
	if strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, errors.New("it holds a private key: the server needs the public one only")
	}
	return nil, fmt.Errorf("PEM block %q: want PUBLIC KEY or CERTIFICATE", block.Type)
}

// equal reports whether two keys are the same key under the same algorithm.
func (k key) equal(o key) bool {
	if k.method != o.method {
		return false
	}
	if secret, ok := k.public.([]byte); ok {
		other, ok := o.public.([]byte)
		return ok && bytes.Equal(secret, other)
	}
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(o.public)
}
