package config

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// fileSuffix, behind the name of a secret's variable or property, makes the name of a variable that holds the path of a
// file with the secret, as Kubernetes and Docker mount them.
const fileSuffix = "_FILE"

// maxSecretFile bounds the size of such a file.
const maxSecretFile = 64 << 10

// SecretFile is a file that a secret was read from.
type SecretFile struct {
	Variable string // UCWARDEN_DATABRICKS_TOKEN_FILE
	Path     string
}

// isFileVariable reports whether a variable is one of ours with [fileSuffix] behind it.
func (l *loader) isFileVariable(name string) bool {
	base, ok := strings.CutSuffix(name, fileSuffix)
	return ok && (l.byEnv[base] != nil || l.byProperty[base] != nil)
}

// secretFromFile returns the value of a secret whose variable, with [fileSuffix], holds the path. Other values than secrets
// are not read from files: that is a problem, because the value would be missed.
func (l *loader) secretFromFile(name, path string) []resolvedValue {
	from := Source{Kind: FromEnv, Name: name}
	base := strings.TrimSuffix(name, fileSuffix)
	k := l.byEnv[base]
	if k == nil {
		k = l.byProperty[base]
	}
	if k.Type != TypeSecret {
		l.problems.add(k.Name, from, "only secrets are read from files: set %s", base)
		return nil
	}
	path = strings.TrimSpace(path)
	text, problem := readSecretFile(path)
	if problem != "" {
		l.problems.add(k.Name, from, "read the secret: %s", problem)
		l.unread = append(l.unread, resolvedValue{key: k, from: from})
		return nil
	}
	l.secretFiles = append(l.secretFiles, SecretFile{name, path})
	return []resolvedValue{{k, rawValue{text: text}, from}}
}

// readSecretFile returns the one line of a file, or what is wrong with it, which repeats nothing of its content.
func readSecretFile(path string) (text, problem string) {
	f, err := os.Open(path)
	if err != nil {
		return "", err.Error()
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", err.Error()
	}
	text = strings.TrimRight(strings.TrimPrefix(string(data), "\ufeff"), "\r\n") // some editors begin a file with a mark
	switch {
	case len(data) > maxSecretFile:
		return "", fmt.Sprintf("%s is larger than 64 KiB: is this a secret?", path)
	case strings.TrimSpace(text) == "":
		return "", fmt.Sprintf("%s is empty", path)
	case strings.ContainsAny(text, "\r\n\x00"):
		return "", fmt.Sprintf("%s holds several lines: want the secret alone", path)
	}
	return text, ""
}
