package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"ucwarden/config"
)

// No way of printing a secret, by itself or inside something else, reveals any of it.
func TestSecretNeverPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.StringMatching(`[a-zA-Z0-9!"%&/=+\\\n-]{12,40}`).Draw(t, "secret")
		s := config.NewSecret(plain)
		type inner struct{ s config.Secret }
		holder := struct {
			Exported config.Secret
			hidden   inner
			List     []config.Secret
			Map      map[string]config.Secret
		}{s, inner{s}, []config.Secret{s}, map[string]config.Secret{"a": s}}
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%T", "%10s", "%-5v", "%c", "%U"} {
			fmt.Fprintf(&out, verb+"\n", s)
			fmt.Fprintf(&out, verb+"\n", &s)
			fmt.Fprintf(&out, verb+"\n", holder)
			fmt.Fprintf(&out, verb+"\n", &holder)
		}
		fmt.Fprintln(&out, s, fmt.Errorf("with %w and %v", errors.New("x"), s))
		for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
			body, err := marshal(map[string]any{"secret": s, "holder": holder})
			if err != nil {
				t.Fatal(err)
			}
			out.Write(body)
		}
		var logged bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
			slog.New(h).Info("x", "secret", s, "holder", holder, "pointer", &s)
		}
		out.Write(logged.Bytes())
		for _, form := range []string{plain, fmt.Sprintf("%x", plain), fmt.Sprintf("%q", plain)} {
			if strings.Contains(out.String(), form) {
				t.Fatalf("%q is in the output:\n%s", form, out.String())
			}
		}
		if s.Reveal() != plain || !s.Equal(config.NewSecret(plain)) {
			t.Fatal("the value is lost")
		}
	})
}

// Wherever a secret is put, and whatever else is wrong with the file, no error, warning or listing shows it.
func TestNoSecretInAnyOutput(t *testing.T) {
	var secrets []config.Key
	for _, k := range config.Keys() {
		if k.Type == config.TypeSecret {
			secrets = append(secrets, k)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		plain := rapid.StringMatching(`[A-Z]{8}[a-z;=:*&!'"{}\[\] ]{0,20}[A-Z]{8}`).Draw(rt, "secret")
		k := rapid.SampledFrom(secrets).Draw(rt, "key")
		name := rapid.SampledFrom(append([]string{k.Name}, k.Properties...)).Draw(rt, "name")
		value := rapid.SampledFrom([]string{plain, "'" + strings.ReplaceAll(plain, "'", "''") + "'", "[" + plain + "]", "{" + plain + ": 1}", "\n  - " + plain, "|\n  " + plain}).Draw(rt, "value")
		if value == plain && strings.ContainsAny(plain, ":{}[]'\"") {
			value = "'" + strings.ReplaceAll(plain, "'", "''") + "'" // YAML of another shape is not a value of the key
		}
		file := name + ": " + value + "\n" + rapid.SampledFrom([]string{
			"", "databricks.host: x.com\n", "sync.mod: x\n", "ondemand.eventhub.enabled: true\n", "apiserver.enabled: true\nondemand.enabled: true\n",
			k.Name + ": other\n",
		}).Draw(rt, "rest")
		var out strings.Builder
		c, err := config.Load(config.Options{File: write(t, file), Environ: []string{k.Env() + "=" + rapid.SampledFrom([]string{"", plain}).Draw(rt, "env")}})
		fmt.Fprintf(&out, "%v %+v\n", err, err)
		if c != nil {
			fmt.Fprintf(&out, "%v %+v %#v\n%v %+v\n", *c, c, c, c.Settings(), c.Warnings())
			body, err := json.Marshal(map[string]any{"config": c, "settings": c.Settings()})
			if err != nil {
				rt.Fatal(err)
			}
			out.Write(body)
			for _, s := range c.Settings() {
				out.WriteString(s.Text())
			}
		}
		for _, part := range []string{plain[:8], plain[len(plain)-8:]} {
			if strings.Contains(out.String(), part) {
				rt.Fatalf("%s is in the output:\n%s\nof the file:\n%s", part, out.String(), file)
			}
		}
	})
}
