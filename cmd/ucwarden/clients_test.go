package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// clientMaker is the one package that makes HTTP clients and opens connections: its clients talk to one server each, follow
// no redirect and send nothing in plain text beyond this machine.
const clientMaker = "endpoint"

// makers are what opens a connection to a server, by import path: functions, and types and variables with which a client
// is made.
var makers = map[string][]string{
	"net/http":                              {"Client", "Transport", "DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm", "ProxyFromEnvironment", "ProxyURL"},
	"net":                                   {"Dial", "DialTimeout", "Dialer", "DialTCP", "DialUDP", "DialUnix", "DialIP"},
	"crypto/tls":                            {"Dial", "DialWithDialer", "Dialer", "Client"},
	"golang.org/x/oauth2":                   {"*"},
	"golang.org/x/oauth2/clientcredentials": {"*"},
	"github.com/databricks/databricks-sdk-go": {"*"}, // its clients make their own transports
	"net/rpc":           {"*"},
	"net/smtp":          {"*"},
	"net/http/httputil": {"ReverseProxy", "NewSingleHostReverseProxy", "NewClientConn"},
}

// clientsMade lists where a file makes a client, or opens a connection, by itself. Types that are only
// named, as a field of type *http.Client is, are left alone.
func clientsMade(name string, source any) ([]string, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var found []string
	bad := func(at token.Pos, what string) {
		found = append(found, fmt.Sprintf("%s: %s: only package %s makes clients", set.Position(at), what, clientMaker))
	}
	local := make(map[string]string) // name in the file → import path
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		as := path[strings.LastIndexByte(path, '/')+1:]
		if path == "github.com/databricks/databricks-sdk-go" {
			as = "databricks"
		}
		if spec.Name != nil {
			as = spec.Name.Name
		}
		if _, listed := makers[path]; listed && as == "." {
			bad(spec.Pos(), "dot import of "+path)
		}
		local[as] = path
	}
	onlyNamed := make(map[ast.Expr]bool) // *http.Client as a type
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.StarExpr:
			if x, ok := n.X.(*ast.SelectorExpr); ok && !strings.HasPrefix(x.Sel.Name, "Default") {
				onlyNamed[n.X] = true
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			words := makers[local[x.Name]]
			if !onlyNamed[n] && (slices.Contains(words, n.Sel.Name) || slices.Contains(words, "*")) {
				bad(n.Pos(), x.Name+"."+n.Sel.Name)
			}
		}
		return true
	})
	return found, nil
}

// generatedClient has a client of its own for who passes none to its NewClient; client.New passes that of endpoint.
const generatedClient = "../../apiserver/client/client.gen.go"

// Every client of this module is made by package endpoint, except in tests.
func TestClientsAreMadeInOnePlace(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "tools" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != "../.."):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == generatedClient:
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../../")))
		if pkg == clientMaker {
			return nil
		}
		files++
		found, err := clientsMade(path, nil)
		for _, f := range found {
			t.Error(f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("only %d files were looked at", files)
	}
}

// The rule finds each way of making a client.
func TestClientsMadeFindsThem(t *testing.T) {
	for body, want := range map[string]int{
		`var c = http.Client{}`:                                    1,
		`var c = &http.Client{}`:                                   1,
		`var c http.Client`:                                        1,
		`var c = new(http.Client)`:                                 1,
		`var c = &http.Transport{}`:                                1,
		`var c = *http.DefaultClient`:                              1,
		`var c = http.DefaultClient`:                               1,
		`var c = http.DefaultTransport.(*http.Transport).Clone()`:  1,
		`func f() { _, _ = http.Get("x") }`:                        1,
		`func f() { _, _ = http.PostForm("x", nil) }`:              1,
		`func f() { _, _ = net.Dial("tcp", "x") }`:                 1,
		`func f() { _ = (&net.Dialer{}).DialContext }`:             1,
		`func f() { _, _ = tls.Dial("tcp", "x", nil) }`:            1,
		`var c = web.Client{}`:                                     1,
		`var c *http.Client`:                                       0,
		`func f(t http.RoundTripper) *http.Client { return nil }`:  0,
		`var s = http.Server{}; var l, e = net.Listen("tcp", "x")`: 0,
		`var r, e = http.NewRequest("GET", "x", nil)`:              0,
	} {
		source := "package p\nimport (\n\"net/http\"\nweb \"net/http\"\n\"net\"\n\"crypto/tls\"\n)\n" + body
		found, err := clientsMade("p.go", source)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != want {
			t.Errorf("%s: found %q, want %d", body, found, want)
		}
	}
}
