package memory

import (
	"crypto/sha256"
	"encoding/hex"

	"ucwarden/policy"
)

func grantedKey(shard policy.Securable) string {
	sum := sha256.Sum256([]byte(shard.String()))
	return "granted-" + hex.EncodeToString(sum[:8])
}

// Granted returns which grants the last sync of a shard made sure of, as SaveGranted keeps it; nil where that is not known.
func (m *Memory) Granted(shard policy.Securable) ([]byte, error) { return m.load(grantedKey(shard)) }

// SaveGranted keeps which grants a sync of a shard made sure of; an empty value forgets it.
func (m *Memory) SaveGranted(shard policy.Securable, record []byte) error {
	if m.store == nil {
		return nil
	}
	return m.store.Save(grantedKey(shard), append([]byte{}, record...))
}
