// Ship makes what is released from programs that are already built: an OCI image as a tar file, without a container engine,
// and for each program a bill of materials. The same programs make the same bytes.
//
//	ship -version V -created SECONDS -zoneinfo ZIP -dir bin/release [-rootfs DIR]
//
// The folder holds ucwarden-linux-ARCH of each architecture; ucwarden-image.tar, *.cdx.json and SHA256SUMS are written beside
// them. With -rootfs the files of the image are written to that folder instead, for a Dockerfile.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const prefix = "ucwarden-linux-"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ship:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("ship", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder of the programs")
	version := flags.String("version", "devel", "version of the release")
	created := flags.Int64("created", 0, "time of the release, in seconds since 1970: that of its commit")
	zones := flags.String("zoneinfo", "", "Go's zoneinfo.zip")
	rootfs := flags.String("rootfs", "", "write the files of the one program's image to this folder, and nothing else")
	if err := flags.Parse(args); err != nil {
		return err
	}
	programs, err := filepath.Glob(filepath.Join(*dir, prefix+"*"))
	if err != nil {
		return err
	}
	programs = slices.DeleteFunc(programs, func(p string) bool { return filepath.Ext(p) == ".json" })
	if len(programs) == 0 {
		return fmt.Errorf("no %s* in %q: build the programs first (make release)", prefix, *dir)
	}
	slices.Sort(programs)

	var platforms []platform
	for _, path := range programs {
		program, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files, err := imageFiles(program, *zones)
		if err != nil {
			return err
		}
		platforms = append(platforms, platform{arch: strings.TrimPrefix(filepath.Base(path), prefix), files: files})
	}
	if *rootfs != "" {
		if len(platforms) != 1 {
			return errors.New("-rootfs wants a folder with one program")
		}
		return writeFiles(*rootfs, platforms[0].files)
	}
	image, err := ociArchive(platforms, *version, time.Unix(*created, 0).UTC())
	if err != nil {
		return err
	}
	written := map[string][]byte{"ucwarden-image.tar": image}
	for _, path := range programs {
		sbom, err := billOfMaterials(path, *version)
		if err != nil {
			return err
		}
		written[filepath.Base(path)+".cdx.json"] = sbom
	}
	for name, data := range written {
		if err := os.WriteFile(filepath.Join(*dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return writeSums(*dir)
}

// writeSums writes SHA256SUMS, in the format of sha256sum, for every other file of the folder.
func writeSums(dir string) error {
	const name = "SHA256SUMS"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, e := range entries {
		if e.Name() == name {
			continue
		}
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		hash := sha256.New()
		_, err = io.Copy(hash, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", hash.Sum(nil), e.Name())
	}
	return os.WriteFile(filepath.Join(dir, name), sums.Bytes(), 0o644)
}
