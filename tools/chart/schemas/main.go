// Schemas makes the JSON schemas of this folder from those of the Python package kubernetes-validate, unpacked:
//
//	go run ./schemas UNPACKED/kubernetes_validate/kubernetes-json-schema v1.27.0 v1.37.0
//
// Of each kind that the chart renders it writes one file with all definitions that the kind needs, so that nothing is looked
// up elsewhere, and without descriptions.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

var kinds = []string{
	"ingress-networking-v1", "networkpolicy-networking-v1", "poddisruptionbudget-policy-v1", "secret-v1", "service-v1",
	"serviceaccount-v1", "statefulset-apps-v1",
}

const (
	reference = "/api/_definitions.json#/$defs/"
	local     = "#/$defs/"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: schemas FOLDER VERSION...")
		os.Exit(64)
	}
	for _, version := range os.Args[2:] {
		if err := write(filepath.Join(os.Args[1], version+"-local-strict"), filepath.Join("schemas", version)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func write(from, to string) error {
	var all struct {
		Defs map[string]any `json:"$defs"`
	}
	if err := read(filepath.Join(from, "_definitions.json"), &all); err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, kind := range kinds {
		var schema map[string]any
		if err := read(filepath.Join(from, kind+".json"), &schema); err != nil {
			return err
		}
		used := map[string]any{}
		reduce(schema, all.Defs, used)
		delete(schema, "$id")
		schema["$defs"] = used
		data, err := json.MarshalIndent(schema, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, kind+".json"), append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func read(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// reduce takes descriptions out of a schema, makes its references local, and puts what they refer to into used.
func reduce(schema any, defs, used map[string]any) {
	switch s := schema.(type) {
	case []any:
		for _, item := range s {
			reduce(item, defs, used)
		}
	case map[string]any:
		if _, isText := s["description"].(string); isText {
			delete(s, "description")
		}
		if ref, ok := s["$ref"].(string); ok {
			name := strings.TrimPrefix(strings.TrimPrefix(ref, reference), local) // a definition that several kinds need is reduced once
			s["$ref"] = local + name
			if _, done := used[name]; !done {
				used[name] = defs[name]
				reduce(defs[name], defs, used)
			}
		}
		for _, value := range s {
			reduce(value, defs, used)
		}
	}
}
