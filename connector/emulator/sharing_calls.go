package emulator

import (
	"iter"
	"math"
	"slices"
	"time"
)

// registerSharing registers the calls that only shares, recipients and providers have.
func (s *Server) registerSharing() {
	s.route("GET "+prefix+"/shares/{name}/permissions", s.getPermissions)
	s.route("PATCH "+prefix+"/shares/{name}/permissions", s.patchPermissions)
	s.route("GET "+prefix+"/recipients/{name}/share-permissions", s.recipientPermissions)
	s.route("POST "+prefix+"/recipients/{name}/rotate-token", s.rotateToken)
	s.route("GET "+prefix+"/providers/{name}/shares", s.providerShares)
}

// findOwned returns the object of the path, or an error unless the caller is an admin or its owner.
func (s *Server) findOwned(c *call, t securableType) (*object, error) {
	o, err := s.find(s.types[t], c.req.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if !c.mayRead(o) {
		return nil, denied("User is not an owner of %s '%s'.", displayLabel(o.res.label), o.name)
	}
	return o, nil
}

type sharePermissions struct {
	ShareName            string                `json:"share_name"`
	PrivilegeAssignments []privilegeAssignment `json:"privilege_assignments"`
}

// recipientPermissions lists the shares granted to a recipient.
func (s *Server) recipientPermissions(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	recipient, err := s.findOwned(c, typeRecipient)
	if err != nil {
		return nil, err
	}
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	id := recipient.detail.(*recipientDetail).grantee
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, sharePermissions] {
		return func(yield func(string, sharePermissions) bool) {
			for share := range recipient.parent.list(typeShare).after(after) {
				if share.grants.of(id).empty() {
					continue
				}
				if !yield(share.name, sharePermissions{share.name, s.assignments(share, share.grants, id)}) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("permissions_out", page, next), nil
}

// rotateToken adds a new token to a recipient and shortens the validity of the old ones; it never extends it.
func (s *Server) rotateToken(c *call) (any, error) {
	var body struct {
		Seconds *int64 `json:"existing_token_expire_in_seconds"`
	}
	if _, err := c.object(""); err != nil {
		return nil, err
	}
	if err := decode(c.body, &body); err != nil {
		return nil, err
	}
	if body.Seconds == nil || *body.Seconds < 0 {
		return nil, invalid("existing_token_expire_in_seconds must be at least 0.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.find(s.types[typeRecipient], c.req.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if !c.ownsOrManages(o) {
		return nil, denied("User is not an owner of Recipient '%s'.", o.name)
	}
	next := *o.detail.(*recipientDetail)
	if next.AuthenticationType != "TOKEN" {
		return nil, invalid("Recipient '%s' has no token.", o.name)
	}
	now := time.Now()
	expires := now.UnixMilli() + min(*body.Seconds, math.MaxInt32)*1000
	next.tokens = slices.DeleteFunc(slices.Clone(next.tokens), func(t recipientToken) bool {
		return t.ExpirationTime != 0 && t.ExpirationTime <= now.UnixMilli()
	})
	for i := range next.tokens {
		if t := &next.tokens[i]; t.ExpirationTime == 0 || t.ExpirationTime > expires {
			t.ExpirationTime, t.UpdatedAt, t.UpdatedBy = expires, now.UnixMilli(), c.who.name
		}
	}
	next.tokens = append(next.tokens, c.newRecipientToken(next.grantee))
	o.detail = &next
	return s.render(o), nil
}

// providerShares returns the shares of a provider. Providers are emulated without shares, so the list is empty.
func (s *Server) providerShares(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.findOwned(c, typeProvider); err != nil {
		return nil, err
	}
	return pageOf[any]("shares", nil, ""), nil
}
