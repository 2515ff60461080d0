package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"sync"

	"ucwarden/policy"
	"ucwarden/policy/region"
)

// fingerprints are computed once for a compiler, when they are first asked for.
type fingerprints struct {
	once    sync.Once
	common  []byte              // of what decides grants everywhere
	entries [][sha256.Size]byte // by entry
}

// Fingerprint identifies all that decides what is compiled for a catalog and everything inside it, or, for "", for the
// metastore and its other root objects. Two compilers that return the same compile the same grants there, whatever else
// differs between their policies.
func (c *Compiler) Fingerprint(catalog string) string {
	c.prints.once.Do(c.fingerprint)
	h := sha256.New()
	h.Write(c.prints.common)
	write := func(list []region.Ref) {
		for _, ref := range list {
			h.Write(c.prints.entries[ref.Number()][:])
		}
	}
	if catalog != "" {
		if ix := c.byRoot[policy.ClassCatalog]; ix != nil {
			write(region.Merge(ix.Always, ix.Match(catalog, nil)))
		}
		return hex.EncodeToString(h.Sum(nil)[:16])
	}
	for cl := range policy.ClassesOfRoots.Each() {
		if ix := c.byRoot[cl]; ix != nil && cl != policy.ClassCatalog {
			write(slices.Sorted(slices.Values(ix.All)))
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (c *Compiler) fingerprint() {
	s := c.set.Snapshot
	h := sha256.New()
	fmt.Fprintf(h, "%s %d %t %t\n", c.opts.Deny, c.opts.ExpandLimit, c.opts.SkipUse, c.rules.Zoned)
	if c.opts.Protects {
		h.Write([]byte("protects\n"))
	}
	if c.opts.Columns {
		h.Write([]byte("columns\n"))
	}
	for _, part := range []any{s.ServiceDef, s.ServiceConfig, s.Users, s.Roles, c.set.Zones.Names} {
		writeJSON(h, part)
	}
	if s.TagPolicies != nil {
		writeJSON(h, s.TagPolicies.ServiceDef)
		writeJSON(h, s.Tags)
	}
	c.who.Hash(h)
	c.hashReach(h)
	c.prints.common = h.Sum(nil)
	c.prints.entries = make([][sha256.Size]byte, len(c.rules.Regions))
	for i := range c.rules.Regions {
		h := sha256.New()
		if p := c.rules.PolicyAt(region.Ref(i)); p == nil {
			zone := c.rules.ZoneAt(region.Ref(i))
			writeJSON(h, s.Zones[zone].Resources)
			fmt.Fprintf(h, "zone %s\n", zone)
		} else {
			writeJSON(h, p.Rule.Source)
			fmt.Fprintf(h, "%q %+q %d\n", p.Rule.Zone, p.Rule.Source.Faults, p.Priority)
		}
		h.Sum(c.prints.entries[i][:0])
	}
}

func writeJSON(h hash.Hash, v any) {
	if err := json.NewEncoder(h).Encode(v); err != nil { // what was read from JSON can be written
		panic("policies do not marshal: " + err.Error())
	}
}
