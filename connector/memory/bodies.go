package memory

import (
	"crypto/sha256"
	"encoding/hex"
)

// LearnBody keeps how the workspace shows the body of a function that was made: it may format what it was given.
func (m *Memory) LearnBody(function, hash, body string) error {
	sum := bodySum(hash, body)
	return change(m, m.shared, keyBodies, func(all map[string]string) bool {
		if all[function] == sum {
			return false
		}
		all[function] = sum
		return true
	})
}

// KnowsBody reports whether the body is how the workspace showed a function when it was made with the hash.
func (m *Memory) KnowsBody(function, hash, body string) (bool, error) {
	all, err := readMap[string](m.shared, keyBodies)
	return all[function] == bodySum(hash, body), err
}

func bodySum(hash, body string) string {
	sum := sha256.Sum256([]byte(hash + " " + body))
	return hex.EncodeToString(sum[:16])
}
