package apiserver

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A certificate that is renewed on disk is served without a restart, whatever happens in between.
func TestCertificateReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		stamp := time.Now()
		write := func(path string, data []byte) {
			t.Helper()
			stamp = stamp.Add(time.Second) // the files' own times are not those of the test
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		cert1, key1 := selfSigned(t, 1)
		cert2, key2 := selfSigned(t, 2)
		write(certFile, cert1)
		write(keyFile, key1)
		var log bytes.Buffer
		c, err := newCertificates(certFile, keyFile, "", slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		serial := func() int64 {
			t.Helper()
			cert, err := c.get(nil)
			if err != nil {
				t.Fatal(err)
			}
			return cert.Leaf.SerialNumber.Int64()
		}
		if n := serial(); n != 1 {
			t.Errorf("certificate %d", n)
		}
		write(certFile, cert2) // its key is not there yet
		time.Sleep(time.Minute)
		if n := serial(); n != 1 {
			t.Errorf("certificate %d with half of a renewal", n)
		}
		write(keyFile, key2)
		time.Sleep(time.Minute)
		if n := serial(); n != 2 {
			t.Errorf("certificate %d after the renewal", n)
		}
		if err := os.Remove(certFile); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := serial(); n != 2 {
			t.Errorf("certificate %d after its file went away", n)
		}
	})
}

func selfSigned(t *testing.T, serial int64) (cert, key []byte) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// With authorities of clients only who has a certificate of one of them is let in, by what is in the file now.
func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t, 1)
	ours, theirs := authority(t), authority(t)
	paths := make(map[string]string)
	for name, data := range map[string][]byte{"cert": cert, "key": key, "ca": ours.pem} {
		paths[name] = filepath.Join(dir, name)
		if err := os.WriteFile(paths[name], data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := newCertificates(paths["cert"], paths["key"], paths["ca"], slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.TLS = c.config()
	server.StartTLS()
	defer server.Close()
	call := func(certs ...tls.Certificate) error {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certs}}}
		defer client.CloseIdleConnections()
		resp, err := client.Get(server.URL)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	of := func(a *ca) tls.Certificate { return a.issue(t, x509.ExtKeyUsageClientAuth) }
	check := func(when string, want map[string]bool) {
		t.Helper()
		for name, certs := range map[string][]tls.Certificate{"none": nil, "ours": {of(ours)}, "theirs": {of(theirs)}, "for servers": {ours.issue(t, x509.ExtKeyUsageServerAuth)}} {
			if err := call(certs...); (err == nil) != want[name] {
				t.Errorf("%s, certificate %s: %v", when, name, err)
			}
		}
	}
	check("at first", map[string]bool{"ours": true})
	if err := os.WriteFile(paths["ca"], theirs.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.reload(); err != nil {
		t.Fatal(err)
	}
	check("after a change", map[string]bool{"theirs": true})
	if err := os.WriteFile(paths["ca"], []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.reload(); err == nil {
		t.Error("a file without certificates is taken")
	}
	check("after a change that does not load", map[string]bool{"theirs": true})
}

type ca struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
	pem  []byte
}

func authority(t *testing.T) *ca {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &ca{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *ca) issue(t *testing.T, usage x509.ExtKeyUsage) tls.Certificate {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{usage}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
