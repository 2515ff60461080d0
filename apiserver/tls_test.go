package apiserver

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
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
		c, err := newCertificates(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
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
