// Command vuln looks for known vulnerabilities that the product's code reaches, without asking anybody: the database
// is a module of go.mod here, indexed once for each of its versions. It fails on what accepted.json does not list, and
// on what that list accepts but is no longer reached.
//
// A newer database: go get golang.org/x/vulndb@VERSION in this folder, where VERSION is a commit of that module.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/vuln/scan"
)

const (
	product  = "ucwarden"
	database = "golang.org/x/vulndb"
)

func main() {
	root := flag.String("root", "../..", "folder of the module to look at")
	cache := flag.String("cache", "../../.cache/vuln", "folder for the indexed database")
	list := flag.String("accepted", "accepted.json", "the accepted advisories")
	flag.Parse()
	if err := run(context.Background(), *root, *cache, *list); err != nil {
		fmt.Fprintln(os.Stderr, "vuln:", err)
		os.Exit(1)
	}
}

// run scans the module in root and prints what it found. The working directory is this module's.
func run(ctx context.Context, root, cache, listPath string) error {
	data, err := os.ReadFile(listPath)
	if err != nil {
		return fmt.Errorf("read the accepted advisories: %w", err)
	}
	list, err := readAccepted(data)
	if err != nil {
		return fmt.Errorf("%s: %w", listPath, err)
	}
	db, version, err := indexed(ctx, cache)
	if err != nil {
		return err
	}
	output := &bytes.Buffer{}
	cmd := scan.Command(ctx, "-format", "json", "-db", "file://"+filepath.ToSlash(db), "-C", root, "./...")
	cmd.Stdout = output
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the scan: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("scan %s: %w", root, err)
	}
	result, err := readScan(output, product)
	if err != nil {
		return err
	}
	fmt.Printf("scanned with Go %s and the database %s\n", strings.TrimPrefix(result.GoVersion, "go"), version)
	for _, a := range list {
		fmt.Printf("accepted %s in %s: %s\n", a.ID, a.Module, a.Reason)
	}
	if problems := compare(result.Reached, list); len(problems) > 0 {
		fmt.Println(strings.Join(problems, "\n"))
		return fmt.Errorf("%d not in order with %s", len(problems), filepath.Base(listPath))
	}
	fmt.Printf("no other known vulnerability is reached\n")
	return nil
}

// indexed returns the folder of the database as govulncheck reads it, and the database's version. It makes the folder
// once for each version, under cache.
func indexed(ctx context.Context, cache string) (dir, version string, err error) {
	// The download does nothing when the module is there already.
	if _, err := goCommand(ctx, "mod", "download", database); err != nil {
		return "", "", fmt.Errorf("fetch the database: %w", err)
	}
	out, err := goCommand(ctx, "list", "-m", "-f", "{{.Version}}\n{{.Dir}}", database)
	if err != nil {
		return "", "", fmt.Errorf("find the database: %w", err)
	}
	version, source, _ := strings.Cut(strings.TrimSpace(out), "\n")
	cache, err = filepath.Abs(cache)
	if err != nil {
		return "", "", fmt.Errorf("find the cache: %w", err)
	}
	dir = filepath.Join(cache, version)
	if _, err := os.Stat(dir); err == nil {
		return dir, version, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", "", fmt.Errorf("make the cache: %w", err)
	}
	// Made beside and renamed, so that an interrupted run leaves no half database to be taken for a whole one.
	half, err := os.MkdirTemp(cache, "half-")
	if err != nil {
		return "", "", fmt.Errorf("make the cache: %w", err)
	}
	defer os.RemoveAll(half)
	fmt.Printf("indexing the database %s, once\n", version)
	made := filepath.Join(half, "db")
	if _, err := goCommand(ctx, "tool", "indexdb", "-vulns", filepath.Join(source, "data", "osv"), "-out", made); err != nil {
		return "", "", fmt.Errorf("index the database: %w", err)
	}
	if err := os.Rename(made, dir); err != nil {
		return "", "", fmt.Errorf("keep the indexed database: %w", err)
	}
	return dir, version, nil
}

// goCommand runs the go command and returns what it wrote to standard output.
func goCommand(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}
