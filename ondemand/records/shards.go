package records

import (
	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
)

// ShardStatus returns the status of a child that its parent counts, New as long as it has not ended; "" where the parent does not
// count it.
func ShardStatus(tx *store.Tx, parent, child string) ondemand.Status {
	v := tx.Bucket(bucketShards).Get(parentKey(parent, []byte(child)))
	for s, b := range statusBytes {
		if len(v) == 1 && v[0] == b {
			return s
		}
	}
	return ""
}

// SetShard records the status of a child for its parent.
func SetShard(tx *store.Tx, parent, child string, s ondemand.Status) error {
	return tx.Bucket(bucketShards).Put(parentKey(parent, []byte(child)), []byte{statusBytes[s]})
}
