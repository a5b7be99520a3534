package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writeCertificate writes a certificate of its own, with a serial number.
func writeCertificate(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		// Files' clocks may be coarser than this test is quick.
		if err := os.Chtimes(file, time.Time{}, time.Unix(serial, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateIsReadAgainWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := loadCertificate(cert, key, slog.Default()); err == nil {
		t.Error("a certificate that is not there was read")
	}
	writeCertificate(t, cert, key, 1)
	var log bytes.Buffer
	c, err := loadCertificate(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	serial := func(after time.Duration) int64 {
		t.Helper()
		leaf, err := x509.ParseCertificate(c.current(now.Add(after)).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	writeCertificate(t, cert, key, 2)
	if got := serial(time.Second); got != 1 {
		t.Errorf("certificate %d within %v of the last look, want 1", got, certificateEvery)
	}
	if got := serial(2 * certificateEvery); got != 2 {
		t.Errorf("certificate %d, want that of the new files", got)
	}
	writeCertificate(t, cert, filepath.Join(dir, "other.pem"), 3) // whose key is not there yet
	if got := serial(4 * certificateEvery); got != 2 || !bytes.Contains(log.Bytes(), []byte("WARN")) {
		t.Errorf("certificate %d, want the one before; log %s", got, log.Bytes())
	}
	writeCertificate(t, cert, key, 4)
	if got := serial(6 * certificateEvery); got != 4 {
		t.Errorf("certificate %d, want that of the files that are good again", got)
	}
}
