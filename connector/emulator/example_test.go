package emulator_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	"ucwarden/connector/emulator"
)

// A metastore from a few lines of YAML, a grant over HTTP, and a look at what the server saw.
func Example() {
	seed, err := emulator.ParseSeed([]byte(`
groups: [{name: analysts, members: [alice@example.com]}]
catalogs:
  - name: sales
    grants: {analysts: [USE_CATALOG]}
    schemas:
      - name: emea
        tables: [orders, {name: orders_v, type: VIEW}]
`))
	if err != nil {
		log.Fatal(err)
	}
	server, err := emulator.New(emulator.Options{Seed: seed, Tokens: map[string]string{"secret": "admin@example.com"}})
	if err != nil {
		log.Fatal(err)
	}
	running, err := server.Start("")
	if err != nil {
		log.Fatal(err)
	}
	defer running.Shutdown(context.Background())

	body := `{"changes": [{"principal": "analysts", "add": ["SELECT"]}]}`
	req, err := http.NewRequest("PATCH", running.URL+"/api/2.1/unity-catalog/permissions/table/sales.emea.orders", strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer secret")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(answer))
	for _, g := range server.Grants() {
		fmt.Println(g.Type+":"+g.Name, g.Principal, g.Privilege)
	}
	fmt.Println(server.Stats().Count("PATCH "), "PATCH by", server.Trace()[0].Caller)
	// Output:
	// {"privilege_assignments":[{"principal":"analysts","privileges":["SELECT"]}]}
	// CATALOG:sales analysts USE_CATALOG
	// TABLE:sales.emea.orders analysts SELECT
	// 1 PATCH by admin@example.com
}
