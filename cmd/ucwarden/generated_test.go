package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"ucwarden/config"
)

// generated compares a file with what the code says, or writes it where UPDATE_GENERATED is set.
func generated(t *testing.T, path string, want []byte) {
	t.Helper()
	if os.Getenv("UPDATE_GENERATED") != "" {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code says; write it with: UPDATE_GENERATED=1 go test ./cmd/ucwarden -run %s", path, t.Name())
	}
}

func TestConfigurationReference(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Configuration reference\n\nGenerated from the code (`ucwarden config keys --markdown`); the README says where values come from.\n\n")
	if code := run([]string{"config", "keys", "--markdown"}, nil, nil, &b, &b); code != 0 {
		t.Fatalf("exit code %d: %s", code, &b)
	}
	generated(t, "../../docs/configuration.md", b.Bytes())
}

// The chart's schema knows every key of the configuration, its type, and which ones are secrets.
func TestChartSchema(t *testing.T) {
	const path = "../../deploy/helm/ucwarden/values.schema.json"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Schema      string         `json:"$schema"`
		Title       string         `json:"title"`
		Type        string         `json:"type"`
		Closed      bool           `json:"additionalProperties"`
		Properties  map[string]any `json:"properties"`
		Definitions map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	secrets := section{}
	root := section{}
	for _, k := range config.Keys() {
		root.add(k, strings.Split(k.Name, "."))
		if k.Type == config.TypeSecret {
			secrets[k.Name] = map[string]any{"type": "object", "additionalProperties": false, "required": []string{"name", "key"}, "properties": map[string]any{
				"name": map[string]any{"type": "string", "minLength": 1}, "key": map[string]any{"type": "string", "minLength": 1},
			}}
		}
	}
	schema.Definitions = map[string]any{"config": root.object(), "secrets": secrets.object()}
	want, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	generated(t, path, append(want, '\n'))
}

// What is made from the API's document was made from the document that is there, by the generator that is pinned, and was not
// changed by hand. That it is what the generator makes is checked by make lint, which has the generator.
func TestGeneratedFromTheDocument(t *testing.T) {
	const root, sums = "../../", "../../tools/openapi/generated.sum"
	data, err := os.ReadFile(sums)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(data)) {
		sum, name, found := strings.Cut(strings.TrimSpace(line), "  ")
		if !found {
			t.Fatalf("%s: %q is not a sum and a name", sums, line)
		}
		seen[name] = true
		file, err := os.ReadFile(root + name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := sha256.Sum256(file); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s has changed since the files were generated; run: make generate", name)
		}
	}
	var files []string
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".gen.go") {
			files = append(files, filepath.ToSlash(path[len(root):]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, "apiserver/openapi.yaml", "tools/openapi/go.mod", "tools/openapi/overlay.yaml") {
		if !seen[name] {
			t.Errorf("%s is not in %s; run: make generate", name, sums)
		}
	}
	if len(files) == 0 {
		t.Error("no generated files")
	}
}

// section holds the schemas of the keys of one section of the configuration.
type section map[string]any

func (s section) object() map[string]any {
	properties := map[string]any{}
	for name, value := range s {
		if below, ok := value.(section); ok {
			value = below.object()
		}
		properties[name] = value
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

// add puts the key where a file has it: what lies below another key's value is written with a dot.
func (s section) add(k config.Key, path []string) {
	if len(path) == 1 {
		s[path[0]] = typeOf(k)
		return
	}
	below, there := s[path[0]]
	if !there {
		below = section{}
		s[path[0]] = below
	}
	if below, ok := below.(section); ok {
		below.add(k, path[1:])
		return
	}
	s[strings.Join(path, ".")] = typeOf(k)
}

func typeOf(k config.Key) map[string]any {
	schema := map[string]any{"description": k.Help}
	switch k.Type {
	case config.TypeBool:
		schema["type"] = "boolean"
	case config.TypeInt:
		schema["type"] = "integer"
	case config.TypeFloat:
		schema["type"] = "number"
	case config.TypeList:
		schema["type"], schema["items"] = []string{"array", "string"}, map[string]any{"type": "string"}
	case config.TypeBytes:
		schema["type"] = []string{"string", "integer"}
	case config.TypeEnum:
		schema["enum"] = k.Enum
	default:
		schema["type"] = "string"
	}
	return schema
}

// The chart's templates look for secrets, and for who exposes the API, by the names that the configuration has.
func TestChartNames(t *testing.T) {
	data, err := os.ReadFile("../../deploy/helm/ucwarden/templates/_helpers.tpl")
	if err != nil {
		t.Fatal(err)
	}
	helpers := string(data)
	m := regexp.MustCompile(`(?s)define "ucwarden.secretProperties" -}}\n(.*?)\n{{- end`).FindStringSubmatch(helpers)
	if m == nil {
		t.Fatal("no list of secrets")
	}
	var listed map[string]string
	if err := yaml.Unmarshal([]byte(m[1]), &listed); err != nil {
		t.Fatal(err)
	}
	for _, k := range config.Keys() {
		property, ok := listed[k.Name]
		delete(listed, k.Name)
		if secret := k.Type == config.TypeSecret; ok != secret {
			t.Errorf("%s: secret %v, listed by the chart %v", k.Name, secret, ok)
		}
		if ok && property != strings.Join(k.Properties, ",") {
			t.Errorf("%s: the chart has the property %q, the configuration %q", k.Name, property, k.Properties)
		}
		switch k.Name {
		case "apiserver.enabled", "ondemand.enabled", "apiserver.external_access", "apiserver.nginx_ingress":
			for _, p := range k.Properties {
				short := strings.TrimPrefix(p, "CONNECTOR_DATABRICKS_UNITY_CATALOG_")
				if !strings.Contains(helpers, short) {
					t.Errorf("%s: the chart does not look for %s", k.Name, p)
				}
			}
		}
	}
	for name := range listed {
		t.Errorf("the chart lists a secret that is no key: %s", name)
	}
}
