package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// platform is an image for one architecture.
type platform struct {
	arch  string
	files []file
}

// The documents of the OCI image specification 1.1, as far as they are used here.
type (
	descriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int               `json:"size"`
		Platform    *ociPlatform      `json:"platform,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	ociPlatform struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
	}
	index struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}
	manifest struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}
	imageConfig struct {
		ociPlatform
		Created time.Time `json:"created"`
		Config  runConfig `json:"config"`
		RootFS  struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	runConfig struct {
		User         string
		ExposedPorts map[string]struct{}
		Env          []string
		Entrypoint   []string
		Cmd          []string
		WorkingDir   string
		Labels       map[string]string
	}
)

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// archive collects the blobs of an image layout by their digests.
type archive struct {
	blobs map[string][]byte
}

func (a *archive) add(mediaType string, data []byte) descriptor {
	digest := fmt.Sprintf("%x", sha256.Sum256(data))
	a.blobs[digest] = data
	return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(data)}
}

func (a *archive) addJSON(mediaType string, document any) (descriptor, error) {
	data, err := json.Marshal(document)
	return a.add(mediaType, data), err
}

// ociArchive returns an OCI image layout as a tar file, with one image of all platforms.
func ociArchive(platforms []platform, version string, created time.Time) ([]byte, error) {
	a := &archive{blobs: map[string][]byte{}}
	all := index{SchemaVersion: 2, MediaType: typeIndex}
	for _, p := range platforms {
		d, err := a.image(p, version, created)
		if err != nil {
			return nil, err
		}
		all.Manifests = append(all.Manifests, d)
	}
	d, err := a.addJSON(typeIndex, all)
	if err != nil {
		return nil, err
	}
	d.Annotations = map[string]string{
		"org.opencontainers.image.ref.name": version,
		"io.containerd.image.name":          "ucwarden:" + version, // what a load calls it
	}
	top, err := json.Marshal(index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{d}})
	if err != nil {
		return nil, err
	}
	files := []file{
		{name: "oci-layout", mode: 0o644, data: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{name: "index.json", mode: 0o644, data: top},
	}
	for _, digest := range slices.Sorted(maps.Keys(a.blobs)) {
		files = append(files, file{name: "blobs/sha256/" + digest, mode: 0o644, data: a.blobs[digest]})
	}
	return tarOf(withFolders(files), created)
}

func (a *archive) image(p platform, version string, created time.Time) (descriptor, error) {
	layer, err := tarOf(p.files, created)
	if err != nil {
		return descriptor{}, err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed) // its header has no name and no time
	if _, err := z.Write(layer); err != nil {
		return descriptor{}, err
	}
	if err := z.Close(); err != nil {
		return descriptor{}, err
	}
	where := ociPlatform{Architecture: p.arch, OS: "linux"}
	config := imageConfig{ociPlatform: where, Created: created, Config: runConfig{
		User:         fmt.Sprintf("%d:%d", user, user),
		ExposedPorts: map[string]struct{}{"8282/tcp": {}},
		Env:          []string{"PATH=/", "UCWARDEN_STORE_PATH=/var/lib/ucwarden/data"},
		Entrypoint:   []string{"/ucwarden"},
		Cmd:          []string{"serve"},
		WorkingDir:   "/var/lib/ucwarden",
		Labels:       map[string]string{"org.opencontainers.image.title": "ucwarden", "org.opencontainers.image.version": version},
	}}
	config.RootFS.Type, config.RootFS.DiffIDs = "layers", []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}
	m := manifest{SchemaVersion: 2, MediaType: typeManifest, Layers: []descriptor{a.add(typeLayer, packed.Bytes())}}
	if m.Config, err = a.addJSON(typeConfig, config); err != nil {
		return descriptor{}, err
	}
	d, err := a.addJSON(typeManifest, m)
	d.Platform = &where
	return d, err
}

// tarOf returns a tar file with nothing of this machine in it.
func tarOf(files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: int64(f.mode), Uid: f.owner, Gid: f.owner, Size: int64(len(f.data)), ModTime: at, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
