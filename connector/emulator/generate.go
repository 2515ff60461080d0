package emulator

import (
	"fmt"
	"strconv"
	"strings"
)

// Size says how many objects [Generate] creates.
type Size struct {
	Catalogs int
	Schemas  int // in each catalog
	Tables   int // in each schema; one in ten is a view
	Extras   int // functions, volumes and registered models in each schema, this many of each
}

// ParseSize parses "catalogs=3,schemas=4,tables=20": schemas per catalog, tables per schema. "extras=N" means N
// functions, N volumes and N registered models in each schema, 1 by default. Numbers may contain '_'.
func ParseSize(text string) (Size, error) {
	size := Size{Catalogs: 1, Schemas: 1, Tables: 10, Extras: 1}
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(strings.ReplaceAll(value, "_", ""))
		if !ok || err != nil || n < 0 {
			return Size{}, fmt.Errorf("size %q: want name=number parts like catalogs=3,schemas=4,tables=20", text)
		}
		switch key {
		case "catalogs":
			size.Catalogs = n
		case "schemas":
			size.Schemas = n
		case "tables":
			size.Tables = n
		case "extras":
			size.Extras = n
		default:
			return Size{}, fmt.Errorf("size %q: unknown part %q: want catalogs, schemas, tables or extras", text, key)
		}
	}
	return size, nil
}

var (
	catalogWords = []string{"sales", "finance", "marketing", "hr", "logistics", "risk", "product", "support", "web", "research"}
	schemaWords  = []string{"raw", "staging", "curated", "reporting", "reference", "sandbox", "audit", "features", "exports", "history"}
	tableWords   = []string{"orders", "customers", "invoices", "payments", "shipments", "products", "employees", "accounts",
		"sessions", "events", "contracts", "campaigns", "tickets", "inventory", "suppliers", "returns", "ledger", "budgets", "leads", "visits"}
	functionWords = []string{"mask_email", "net_amount", "is_business_day", "region_of", "age_band"}
	volumeWords   = []string{"landing", "documents", "images", "archive", "models_cache"}
	modelWords    = []string{"churn", "demand_forecast", "fraud_score", "price_elasticity", "lead_ranking"}
)

// generatedName returns the i-th name made from words: the words themselves, then numbered ones.
func generatedName(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return fmt.Sprintf("%s_%04d", words[i%len(words)], i/len(words))
}

// Generate returns a seed of that size, the same every time: with five users, three groups (analysts, engineers,
// stewards) and no grants.
func Generate(size Size) *Seed {
	columns := []SeedColumn{{Name: "id", Type: "LONG"}, {Name: "region", Type: "STRING"}, {Name: "email", Type: "STRING"}, {Name: "amount", Type: "DECIMAL"}, {Name: "updated_at", Type: "TIMESTAMP"}}
	seed := &Seed{
		Metastore: SeedMetastore{SeedObject: SeedObject{Name: "generated"}},
		Users:     []string{"alice@example.com", "bob@example.com", "carol@example.com", "dave@example.com", "erin@example.com"},
		Groups: []SeedGroup{
			{"analysts", []string{"alice@example.com", "bob@example.com"}},
			{"engineers", []string{"carol@example.com", "dave@example.com"}},
			{"stewards", []string{"erin@example.com"}},
		},
	}
	for c := range size.Catalogs {
		catalog := SeedCatalog{SeedObject: SeedObject{Name: generatedName(catalogWords, c)}, Schemas: make([]SeedSchema, size.Schemas)}
		for s := range size.Schemas {
			schema := &catalog.Schemas[s]
			schema.Name = generatedName(schemaWords, s)
			schema.Tables = make([]SeedTable, size.Tables)
			for t := range size.Tables {
				table := &schema.Tables[t]
				table.Name, table.Columns = generatedName(tableWords, t), columns
				if t%10 == 9 {
					table.Name, table.Type = table.Name+"_v", tableView
					table.Definition = "SELECT * FROM " + schema.Tables[t-1].Name
				}
			}
			for e := range size.Extras {
				schema.Functions = append(schema.Functions, SeedItem{SeedObject: SeedObject{Name: generatedName(functionWords, e)}})
				schema.Volumes = append(schema.Volumes, SeedVolume{SeedObject: SeedObject{Name: generatedName(volumeWords, e)}})
				schema.Models = append(schema.Models, SeedModel{SeedObject: SeedObject{Name: generatedName(modelWords, e)}})
			}
		}
		seed.Catalogs = append(seed.Catalogs, catalog)
	}
	return seed
}
