package apiserver

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"ucwarden/policy"
)

// certInterval is how often the certificate's files are checked for changes.
const certInterval = 10 * time.Second

// certificates loads a certificate from files, again when they change. When the changed files do not load, that is
// logged and the previous certificate stays in use.
type certificates struct {
	certFile, keyFile string
	log               *slog.Logger

	mu       sync.Mutex
	cert     *tls.Certificate
	modTimes [2]time.Time
	checked  time.Time
}

func newCertificates(certFile, keyFile string, log *slog.Logger) (*certificates, error) {
	c := &certificates{certFile: certFile, keyFile: keyFile, log: log}
	c.modTimes, c.checked = c.readModTimes(), time.Now()
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "api server: load TLS certificate %s: %w", certFile, err)
	}
	c.cert = &cert
	return c, nil
}

// get implements tls.Config.GetCertificate.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < certInterval {
		return c.cert, nil
	}
	c.checked = time.Now()
	if c.readModTimes() != c.modTimes {
		if err := c.load(); err != nil { // perhaps only one of the two files was replaced yet: try again after certInterval
			c.log.Warn("the changed TLS certificate does not load; the previous one stays in use", "file", c.certFile, "error", err)
		}
	}
	return c.cert, nil
}

// load reads the files. The caller holds mu.
func (c *certificates) load() error {
	modTimes := c.readModTimes()
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.cert, c.modTimes = &cert, modTimes
	c.log.Info("TLS certificate reloaded", "file", c.certFile)
	return nil
}

// reload reads the files now.
func (c *certificates) reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = time.Now()
	if err := c.load(); err != nil {
		return policy.Errorf(policy.CodeUnavailable, "load TLS certificate %s: %w", c.certFile, err)
	}
	return nil
}

func (c *certificates) readModTimes() (t [2]time.Time) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			t[i] = info.ModTime()
		}
	}
	return t
}
