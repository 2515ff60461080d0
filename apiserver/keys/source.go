package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"ucwarden/endpoint"
	"ucwarden/policy"
)

// maxKeyFile bounds what is read from a key file or URL.
const maxKeyFile = 1 << 20

// fetchTimeout bounds one download of a key set.
const fetchTimeout = 10 * time.Second

// keySource is a file or URL that keys are loaded from.
type keySource struct {
	name   string // path or URL, for messages
	remote bool
	load   func(context.Context) ([]byte, error)
	parse  func([]byte) (usable []key, skipped []string, err error)

	data       []byte // the content that keys was parsed from; nil before the first success, and after the keys ended
	keys       []key
	skipped    []string  // keys of the content that are not used, with the reasons
	readAt     time.Time // when it last was read and well-formed
	problem    error     // of the last attempt; nil when it succeeded
	lastFailed []byte    // the last content that did not parse, or the error that there was none, so that it is reported once
}

// endOf returns when the source's keys end unless it is read again.
func (src *keySource) endOf(keep time.Duration) time.Time { return src.readAt.Add(keep) }

// refresh loads the source, and reports whether its keys changed. What is well-formed counts, however few keys it holds:
// a key that is not in it any more was revoked. report is a failure that was not reported before.
func (src *keySource) refresh(ctx context.Context) (changed bool, report error) {
	data, err := src.load(ctx)
	if err != nil {
		src.problem = err
		if src.lastFailed != nil && bytes.Equal(src.lastFailed, []byte(err.Error())) {
			return false, nil
		}
		src.lastFailed = []byte(err.Error()) // it is tried again soon: report the same failure once
		return false, err
	}
	if src.data != nil && bytes.Equal(data, src.data) {
		src.readAt, src.problem, src.lastFailed = time.Now(), nil, nil
		return false, nil
	}
	if src.problem != nil && src.lastFailed != nil && bytes.Equal(data, src.lastFailed) {
		return false, nil
	}
	keys, skipped, err := src.parse(data)
	if err != nil {
		src.problem, src.lastFailed = err, data
		return false, err
	}
	src.data, src.keys, src.skipped = data, keys, skipped
	src.readAt, src.problem, src.lastFailed = time.Now(), nil, nil
	return true, nil
}

// jwksSource returns the source of a JSON Web Key Set in a file or at a URL.
func jwksSource(o VerifierOptions) (*keySource, error) {
	src := &keySource{name: o.JWKS, load: readFile(o.JWKS)}
	src.parse = func(data []byte) ([]key, []string, error) {
		keys, skipped, err := parseJWKS(data)
		switch {
		case err != nil:
		case len(keys) == 0:
			o.Logger.Warn("the key set holds no usable key: every token of its keys is refused", "source", src.name, "ignored", skipped)
		case len(skipped) > 0:
			o.Logger.Warn("some keys of the key set are ignored", "source", src.name, "reasons", skipped)
		}
		return keys, skipped, err
	}
	if !strings.Contains(o.JWKS, "://") {
		return src, nil
	}
	u, err := url.Parse(o.JWKS)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, policy.Errorf(policy.CodeInvalid, "the JWKS address must be a file or an https URL")
	}
	client, err := endpoint.NewClient(endpoint.ClientOptions{
		URL: u, Setting: "apiserver.jwt.jwks", AllowHTTP: o.AllowHTTP, MaxBody: maxKeyFile, Transport: o.Transport,
	})
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "%w", err)
	}
	if endpoint.IsPlain(u) {
		o.Logger.Warn("the key set is downloaded over plain http: its keys can be forged on the way", "host", u.Host)
	}
	src.remote, src.name = true, endpoint.MaskURLs(o.JWKS)
	src.load = fetch(client, o.JWKS)
	return src, nil
}

func pemSource(path string) *keySource {
	return &keySource{name: path, load: readFile(path), parse: func(data []byte) ([]key, []string, error) {
		keys, err := parsePEM(path, data)
		return keys, nil, err
	}}
}

func readFile(path string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // what was only read loses nothing
		return readLimited(f)
	}
}

func fetch(client *http.Client, address string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		// The download serves every caller, so one that goes away must not end it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, errors.New("the key set's URL is not valid") // the text of err repeats it
		}
		req.Header.Set("Accept", "application/jwk-set+json, application/json")
		resp, err := client.Do(req)
		if err != nil {
			var layer *url.Error // repeats the URL, which may hold a password
			if errors.As(err, &layer) {
				err = layer.Err
			}
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the key set's server answered %s", http.StatusText(resp.StatusCode))
		}
		return readLimited(resp.Body)
	}
}

func readLimited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = errors.New("larger than 1 MiB")
	}
	return data, err
}
