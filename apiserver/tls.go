package apiserver

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"ucwarden/policy"
)

// certInterval is how often the certificate's files are looked at for a change.
const certInterval = 10 * time.Second

// certificates serves a certificate from files, and the new one once they change. A change that does not load is
// reported and the earlier certificate stays in use.
type certificates struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	cert    *tls.Certificate
	stamp   [2]time.Time
	checked time.Time
}

func newCertificates(certFile, keyFile string, log *slog.Logger) (*certificates, error) {
	c := &certificates{certFile: certFile, keyFile: keyFile, log: log}
	c.stamp, c.checked = c.stamps(), time.Now()
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "api server: load TLS certificate %s: %w", certFile, err)
	}
	c.cert = &cert
	return c, nil
}

// get is a tls.Config.GetCertificate.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < certInterval {
		return c.cert, nil
	}
	c.checked = time.Now()
	if stamp := c.stamps(); stamp != c.stamp {
		cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
		if err != nil { // perhaps only one of the two files is there yet: look again at the next interval
			c.log.Warn("TLS certificate changed but does not load; the earlier one stays in use", "file", c.certFile, "error", err)
			return c.cert, nil
		}
		c.cert, c.stamp = &cert, stamp
		c.log.Info("TLS certificate reloaded", "file", c.certFile)
	}
	return c.cert, nil
}

func (c *certificates) stamps() (t [2]time.Time) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			t[i] = info.ModTime()
		}
	}
	return t
}
