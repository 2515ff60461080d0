package memory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Carriers are the tables of a catalog that carry row filters and masks of ours, as far as syncs have seen.
type Carriers struct {
	Looked time.Time          `json:"looked,omitzero"`  // at all tables of the catalog
	Tables map[string]Carried `json:"tables,omitempty"` // by full name; a table may be there that carries nothing
}

// Carried is what a sync made sure that a table carries.
type Carried struct {
	ID  string            `json:"id,omitempty"`  // of the table, which one that is made again does not have
	Set map[string]string `json:"set,omitempty"` // names of functions, by column in lower case; that of the row filter by an empty one
}

func carriersKey(catalog string) string {
	sum := sha256.Sum256([]byte(catalog))
	return "carriers-" + hex.EncodeToString(sum[:8])
}

// Carriers returns what SaveCarriers kept of a catalog. What cannot be understood counts as nothing.
func (m *Memory) Carriers(catalog string) (c Carriers, err error) {
	value, err := loadFrom(m.shared, carriersKey(catalog))
	if err != nil || json.Unmarshal(value, &c) != nil {
		return Carriers{}, err
	}
	return c, nil
}

// SaveCarriers keeps which tables of a catalog carry something of ours.
func (m *Memory) SaveCarriers(catalog string, c Carriers) error {
	if m.shared == nil {
		return nil
	}
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return m.shared.Save(carriersKey(catalog), value)
}
