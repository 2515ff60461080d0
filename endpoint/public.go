package endpoint

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// special are the address blocks that are not public, beyond those that package netip knows: the registries of special-purpose
// addresses of RFC 6890, and those that carry an IPv4 address inside.
var special = func() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}()

// IsPublic reports whether an address belongs to the internet at large, and to nobody's own network or machine.
func IsPublic(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() || !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return false
	}
	for _, block := range special {
		if block.Contains(ip) {
			return false
		}
	}
	return true
}

// PrivateAddressError refuses a connection to an address that is not public.
type PrivateAddressError struct{ Setting, Address string }

func (e *PrivateAddressError) Error() string {
	return fmt.Sprintf("%s leads to %s, which is not a public address, and no connection is made to it", e.Setting, e.Address)
}

// dialPublic returns a function that connects to public addresses alone. It looks at the address of the connection itself, so that
// a name that leads elsewhere from one look-up to the next helps nobody.
func dialPublic(timeout time.Duration, setting string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second, Control: func(_, addr string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(addr)
		if err != nil || !IsPublic(at.Addr()) {
			return &PrivateAddressError{Setting: setting, Address: addr}
		}
		return nil
	}}
	return d.DialContext
}
