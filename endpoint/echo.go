package endpoint

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxErrorBody is how much of the body of an answer that reports an error is kept, in bytes.
const maxErrorBody = 1 << 20

// maskEcho masks the credentials of req in the answer where that reports an error: servers and proxies repeat in it what they
// were sent, and it is what gets into logs, results of tasks and output.
func maskEcho(req *http.Request, resp *http.Response) error {
	if resp.StatusCode < 300 {
		return nil
	}
	secrets := credentialsOf(req)
	if len(secrets) == 0 {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close() // what it has to say was read
	if err != nil && len(body) == 0 {
		return err
	}
	for _, secret := range secrets {
		body = bytes.ReplaceAll(body, []byte(secret), []byte(mask))
	}
	for name, values := range resp.Header {
		for i, value := range values {
			resp.Header[name][i] = masked(value, secrets)
		}
	}
	resp.Status = masked(resp.Status, secrets)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	if resp.Header.Get("Content-Length") != "" {
		resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return nil
}

// masked returns text without secrets.
func masked(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, mask)
	}
	return text
}

// shortestSecret is the length below which a text is not masked: it would be found in words that are no secret.
const shortestSecret = 8

// credentialsOf returns what a request has of credentials, in each form in which an answer may repeat it.
func credentialsOf(req *http.Request) []string {
	var secrets []string
	add := func(text string) {
		for _, form := range []string{text, url.QueryEscape(text), url.PathEscape(text), strings.Trim(strconv.Quote(text), `"`)} {
			if len(text) >= shortestSecret {
				secrets = append(secrets, form)
			}
		}
	}
	for _, value := range req.Header.Values("Authorization") {
		scheme, credentials, found := strings.Cut(value, " ")
		if !found {
			scheme, credentials = "", value
		}
		credentials = strings.TrimSpace(credentials)
		if strings.EqualFold(scheme, "Basic") {
			if plain, err := base64.StdEncoding.DecodeString(credentials); err == nil {
				_, password, _ := strings.Cut(string(plain), ":")
				add(password)
				if unescaped, err := url.QueryUnescape(password); err == nil { // RFC 6749, section 2.3.1
					add(unescaped)
				}
			}
		}
		add(credentials)
	}
	if req.GetBody == nil || !strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return secrets
	}
	body, err := req.GetBody()
	if err != nil {
		return secrets
	}
	defer func() { _ = body.Close() }() // in memory
	text, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
	if err != nil {
		return secrets
	}
	form, _ := url.ParseQuery(string(text)) // as far as it parses
	for name, values := range form {
		for _, value := range values {
			if secretParameter.MatchString("?"+name+"="+value) || strings.HasSuffix(name, "assertion") {
				add(value)
			}
		}
	}
	return secrets
}
