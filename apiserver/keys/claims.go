package keys

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"ucwarden/input"
	"ucwarden/policy/naming"
)

// maxDepth bounds the nesting of a token's JSON.
const maxDepth = 16

// maxSubject bounds the claim sub, in bytes, as OpenID Connect Core 1.0, section 2, does: it is kept with each task, in the audit trail and
// in the memory of rate limits. RFC 7519 has no limit.
const maxSubject = 255

// header holds the used members of a token's JOSE header. Others are ignored: jku, jwk, x5u and x5c too.
type header struct{ alg, kid string }

func parseHeader(token string) (header, error) {
	malformed := rejected("it is not a well-formed JWT")
	if strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") { // which a decoder of base64 passes over
		return header{}, malformed
	}
	if err := checkUniqueMembers(token, 0); err != nil {
		if errors.As(err, new(*input.DuplicateError)) {
			return header{}, rejected("its header has a duplicate member")
		}
		return header{}, malformed
	}
	raw, err := segment(token, 0)
	if err != nil || input.CheckText(raw) != nil {
		return header{}, malformed
	}
	var members map[string]any // a map, because names of struct fields are matched in any case
	if err := json.Unmarshal(raw, &members); err != nil {
		return header{}, malformed
	}
	for name := range members {
		if near := input.Misspelt(name, knownMembers); near != "" {
			return header{}, rejected(fmt.Sprintf("its header has a member that differs from %s in a letter", near))
		}
	}
	if _, ok := members["crit"]; ok { // RFC 7515, section 4.1.11: no extension is supported
		return header{}, rejected("its header asks for extensions (crit) that are not supported")
	}
	if typ, ok := members["typ"]; ok && !isAccessToken(typ) {
		return header{}, rejected("its header says by typ that it is for something else: want JWT, at+jwt or no typ")
	}
	alg, ok := members["alg"].(string)
	if !ok {
		return header{}, malformed
	}
	kid, ok := members["kid"].(string)
	if _, present := members["kid"]; present && (!ok || kid == "") {
		return header{}, malformed
	}
	return header{alg, kid}, nil
}

// isAccessToken reports whether a token with that typ may be one for an API. An issuer signs tokens of other kinds with the same key, about
// logouts or security events for example, which must not be taken for one (RFC 8725, sections 3.11 and 3.12; RFC 9068, section 2.1).
func isAccessToken(typ any) bool {
	text, ok := typ.(string)
	text = strings.TrimPrefix(strings.ToLower(text), "application/")
	return ok && (text == "jwt" || text == "at+jwt")
}

// segment decodes part i of a token.
func segment(token string, i int) ([]byte, error) {
	parts := strings.Split(token, ".")
	if i >= len(parts) {
		return nil, errors.New("too few parts")
	}
	return base64.RawURLEncoding.Strict().DecodeString(parts[i])
}

// checkUniqueMembers returns an error if a JSON object in part i of a token has two members of one name (RFC 7519,
// section 4, allows to reject them).
func checkUniqueMembers(token string, i int) error {
	raw, err := segment(token, i)
	if err != nil {
		return err
	}
	return input.CheckUnique(raw, maxDepth)
}

// The members and claims that are looked at. One that is misspelt would have no effect: a token limited to catalogs by
// "catalog" would not be limited.
var (
	knownMembers = []string{"alg", "kid", "crit"}
	knownClaims  = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "catalogs", "pipelines"}
)

// checkClaims rejects what a verified token may not claim although its parser lets it pass: misspelt names, and times
// that cannot be meant.
func checkClaims(token string) error {
	raw, err := segment(token, 1)
	if err != nil {
		return rejected("it is not a well-formed JWT")
	}
	if err := input.CheckText(raw); err != nil {
		return rejected("its claims cannot be read: " + err.Error())
	}
	if err := input.CheckUnique(raw, maxDepth); err != nil {
		return rejected("its claims are ambiguous: a duplicate key")
	}
	var claims map[string]json.RawMessage
	if json.Unmarshal(raw, &claims) != nil {
		return rejected("it is not a well-formed JWT")
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if near := input.Misspelt(name, knownClaims); near != "" {
			return rejected(fmt.Sprintf("it has a claim that differs from %s in a letter", near))
		}
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if number, ok := claims[name]; ok {
			if _, err := input.EpochSeconds(string(number)); err != nil {
				return rejected(fmt.Sprintf("the claim %s: %v", name, err))
			}
		}
	}
	return nil
}

// identityOf returns the identity in the claims. A claim of the wrong type is an error: a limit that cannot be read must
// not be taken for no limit.
func identityOf(claims jwt.MapClaims) (Identity, error) {
	var id Identity
	var ok bool
	if id.Subject, ok = claims["sub"].(string); !ok || strings.TrimSpace(id.Subject) == "" {
		return Identity{}, rejected("the claim sub is missing")
	}
	if len(id.Subject) > maxSubject {
		return Identity{}, rejected(fmt.Sprintf("the claim sub is longer than %d bytes", maxSubject))
	}
	if v, present := claims["scope"]; present {
		s, ok := v.(string)
		if !ok {
			return Identity{}, rejected("the claim scope is not a string of space-separated words")
		}
		for word := range strings.FieldsSeq(s) {
			id.Scopes = append(id.Scopes, Scope(word))
		}
	}
	var err error
	if id.Catalogs, id.Limited, err = patternsOf(claims, "catalogs"); err != nil {
		return Identity{}, err
	}
	if id.Pipelines, _, err = patternsOf(claims, "pipelines"); err != nil {
		return Identity{}, err
	}
	id.TokenID, _ = claims["jti"].(string)
	exp, err := claims.GetExpirationTime()
	if err != nil || exp == nil {
		return Identity{}, rejected("the claim exp is missing")
	}
	id.Expires = exp.Time
	return id, nil
}

// patternsOf returns the patterns of a claim, and whether there is one.
func patternsOf(claims jwt.MapClaims, name string) (patterns []naming.Pattern, present bool, err error) {
	v, present := claims[name]
	if !present {
		return nil, false, nil
	}
	wrong := rejected("the claim " + name + " is not a list of patterns")
	list, ok := v.([]any)
	if !ok {
		return nil, true, wrong
	}
	for _, e := range list {
		text, ok := e.(string)
		if !ok || text == "" {
			return nil, true, wrong
		}
		patterns = append(patterns, naming.NewPattern(text, true, true))
	}
	return patterns, true, nil
}
