// Command rangerdiff compares ucwarden's decisions with those of Apache Ranger's own policy engine, on random policies and
// requests. See README.md for how; run.sh does all of it.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const usage = `usage:
  rangerdiff defs -def FILE DIR                            write the service definitions of both engines
  rangerdiff generate -seed N -documents N -requests N     write random documents, one a line
  rangerdiff compare -defs DIR DOCUMENTS ANSWERS OUT AGAIN compare Ranger's answers with ours
  rangerdiff explain -defs DIR AGAIN ANSWERS               say why they differ; exit 1 where there is no known reason`

// errDiffer says that the engines disagree.
var errDiffer = errors.New("the engines disagree")

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rangerdiff:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	def := flags.String("def", "", "the service definition of Unity Catalog")
	defs := flags.String("defs", "", "the folder of service definitions")
	seed := flags.Uint64("seed", 1, "what the documents are drawn by")
	documents := flags.Int("documents", 1000, "how many")
	requests := flags.Int("requests", 30, "how many for each document")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch rest := flags.Args(); {
	case args[0] == "defs" && len(rest) == 1:
		return writeDefs(*def, rest[0])
	case args[0] == "generate" && len(rest) == 0:
		w := bufio.NewWriter(out)
		if err := generate(w, *seed, *documents, *requests); err != nil {
			return err
		}
		return w.Flush()
	case args[0] == "compare" && len(rest) == 4:
		return compareFiles(*defs, rest, out)
	case args[0] == "explain" && len(rest) == 2:
		return explainFiles(*defs, rest, out)
	}
	return errors.New(usage)
}

func compareFiles(defs string, files []string, out io.Writer) (err error) {
	in, err := openAll(files[:2])
	if err != nil {
		return err
	}
	defer closeAll(in)
	var made []*os.File
	var writers []*bufio.Writer
	for _, name := range files[2:] {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		made, writers = append(made, f), append(writers, bufio.NewWriter(f))
	}
	c, err := (&engine{defs: defs}).compare(in[0], in[1], writers[0], writers[1])
	for i, w := range writers {
		err = errors.Join(err, w.Flush(), made[i].Close())
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(out, c)
	return nil
}

func explainFiles(defs string, files []string, out io.Writer) error {
	in, err := openAll(files)
	if err != nil {
		return err
	}
	defer closeAll(in)
	byReason, unexplained, err := (&engine{defs: defs}).explain(in[0], in[1])
	if err != nil {
		return err
	}
	for _, reason := range slices.Compact(slices.Clone(reasons)) {
		if n := byReason[reason]; n > 0 {
			fmt.Fprintf(out, "  %d differ on purpose: %s\n", n, reason)
		}
	}
	if len(unexplained) > 0 {
		return fmt.Errorf("%w without a known reason, %d times: documents %s of %s", errDiffer, len(unexplained), strings.Join(unexplained, ", "), files[0])
	}
	return nil
}

func openAll(files []string) (list []*os.File, err error) {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			closeAll(list)
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() // was read only
	}
}

// writeDefs writes uc.json, a copy of Unity Catalog's service definition, and tag-uc.json, that of a tag service which
// Ranger Admin would have for it.
func writeDefs(file, dir string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var def struct {
		Name        string                               `json:"name"`
		AccessTypes []map[string]any                     `json:"accessTypes"`
		DataMaskDef struct{ MaskTypes []map[string]any } `json:"dataMaskDef"`
	}
	if err := json.Unmarshal(data, &def); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	scoped := func(list []map[string]any, first int) []map[string]any {
		for i, entry := range list {
			entry["itemId"], entry["name"] = first+i, def.Name+":"+entry["name"].(string)
			if implied, ok := entry["impliedGrants"].([]any); ok {
				for i, name := range implied {
					implied[i] = def.Name + ":" + name.(string)
				}
			}
		}
		return list
	}
	types := append(scoped(def.AccessTypes, 1000), map[string]any{"itemId": 2, "name": "other:select"})
	protected := object{"accessTypes": []object{{"itemId": 1, "name": def.Name + ":select"}}, "resources": []object{{"name": "tag"}}}
	mask := object{"maskTypes": scoped(def.DataMaskDef.MaskTypes, 2000)}
	for k, v := range protected {
		mask[k] = v
	}
	tag := object{"id": 100, "name": "tag", "displayName": "tag", "options": object{},
		"resources": []object{{"itemId": 1, "name": "tag", "type": "string", "level": 1, "parent": "", "mandatory": true,
			"matcher": "org.apache.ranger.plugin.resourcematcher.RangerDefaultResourceMatcher", "matcherOptions": object{"wildCard": "false", "ignoreCase": "false"}}},
		"accessTypes": types, "dataMaskDef": mask, "rowFilterDef": protected}
	text, err := json.MarshalIndent(tag, "", "  ")
	if err != nil {
		return err
	}
	// Ranger knows no inheritance from containers; ucwarden does as Ranger where the option is not set.
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	whole["options"] = json.RawMessage(`{"enableDenyAndExceptionsInPolicies": "true"}`)
	if data, err = json.MarshalIndent(whole, "", "  "); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "uc.json"), data, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "tag-uc.json"), text, 0o644)
}
