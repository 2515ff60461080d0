package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"ucwarden/policy"
)

// maxDepth bounds the nesting of a token's JSON.
const maxDepth = 16

// header holds the used members of a token's JOSE header. Others are ignored: jku, jwk, x5u and x5c too.
type header struct{ alg, kid string }

func parseHeader(token string) (header, error) {
	malformed := rejected("it is not a well-formed JWT")
	if strings.Count(token, ".") != 2 {
		return header{}, malformed
	}
	if err := checkUniqueMembers(token, 0); err != nil {
		if errors.Is(err, errDuplicate) {
			return header{}, rejected("its header has a duplicate member")
		}
		return header{}, malformed
	}
	raw, err := segment(token, 0)
	if err != nil {
		return header{}, malformed
	}
	var members map[string]any // a map, because names of struct fields are matched in any case
	if err := json.Unmarshal(raw, &members); err != nil {
		return header{}, malformed
	}
	if _, ok := members["crit"]; ok { // RFC 7515, section 4.1.11: no extension is supported
		return header{}, rejected("its header asks for extensions (crit) that are not supported")
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

// segment decodes part i of a token.
func segment(token string, i int) ([]byte, error) {
	parts := strings.Split(token, ".")
	if i >= len(parts) {
		return nil, errors.New("too few parts")
	}
	return base64.RawURLEncoding.Strict().DecodeString(parts[i])
}

var errDuplicate = errors.New("duplicate member")

// checkUniqueMembers returns an error if a JSON object in part i of a token has two members of one name: parsers differ
// in which one they use (RFC 7519, section 4, allows to reject them).
func checkUniqueMembers(token string, i int) error {
	raw, err := segment(token, i)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := checkUniqueValue(dec, 0); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}

func checkUniqueValue(dec *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	t, err := dec.Token()
	if err != nil {
		return err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := make(map[string]bool)
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return err
			}
			s, _ := name.(string)
			if seen[s] {
				return errDuplicate
			}
			seen[s] = true
		}
		if err := checkUniqueValue(dec, depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// identityOf returns the identity in the claims. A claim of the wrong type is an error: a limit that cannot be read must
// not be taken for no limit.
func identityOf(claims jwt.MapClaims) (Identity, error) {
	var id Identity
	var ok bool
	if id.Subject, ok = claims["sub"].(string); !ok || strings.TrimSpace(id.Subject) == "" {
		return Identity{}, rejected("the claim sub is missing")
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
	if v, present := claims["catalogs"]; present {
		list, ok := v.([]any)
		if !ok {
			return Identity{}, rejected("the claim catalogs is not a list of patterns")
		}
		id.Limited = true
		for _, e := range list {
			text, ok := e.(string)
			if !ok || text == "" {
				return Identity{}, rejected("the claim catalogs is not a list of patterns")
			}
			id.Catalogs = append(id.Catalogs, policy.NewPattern(text, true, true))
		}
	}
	id.TokenID, _ = claims["jti"].(string)
	exp, err := claims.GetExpirationTime()
	if err != nil || exp == nil {
		return Identity{}, rejected("the claim exp is missing")
	}
	id.Expires = exp.Time
	return id, nil
}
