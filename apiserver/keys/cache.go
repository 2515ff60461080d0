package keys

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxVerified bounds how many tokens are remembered.
const maxVerified = 4096

// verifiedTokens remembers tokens whose signature and claims were verified: clients send the same one with every call, and a
// signature takes longer to verify than all else of a small call. What is remembered holds for the keys that were in force then,
// and not beyond the token's time. Of a token only a hash is kept.
type verifiedTokens struct {
	mu     sync.Mutex
	tokens map[[sha256.Size]byte]verifiedToken
}

type verifiedToken struct {
	id   Identity
	keys *keyIndex // by which it was verified
	at   time.Time
}

func (c *verifiedTokens) get(hash [sha256.Size]byte, keys *keyIndex) (Identity, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, found := c.tokens[hash]
	if !found {
		return Identity{}, false
	}
	now := time.Now()
	// Before the time at which it was verified, nbf and iat may not be met: the clock was set back.
	if t.keys != keys || now.Round(0).Before(t.at) || !now.Before(t.id.Expires.Add(Leeway)) {
		delete(c.tokens, hash)
		return Identity{}, false
	}
	return t.id, true
}

func (c *verifiedTokens) add(hash [sha256.Size]byte, t verifiedToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil {
		c.tokens = make(map[[sha256.Size]byte]verifiedToken)
	}
	for old := range c.tokens {
		if len(c.tokens) < maxVerified {
			break
		}
		delete(c.tokens, old)
	}
	c.tokens[hash] = t
}
