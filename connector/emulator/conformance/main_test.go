package conformance_test

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
)

// TestMain runs the tests, and fails if a call of the table in API.md was made by none of them with success.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && another() == nil && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" &&
		flag.Lookup("test.list").Value.String() == "" {
		code = checkReached()
	}
	os.Exit(code)
}

func checkReached() int {
	page, err := os.ReadFile("../API.md")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	code, calls := 0, 0
	for line := range strings.Lines(string(page)) {
		call, _, _ := strings.Cut(strings.TrimPrefix(line, "| `"), "`")
		if !strings.HasPrefix(line, "| `") || strings.Contains(call, ".well-known") || strings.Contains(call, "/oidc/") {
			continue
		}
		calls++
		if !reached.routes[strings.Replace(call, " P/", " "+api+"/", 1)] {
			fmt.Printf("no test makes the call %s of API.md with success\n", call)
			code = 1
		}
	}
	if calls == 0 {
		fmt.Println("API.md has no table of calls")
		code = 1
	}
	return code
}

func escape(name string) string { return url.PathEscape(name) }
