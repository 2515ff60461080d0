package main

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"

	"ucwarden/connector/emulator"
)

// demoPolicies are the sample policies. The demo writes them to a folder, where they can be edited.
//
//go:embed demo/policies
var demoPolicies embed.FS

// writeDemoPolicies copies the sample policies into dir.
func writeDemoPolicies(dir string) error {
	const from = "demo/policies"
	entries, err := demoPolicies.ReadDir(from)
	if err != nil {
		return fmt.Errorf("read sample policies: %w", err)
	}
	for _, e := range entries {
		data, err := demoPolicies.ReadFile(from + "/" + e.Name())
		if err != nil {
			return fmt.Errorf("read sample policies: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), data, 0o600); err != nil {
			return fmt.Errorf("write sample policies: %w", err)
		}
	}
	return nil
}

// demoSize is the size of the sample metastore: 3 catalogs, 12 schemas, 216 tables and views.
var demoSize = emulator.Size{Catalogs: 3, Schemas: 4, Tables: 18, Extras: 1}

// demoSeed is the sample metastore, with grants that partly disagree with the sample policies: some are right, some
// are missing, some are too many, and one lies dormant, since nobody who holds it can reach it.
func demoSeed(admin, service string) *emulator.Seed {
	seed := emulator.Generate(demoSize)
	seed.Metastore.Name, seed.Metastore.Owner = "demo", "metastore_admins"
	seed.ServicePrincipals = append(seed.ServicePrincipals, service)
	seed.Pipelines = demoPipelines(service)
	seed.Groups = append(seed.Groups,
		emulator.SeedGroup{Name: "metastore_admins", Members: []string{admin, service}},
		emulator.SeedGroup{Name: "marketers", Members: []string{"dave@example.com"}},
		emulator.SeedGroup{Name: "steward", Members: []string{"stewards"}},
		emulator.SeedGroup{Name: "auditors"},
	)
	type privileges = []string
	for i := range seed.Catalogs {
		catalog := &seed.Catalogs[i]
		switch catalog.Name {
		case "sales":
			catalog.Grants = emulator.SeedGrants{
				"analysts":  privileges{"USE_CATALOG"},
				"engineers": privileges{"USE_CATALOG", "SELECT"}, // too much: raw and staging only
			}
		case "finance":
			catalog.Grants = emulator.SeedGrants{
				"auditors":        privileges{"USE_CATALOG", "USE_SCHEMA", "SELECT"}, // the audit is over
				"bob@example.com": privileges{"USE_CATALOG"},
			}
		}
		for j := range catalog.Schemas {
			schema := &catalog.Schemas[j]
			switch catalog.Name + "." + schema.Name {
			case "sales.curated":
				schema.Grants = emulator.SeedGrants{"analysts": privileges{"USE_SCHEMA"}}
				schema.Tables[0].Grants = emulator.SeedGrants{"analysts": privileges{"SELECT"}, "carol@example.com": privileges{"MODIFY"}}
				for k := range schema.Tables {
					if table := &schema.Tables[k]; table.Name == "employees" {
						table.Rows = [][]any{
							{"1", "EU", "ines@example.com", "5200", "2026-01-31 12:00:00"}, {"2", "US", "john@example.com", "6100", "2026-02-28 12:00:00"},
							{"3", "EU", "karl@example.com", "4900", "2026-03-31 12:00:00"},
						}
					}
				}
			case "finance.curated":
				schema.Grants = emulator.SeedGrants{"bob@example.com": privileges{"USE_SCHEMA", "SELECT"}} // denied to Bob
			case "marketing.raw":
				schema.Tables[1].Grants = emulator.SeedGrants{
					"marketers": privileges{"SELECT"},
					"engineers": privileges{"MODIFY"}, // dormant: engineers lack USE_SCHEMA here
				}
			}
		}
	}
	return seed
}
