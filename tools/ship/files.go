package main

import (
	"archive/zip"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user owns what the daemon writes: no user of the host, and not root.
const user = 65532

// file is a file or, with a name that ends in a slash, a folder of the image.
type file struct {
	name  string // without a leading slash
	mode  fs.FileMode
	owner int // user and group
	data  []byte
}

// imageFiles returns the files of an image in the order of their names: the program, authorities to trust, time zones,
// the user's name, and the folders that are mounted over.
func imageFiles(program []byte, zoneinfo string) ([]file, error) {
	roots, err := authorities()
	if err != nil {
		return nil, err
	}
	files := []file{
		{name: "ucwarden", mode: 0o755, data: program},
		{name: "etc/passwd", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:0:root:/:/none\nucwarden:x:%d:%d:ucwarden:/var/lib/ucwarden:/none\n", user, user)},
		{name: "etc/group", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:\nucwarden:x:%d:\n", user)},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: roots},
		{name: "etc/ucwarden/", mode: 0o755},
		{name: "tmp/", mode: 0o1777},
		{name: "var/lib/ucwarden/", mode: 0o750, owner: user},
	}
	zones, err := timeZones(zoneinfo)
	if err != nil {
		return nil, err
	}
	files = append(files, zones...)
	return withFolders(files), nil
}

// authorities returns the certificates of the authorities that Mozilla trusts, in PEM. Those that it trusts under a
// condition are left out, since a file cannot say so.
func authorities() ([]byte, error) {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, fmt.Errorf("encode authorities: %w", err)
		}
	}
	return b.Bytes(), nil
}

func timeZones(path string) ([]file, error) {
	r, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("time zones: %w", err)
	}
	defer func() { _ = r.Close() }() // only read
	var files []file
	for _, entry := range r.File {
		if strings.HasSuffix(entry.Name, "/") {
			continue
		}
		f, err := entry.Open()
		if err != nil {
			return nil, fmt.Errorf("time zones: %w", err)
		}
		data, err := io.ReadAll(f)
		if err != nil {
			return nil, fmt.Errorf("time zones: %s: %w", entry.Name, err)
		}
		files = append(files, file{name: "usr/share/zoneinfo/" + entry.Name, mode: 0o644, data: data})
	}
	return files, nil
}

// withFolders adds the folders that files are in, and sorts all by name, so that a folder comes before what is in it.
func withFolders(files []file) []file {
	known := map[string]bool{}
	for _, f := range files {
		known[f.name] = true
	}
	for _, f := range slices.Clone(files) {
		for dir := path.Dir(strings.TrimSuffix(f.name, "/")); dir != "."; dir = path.Dir(dir) {
			if !known[dir+"/"] {
				known[dir+"/"] = true
				files = append(files, file{name: dir + "/", mode: 0o755})
			}
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files
}

// writeFiles writes the files to a folder; who owns them is left to whoever copies them.
func writeFiles(dir string, files []file) error {
	for _, f := range files {
		target := filepath.Join(dir, filepath.FromSlash(f.name))
		if strings.HasSuffix(f.name, "/") {
			if err := os.MkdirAll(target, 0o755); err != nil {
				return err
			}
			if err := os.Chmod(target, f.mode&fs.ModePerm|f.mode>>9&1*fs.ModeSticky); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(target, f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
}
