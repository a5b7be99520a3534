package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

const (
	// vaultFile keeps, under the passphrase, the age identity that opens the home's keys.
	// It is there if the home has a passphrase. Both are ordinary age files (age-encryption.org).
	vaultFile = "home.key"
	// scryptWork is the logarithm of scrypt's cost: 128 MiB and about half a second, which
	// OWASP's Password Storage Cheat Sheet asks for at least.
	scryptWork = 17
	// maxSecretFile bounds what is read as a key: all that are written are smaller.
	maxSecretFile = 64 << 10
)

var (
	// errNoPassphrase says that the home's keys are sealed and nobody gave the passphrase.
	errNoPassphrase = errors.New("the keys are under a passphrase, and none was given")
	// errPassphrase says that the passphrase is another.
	errPassphrase = errors.New("the passphrase is wrong")
	// errForeignSeal says that a key is sealed for somebody else.
	errForeignSeal = errors.New("it is sealed, and not by this home")
)

// askPassphrase returns the passphrase, however the user gives it.
type askPassphrase func() (string, error)

// isSealed reports whether a file is an age file in PEM's armour.
func isSealed(raw []byte) bool { return bytes.HasPrefix(raw, []byte(armor.Header)) }

// seal encrypts for a recipient.
func seal(data []byte, to age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	w, err := age.Encrypt(a, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// unseal decrypts what seal wrote.
func unseal(raw []byte, with age.Identity) ([]byte, error) {
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(raw)), with)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxSecretFile))
}

// sealWithPassphrase puts the vault's identity under a passphrase.
func sealWithPassphrase(id *age.X25519Identity, passphrase string) ([]byte, error) {
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	to.SetWorkFactor(scryptWork)
	return seal([]byte(id.String()+"\n"), to)
}

// openVault takes the identity from under a passphrase.
func openVault(raw []byte, passphrase string) (*age.X25519Identity, error) {
	with, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	text, err := unseal(raw, with)
	if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
		return nil, errPassphrase
	} else if err != nil {
		return nil, err
	}
	return age.ParseX25519Identity(strings.TrimSpace(string(text)))
}

// vault returns what opens the home's keys, and nil if the home has no passphrase. It asks
// for the passphrase once.
func (h *home) vault() (*age.X25519Identity, error) {
	if h.opened != nil {
		return h.opened, nil
	}
	raw, err := readBounded(h.path(vaultFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, &homeError{h.dir, err}
	}
	if h.ask == nil {
		return nil, &homeError{h.dir, errNoPassphrase}
	}
	passphrase, err := h.ask()
	if err != nil {
		return nil, &homeError{h.dir, err}
	}
	id, err := openVault(raw, passphrase)
	if errors.Is(err, errPassphrase) {
		return nil, &homeError{h.dir, err}
	} else if err != nil {
		return nil, &damagedError{h.path(vaultFile), "key that a passphrase opens", "put it back from a backup: nobody can open this home's keys without it"}
	}
	h.opened = id
	return id, nil
}

// readSecret reads a key of the home's, and sees to it that nobody else can.
func (h *home) readSecret(name string) ([]byte, error) {
	path := h.path(name)
	h.tighten(path, fileMode)
	return h.readKeyFile(path)
}

// readKeyFile reads a key from wherever it is, and opens it if the home's vault has sealed it.
func (h *home) readKeyFile(path string) ([]byte, error) {
	raw, err := readBounded(path)
	if err != nil || !isSealed(raw) {
		return raw, err
	}
	id, err := h.vault()
	if err != nil {
		return nil, err
	}
	if id == nil {
		return nil, errForeignSeal
	}
	text, err := unseal(raw, id)
	if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
		return nil, errForeignSeal
	}
	return text, err
}

// createSecret is create for a key, which is sealed if the home has a passphrase.
func (h *home) createSecret(data []byte, name string) error {
	if _, err := os.Lstat(h.path(name)); err == nil {
		return fs.ErrExist // before a passphrase is asked for
	}
	data, err := h.sealed(data)
	if err != nil {
		return err
	}
	return h.create(data, name)
}

// replaceSecret is replace for a key, which is sealed if the home has a passphrase.
func (h *home) replaceSecret(data []byte, name string) error {
	data, err := h.sealed(data)
	if err != nil {
		return err
	}
	return h.replace(data, name)
}

// sealed returns a key as it is kept: sealed if the home has a passphrase.
func (h *home) sealed(data []byte) ([]byte, error) {
	id, err := h.vault()
	if err != nil || id == nil {
		return data, err
	}
	if data, err = seal(data, id.Recipient()); err != nil {
		return nil, &homeError{h.dir, err}
	}
	return data, nil
}

// secrets returns the names of the home's keys that there are.
func (h *home) secrets() (names []string, err error) {
	for _, pattern := range []string{"node.key", "node-*.key", streamKeyFile, encoderKeyFile, tokenFile, viewerKeyFile, filepath.Join("streams", "*"+keptInviteSuffix)} {
		found, err := filepath.Glob(h.path(pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			name, err := filepath.Rel(h.dir, path)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// setPassphrase puts the home's keys under a passphrase, or under another. Nobody else may use
// the home. If it is cut short, all keys can still be read, and the next time finishes it.
func (h *home) setPassphrase(passphrase string) error {
	id, err := h.vault()
	if err != nil {
		return err
	}
	if id == nil {
		if id, err = age.GenerateX25519Identity(); err != nil {
			return fmt.Errorf("make what opens the keys: %w", err)
		}
	}
	raw, err := sealWithPassphrase(id, passphrase)
	if err != nil {
		return fmt.Errorf("seal what opens the keys: %w", err)
	}
	if err := h.replace(raw, vaultFile); err != nil {
		return err
	}
	h.opened = id
	return h.rewrite(func(data []byte) ([]byte, error) { return seal(data, id.Recipient()) })
}

// removePassphrase leaves the home's keys as they are without one.
func (h *home) removePassphrase() error {
	if id, err := h.vault(); id == nil || err != nil {
		return err
	}
	if err := h.rewrite(func(data []byte) ([]byte, error) { return data, nil }); err != nil {
		return err
	}
	if err := os.Remove(h.path(vaultFile)); err != nil {
		return &homeError{h.dir, err}
	}
	h.opened = nil
	return syncDir(h.dir)
}

// rewrite replaces each key of the home's by what made of it.
func (h *home) rewrite(made func([]byte) ([]byte, error)) error {
	names, err := h.secrets()
	if err != nil {
		return &homeError{h.dir, err}
	}
	for _, name := range names {
		data, err := h.readSecret(name)
		if err == nil {
			data, err = made(data)
		}
		if err != nil {
			return &keyError{h.path(name), err}
		}
		if err := h.replace(data, name); err != nil {
			return err
		}
	}
	return nil
}

// readBounded reads a file that is small if it is what it should be.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err == nil && len(raw) > maxSecretFile {
		err = fmt.Errorf("it is larger than %s", formatBytes(maxSecretFile))
	}
	return raw, err
}
