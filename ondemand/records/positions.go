package records

import (
	"encoding/json"
	"fmt"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
)

// bucketPositions holds the positions of streams: stream → the JSON of a [Position].
var bucketPositions = []byte("positions")

// LoadPosition returns the position of a stream; ok is false where none is stored.
func LoadPosition(tx *store.Tx, stream string) (ondemand.Position, bool, error) {
	data := tx.Bucket(bucketPositions).Get([]byte(stream))
	if data == nil {
		return ondemand.Position{}, false, nil
	}
	p := ondemand.Position{Stream: stream}
	if err := json.Unmarshal(data, &p); err != nil {
		return ondemand.Position{}, false, fmt.Errorf("read the position of %s: %w", stream, err)
	}
	return p, true, nil
}

// StorePosition stores the position of a stream, as encoded.
func StorePosition(tx *store.Tx, stream string, position []byte) error {
	return tx.Bucket(bucketPositions).Put([]byte(stream), position)
}
