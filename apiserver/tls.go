package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"ucwarden/policy"
)

// certInterval is how often the files of certificates are checked for changes.
const certInterval = 10 * time.Second

// certificates loads the server's certificate, and the authorities of clients', from files, again when they change. When the
// changed files do not load, that is logged and what was loaded before stays in use.
type certificates struct {
	certFile, keyFile string
	clientCA          string // "": clients are asked for no certificate
	log               *slog.Logger

	mu       sync.Mutex
	cert     *tls.Certificate
	clients  *x509.CertPool
	modTimes [3]time.Time
	checked  time.Time
}

func newCertificates(certFile, keyFile, clientCA string, log *slog.Logger) (*certificates, error) {
	c := &certificates{certFile: certFile, keyFile: keyFile, clientCA: clientCA, log: log, checked: time.Now()}
	if err := c.read(); err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "api server: %w", err)
	}
	return c, nil
}

// config returns the configuration of a server, which follows the files.
func (c *certificates) config() *tls.Config {
	base := &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if c.clientCA == "" {
		return base
	}
	base.ClientAuth = tls.RequireAndVerifyClientCert
	base.SessionTicketsDisabled = true // a ticket would let a client in whose authority was taken away meanwhile
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		own := base.Clone()
		own.GetConfigForClient = nil
		_, own.ClientCAs = c.current()
		return own, nil
	}
	return base
}

// get implements tls.Config.GetCertificate.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, _ := c.current()
	return cert, nil
}

// current returns what is in force, after a look at the files where the last one was some time ago.
func (c *certificates) current() (*tls.Certificate, *x509.CertPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < certInterval {
		return c.cert, c.clients
	}
	c.checked = time.Now()
	if c.readModTimes() != c.modTimes {
		if err := c.load(); err != nil { // perhaps only one of the files was replaced yet: try again after certInterval
			c.log.Warn("the changed TLS certificate does not load; the previous one stays in use", "file", c.certFile, "error", err)
		}
	}
	return c.cert, c.clients
}

// load reads the files anew. The caller holds mu.
func (c *certificates) load() error {
	if err := c.read(); err != nil {
		return err
	}
	c.log.Info("TLS certificate reloaded", "file", c.certFile)
	return nil
}

// read reads all files, and sets what they hold if all of it is right.
func (c *certificates) read() error {
	modTimes := c.readModTimes()
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("load TLS certificate %s: %w", c.certFile, err)
	}
	var clients *x509.CertPool
	if c.clientCA != "" {
		pem, err := os.ReadFile(c.clientCA)
		if err != nil {
			return fmt.Errorf("read the authorities of clients: %w", err)
		}
		if clients = x509.NewCertPool(); !clients.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read the authorities of clients: no PEM certificate in %s", c.clientCA)
		}
	}
	c.cert, c.clients, c.modTimes = &cert, clients, modTimes
	return nil
}

// reload reads the files now.
func (c *certificates) reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = time.Now()
	if err := c.load(); err != nil {
		return policy.Errorf(policy.CodeUnavailable, "%w", err)
	}
	return nil
}

func (c *certificates) readModTimes() (t [3]time.Time) {
	for i, name := range []string{c.certFile, c.keyFile, c.clientCA} {
		if info, err := os.Stat(name); err == nil {
			t[i] = info.ModTime()
		}
	}
	return t
}
