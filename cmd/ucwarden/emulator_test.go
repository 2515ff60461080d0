package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// The emulator is served until the command is interrupted, to who has the token alone.
func TestEmulatorCommand(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		token string // "": the one that is made up
	}{
		"token given":   {args: []string{"--token", "secret"}, token: "secret"},
		"token made up": {},
		"caller named":  {args: []string{"--token", "secret=admin@example.com", "--page-size", "1", "--empty-pages"}, token: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			out, stdout := io.Pipe()
			var stderr bytes.Buffer
			a := &app{stdout: stdout, stderr: &stderr}
			root := newRootCommand(a)
			root.SetArgs(append([]string{"emulator", "unitycatalog", "--addr", "127.0.0.1:0", "--generate", "catalogs=2,schemas=1,tables=3", "-o", "json"}, test.args...))
			ended := make(chan error, 1)
			go func() { ended <- root.ExecuteContext(ctx) }()

			var started struct{ URL, Token string }
			if err := json.NewDecoder(bufio.NewReader(out)).Decode(&started); err != nil {
				t.Fatal(err)
			}
			token := test.token
			if token == "" {
				token = started.Token
			} else if started.Token != "" {
				t.Error("a token that was given is printed")
			}
			for bearer, want := range map[string]int{token: http.StatusOK, "other": http.StatusUnauthorized} {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, started.URL+"/api/2.1/unity-catalog/catalogs", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+bearer)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != want {
					t.Errorf("status %d, want %d: %s %v", resp.StatusCode, want, body, err)
				}
				if want == http.StatusOK && !strings.Contains(string(body), `"catalogs":[{`) {
					t.Errorf("no catalog in %s", body)
				}
				if err := resp.Body.Close(); err != nil {
					t.Error(err)
				}
			}
			interrupt()
			if err := <-ended; err != nil {
				t.Errorf("after the interrupt: %v", err)
			}
			if strings.Contains(stderr.String(), token) {
				t.Errorf("the token is in the log: %s", stderr.String())
			}
		})
	}
}

func TestReportOfAnInterrupt(t *testing.T) {
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		code int
		want string
	}{
		"interrupted":      {interrupted, withHint(context.Canceled, "x"), exitSignal, "ucwarden: interrupted\n"},
		"ended by another": {t.Context(), context.Canceled, exitFailed, "ucwarden: context canceled\n"},
		"hint":             {t.Context(), withHint(io.ErrUnexpectedEOF, "try %s", "again"), exitFailed, "ucwarden: unexpected EOF\nhint: try again\n"},
		"several lines":    {t.Context(), usageErrorf("a\nb\n\tc"), exitUsage, "ucwarden: a b c\nhint: x --help\n"},
		"silent":           {t.Context(), exitError{exitChanges}, exitChanges, ""},
		"none":             {t.Context(), nil, exitOK, ""},
	} {
		var stderr bytes.Buffer
		a := &app{stderr: &stderr, running: true}
		if code := a.report(test.ctx, &cobra.Command{Use: "x"}, test.err); code != test.code || stderr.String() != test.want {
			t.Errorf("%s: code %d, want %d; %q", name, code, test.code, stderr.String())
		}
	}
}
