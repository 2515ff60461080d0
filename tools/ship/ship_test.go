package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// release makes a release of the program for two architectures, with its files touched at another time each, and returns its folder.
func release(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i, arch := range []string{"amd64", "arm64"} {
		path := filepath.Join(dir, prefix+arch)
		data, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o755); err != nil {
			t.Fatal(err)
		}
		touched := time.Now().Add(time.Duration(i+os.Getpid()%7) * time.Hour)
		if err := os.Chtimes(path, touched, touched); err != nil {
			t.Fatal(err)
		}
	}
	if err := run([]string{"-dir", dir, "-version", "v1", "-created", "1700000000", "-zoneinfo", zoneinfo(t)}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// program is the product, built once for this machine.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ship")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "ucwarden")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./cmd/ucwarden")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func zoneinfo(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "lib", "time", "zoneinfo.zip")
}

func readTar(t *testing.T, r io.Reader) map[string]file {
	t.Helper()
	files := map[string]file{}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = file{name: h.Name, mode: fs.FileMode(h.Mode), owner: h.Uid, data: data}
	}
}

// Two releases of the same programs are the same bytes, and the sums are those of the files.
func TestSameBytes(t *testing.T) {
	one, two := release(t), release(t)
	entries, err := os.ReadDir(one)
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(one, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 6 {
		t.Errorf("%d files", len(entries))
	}
	for _, e := range entries {
		a, err := os.ReadFile(filepath.Join(one, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(two, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", e.Name())
		}
		if line := fmt.Sprintf("%x  %s\n", sha256.Sum256(a), e.Name()); e.Name() != "SHA256SUMS" && !strings.Contains(string(sums), line) {
			t.Errorf("SHA256SUMS lacks %q", line)
		}
	}
}

// blob returns what a descriptor names, after checking its digest and size.
func blob(t *testing.T, layout map[string]file, d descriptor) []byte {
	t.Helper()
	data := layout["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")].data
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); got != d.Digest || len(data) != d.Size {
		t.Fatalf("%s: digest %s, size %d of %d", d.MediaType, got, len(data), d.Size)
	}
	return data
}

func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The image is for both architectures, runs as nobody in particular, and has what a static program needs.
func TestImage(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(release(t), "ucwarden-image.tar"))
	if err != nil {
		t.Fatal(err)
	}
	layout := readTar(t, bytes.NewReader(data))
	top := decode[index](t, layout["index.json"].data)
	var archs []string
	for _, d := range decode[index](t, blob(t, layout, top.Manifests[0])).Manifests {
		archs = append(archs, d.Platform.Architecture)
		m := decode[manifest](t, blob(t, layout, d))
		config := decode[imageConfig](t, blob(t, layout, m.Config))
		if config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/ucwarden"}) || config.Architecture != d.Platform.Architecture {
			t.Errorf("config %+v", config)
		}
		files, diff := layerOf(t, blob(t, layout, m.Layers[0]))
		if config.RootFS.DiffIDs[0] != diff {
			t.Errorf("diff id %s, layer %s", config.RootFS.DiffIDs[0], diff)
		}
		checkFiles(t, files)
	}
	if !slices.Equal(archs, []string{"amd64", "arm64"}) {
		t.Errorf("architectures %v", archs)
	}
}

func layerOf(t *testing.T, packed []byte) (map[string]file, string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return readTar(t, bytes.NewReader(layer)), fmt.Sprintf("sha256:%x", sha256.Sum256(layer))
}

func checkFiles(t *testing.T, files map[string]file) {
	t.Helper()
	if f := files["ucwarden"]; f.mode != 0o755 || f.owner != 0 {
		t.Errorf("the program: %v of %d", f.mode, f.owner)
	}
	if f := files["var/lib/ucwarden/"]; f.mode != 0o750 || f.owner != user {
		t.Errorf("the volume: %v of %d", f.mode, f.owner)
	}
	if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(files["etc/ssl/certs/ca-certificates.crt"].data) {
		t.Error("no authorities")
	}
	zone := files["usr/share/zoneinfo/Europe/Paris"].data
	if _, err := time.LoadLocationFromTZData("Europe/Paris", zone); err != nil {
		t.Error(err)
	}
	for name, f := range files {
		if f.mode&0o6000 != 0 {
			t.Errorf("%s is set-uid", name)
		}
		if f.mode&0o002 != 0 && name != "tmp/" {
			t.Errorf("everybody may write %s", name)
		}
	}
}

func TestBillOfMaterials(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(release(t), prefix+"arm64.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc := decode[bom](t, data)
	seen := map[string]bool{}
	for _, c := range doc.Components {
		if seen[c.Ref] {
			t.Errorf("%s twice", c.Ref)
		}
		seen[c.Ref] = true
	}
	for _, name := range []string{"pkg:golang/std@", "pkg:golang/go.etcd.io/bbolt@", "pkg:golang/github.com/databricks/databricks-sdk-go@"} {
		if !slices.ContainsFunc(doc.Components, func(c component) bool { return strings.HasPrefix(c.PURL, name) }) {
			t.Errorf("no %s", name)
		}
	}
	if doc.Format != "CycloneDX" || len(doc.Metadata.Component.Hashes) != 1 {
		t.Errorf("%+v", doc.Metadata)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
