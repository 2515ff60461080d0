package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// FileProblem is a file that more people may read or write than should.
type FileProblem struct {
	Path    string `json:"path"`
	Setting string `json:"setting"` // that names the file
	Message string `json:"message"` // what is wrong
	Do      string `json:"do"`      // a command that corrects it
}

func (p FileProblem) String() string {
	return fmt.Sprintf("%s (%s): %s; run: %s", p.Path, p.Setting, p.Message, p.Do)
}

// The files that keys generate writes beside a key set; see package apiserver/keys.
var besideJWKS = []string{"private-key.pem", "token"}

// FileProblems returns the files of the configuration that every user of the machine may write, or, of those that hold a
// secret, read. Who may write a key file makes tokens; who may read a token uses it. Files that are not there are left
// out: whoever needs them says so.
func (c *Config) FileProblems() []FileProblem {
	var found []FileProblem
	check := func(path, setting string, secret bool) {
		if path != "" && !strings.Contains(path, "://") {
			found = append(found, fileProblems(path, setting, secret)...)
		}
	}
	secretInFile := slices.ContainsFunc(c.settings, func(s Setting) bool { return s.Type == TypeSecret && s.Source.Kind == FromFile })
	check(c.file, "--config", secretInFile)
	for _, f := range c.secretFiles {
		check(f.Path, f.Variable, true)
	}
	jwt, tls, ranger := c.APIServer.JWT, c.APIServer.TLS, c.Policies.Ranger
	check(jwt.JWKS, "apiserver.jwt.jwks", false)
	if jwt.JWKS != "" && !strings.Contains(jwt.JWKS, "://") {
		for _, name := range besideJWKS {
			check(filepath.Join(filepath.Dir(jwt.JWKS), name), "beside apiserver.jwt.jwks", true)
		}
	}
	for _, path := range jwt.PEMKeys {
		check(path, "apiserver.jwt.pem_keys", false)
	}
	check(tls.Cert, "apiserver.tls.cert", false)
	check(tls.Key, "apiserver.tls.key", true)
	check(tls.ClientCA, "apiserver.tls.client_ca", false)
	check(c.Databricks.CAFile, "databricks.ca_file", false)
	check(ranger.CAFile, "policies.ranger.ca_file", false)
	check(ranger.CertFile, "policies.ranger.cert_file", false)
	check(ranger.KeyFile, "policies.ranger.key_file", true)
	slices.SortStableFunc(found, func(a, b FileProblem) int { return cmp.Compare(a.Path, b.Path) })
	return slices.Compact(found)
}

// The permissions of users who are neither the owner nor in the group.
const (
	othersRead  fs.FileMode = 0o004
	othersWrite fs.FileMode = 0o002
)

func fileProblems(path, setting string, secret bool) []FileProblem {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	var found []FileProblem
	mode := info.Mode().Perm()
	if mode&othersWrite != 0 {
		found = append(found, FileProblem{path, setting, fmt.Sprintf("every user may write it (mode %04o)", mode), "chmod o-w " + path})
	}
	if secret && mode&othersRead != 0 {
		found = append(found, FileProblem{path, setting, fmt.Sprintf("it holds a secret that every user may read (mode %04o)", mode), "chmod o-r " + path})
	}
	// In a folder that everybody may write, without the sticky bit, the file can be replaced.
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&othersWrite != 0 && info.Mode()&fs.ModeSticky == 0 {
		found = append(found, FileProblem{path, setting, fmt.Sprintf("every user may replace it, because its folder %s is writable by everybody (mode %04o)", dir, info.Mode().Perm()), "chmod o-w " + dir})
	}
	return found
}
