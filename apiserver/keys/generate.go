package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"ucwarden/atomicfile"
	"ucwarden/policy"
)

// The files that [Generate] writes, in DIR/INSTANCE/api-server.
const (
	PrivateKeyFile = "private-key.pem" // PKCS #8, mode 0600
	JWKSFile       = "jwks.json"       // public keys, mode 0644
	tokenFile      = "token"           // a first token, mode 0600
)

// GenerateOptions says which key to generate and where.
type GenerateOptions struct {
	Dir, Instance string // the files go to Dir/Instance/api-server
	Algorithm     string // ES256 (default) or EdDSA
	// Force replaces existing files; every token of the old key is then rejected.
	Force bool
	// Rotate replaces the private key and the token, and keeps the public keys in the key set, so that tokens of the
	// old keys stay valid until they expire.
	Rotate bool
	// Once leaves an instance alone that has a private key and a key set; the paths are returned without a KeyID. Where an
	// earlier run was interrupted between the two, the pair is completed, and the key set keeps the keys that it has.
	Once bool
	// Token describes the first token; Generate sets its Key and KeyID. The defaults are: subject Instance, scope
	// admin, validity DefaultTTL.
	Token IssueOptions
}

// Generated says what [Generate] wrote.
type Generated struct {
	PrivateKey, JWKS, Token string // paths
	KeyID                   string
}

var instanceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Generate generates a key pair and writes the private key, the public key set and a first token. Unless Force or Rotate
// is set, existing files are an error of class conflict that names them, and nothing is written; with Once they are none.
func Generate(o GenerateOptions) (Generated, error) {
	if !instanceName.MatchString(o.Instance) {
		return Generated{}, policy.Errorf(policy.CodeInvalid, "generate keys: instance %q: want letters, digits, '.', '_' and '-'", o.Instance)
	}
	dir := filepath.Join(o.Dir, o.Instance, "api-server")
	g := Generated{
		PrivateKey: filepath.Join(dir, PrivateKeyFile),
		JWKS:       filepath.Join(dir, JWKSFile),
		Token:      filepath.Join(dir, tokenFile),
	}
	if o.Once {
		hasKey, keyErr := exists(g.PrivateKey)
		hasSet, setErr := exists(g.JWKS)
		if err := errors.Join(keyErr, setErr); err != nil {
			return Generated{}, policy.Errorf(policy.CodeInvalid, "generate keys: %w", err)
		}
		if hasKey && hasSet {
			return g, nil
		}
		o.Rotate = hasSet
	}
	if !o.Force && !o.Rotate {
		if err := checkNotExisting(g.PrivateKey, g.JWKS, g.Token); err != nil {
			return Generated{}, err
		}
	}
	signer, err := newKey(o.Algorithm)
	if err != nil {
		return Generated{}, err
	}
	if g.KeyID, err = thumbprint(signer.Public()); err != nil {
		return Generated{}, policy.Errorf(policy.CodeInternal, "generate keys: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return Generated{}, policy.Errorf(policy.CodeInternal, "generate keys: encode private key: %w", err)
	}
	jwks, err := publicSet(signer.Public(), g, o.Rotate)
	if err != nil {
		return Generated{}, err
	}
	token, err := Issue(firstToken(o, signer, g.KeyID))
	if err != nil {
		return Generated{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Generated{}, policy.Errorf(policy.CodeInvalid, "generate keys: %w", err)
	}
	// The key set is written first, so that a server knows the key before the first token signed with it exists.
	for _, f := range []struct {
		path string
		data []byte
		mode fs.FileMode
	}{
		{g.JWKS, jwks, 0o644},
		{g.PrivateKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600},
		{g.Token, []byte(token + "\n"), 0o600},
	} {
		if err := atomicfile.Write(f.path, f.mode, f.data); err != nil {
			return Generated{}, policy.Errorf(policy.CodeInvalid, "generate keys: %w", err)
		}
	}
	return g, nil
}

func checkNotExisting(paths ...string) error {
	var found []string
	for _, path := range paths {
		there, err := exists(path)
		if err != nil {
			return policy.Errorf(policy.CodeInvalid, "generate keys: %w", err)
		}
		if there {
			found = append(found, path)
		}
	}
	if len(found) > 0 {
		return policy.Errorf(policy.CodeConflict, "generate keys: not overwriting %s: choose another instance or folder, or use --force", strings.Join(found, ", "))
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func newKey(algorithm string) (crypto.Signer, error) {
	switch strings.ToUpper(algorithm) {
	case "", "ES256":
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInternal, "generate keys: %w", err)
		}
		return k, nil
	case "EDDSA":
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInternal, "generate keys: %w", err)
		}
		return k, nil
	}
	return nil, policy.Errorf(policy.CodeInvalid, "generate keys: unknown algorithm %q: want ES256 or EdDSA", algorithm)
}

// publicSet returns the encoded key set: the new key and, on a rotation, the existing ones.
func publicSet(public crypto.PublicKey, g Generated, rotate bool) ([]byte, error) {
	all := []key{{id: g.KeyID, public: public}}
	if rotate {
		data, err := os.ReadFile(g.JWKS)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, policy.Errorf(policy.CodeInvalid, "rotate keys: %w", err)
		}
		if err == nil {
			old, _, err := parseJWKS(data)
			if err != nil {
				return nil, policy.Errorf(policy.CodeInvalid, "rotate keys: %s: %w", g.JWKS, err)
			}
			all = append(all, old...)
		}
	}
	out := jwk.NewSet()
	for _, k := range all {
		method, err := methodOf(k.public)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInternal, "generate keys: %w", err)
		}
		entry, err := jwk.Import(k.public)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInternal, "generate keys: encode key set: %w", err)
		}
		for name, value := range map[string]string{jwk.KeyIDKey: k.id, jwk.AlgorithmKey: method.Alg(), jwk.KeyUsageKey: "sig"} {
			if err := entry.Set(name, value); err != nil {
				return nil, policy.Errorf(policy.CodeInternal, "generate keys: encode key set: %w", err)
			}
		}
		if err := out.AddKey(entry); err != nil {
			return nil, policy.Errorf(policy.CodeInternal, "generate keys: encode key set: %w", err)
		}
	}
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, policy.Errorf(policy.CodeInternal, "generate keys: encode key set: %w", err)
	}
	return append(data, '\n'), nil
}

func firstToken(o GenerateOptions, signer crypto.Signer, kid string) IssueOptions {
	t := o.Token
	t.Key, t.KeyID, t.HS256Secret = signer, kid, nil
	if t.Subject == "" {
		t.Subject = o.Instance
	}
	if len(t.Scopes) == 0 {
		t.Scopes = []Scope{ScopeAdmin}
	}
	if t.Pipelines == nil && t.Catalogs == nil { // a token that is limited has what was said, and no more
		t.Pipelines = []string{"*"}
	}
	return t
}
