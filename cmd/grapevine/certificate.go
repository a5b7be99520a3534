package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateEvery is how often a certificate's files are looked at, at most: whoever renews
// it need not end the node.
const certificateEvery = 10 * time.Second

// certificate is a TLS certificate and its key in files, read again when those change. It
// is safe for concurrent use.
type certificate struct {
	cert, key string // files
	log       *slog.Logger

	mu     sync.Mutex // guards all following
	loaded *tls.Certificate
	seen   [2]fileVersion
	looked time.Time
}

// fileVersion tells versions of a file apart.
type fileVersion struct {
	modified time.Time
	size     int64
}

// loadCertificate reads a certificate, and its key, in PEM.
func loadCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, log: log, looked: time.Now()}
	var err error
	if c.seen, err = c.versions(); err != nil {
		return nil, err
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// config is what a server needs of it.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(time.Now()), nil },
	}
}

// current returns the certificate as the files have it, or had it when they were last good.
func (c *certificate) current(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) < certificateEvery {
		return c.loaded
	}
	c.looked = now
	versions, err := c.versions()
	if err == nil && versions == c.seen {
		return c.loaded
	}
	if err == nil {
		err = c.load()
	}
	if err != nil {
		// One of two files may have been written and the other not yet: this is tried again.
		c.log.Warn("the gateway's certificate cannot be read again; the one before is used", "err", err)
		return c.loaded
	}
	c.seen = versions
	c.log.Info("the gateway's certificate was read again", "cert", c.cert)
	return c.loaded
}

func (c *certificate) versions() (v [2]fileVersion, err error) {
	for i, file := range []string{c.cert, c.key} {
		info, err := os.Stat(file)
		if err != nil {
			return v, err
		}
		v[i] = fileVersion{info.ModTime(), info.Size()}
	}
	return v, nil
}

// load reads the files. The mutex is held, or nobody else has c yet.
func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	c.loaded = &pair
	return nil
}
