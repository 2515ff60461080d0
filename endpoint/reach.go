package endpoint

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Reach opens a connection to the server of a URL, or to the proxy on the way to it, and closes it again. It sends nothing.
func Reach(ctx context.Context, server string, timeout time.Duration) error {
	at, err := url.Parse(server)
	if err != nil {
		return fmt.Errorf("parse the server's URL: %w", err)
	}
	proxy, err := proxyFor(&http.Request{URL: at})
	if err != nil {
		return fmt.Errorf("find the proxy for %s: %w", at.Host, err)
	}
	if proxy != nil {
		at = proxy
	}
	port := cmp.Or(at.Port(), map[string]string{"http": "80", "socks5": "1080", "socks5h": "1080"}[at.Scheme], "443")
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := dial(timeout)(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}
