package origin

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// keySize is that of AES-128, and maxKey bounds what is read where a key should be.
	keySize = 16
	maxKey  = 1 << 10
	// maxKeys bounds the keys that are remembered: those of a playlist that changes its key
	// with each segment.
	maxKeys = 16
	// identity is the KEYFORMAT of a key that is at its address as it is.
	identity = "identity"
)

// errKey says that what should be a key, or encrypted with it, is not.
var errKey = errors.New("cannot be decrypted")

// secret is how a whole segment is encrypted with AES-128 in CBC (RFC 8216, section 4.3.2.4).
type secret struct {
	url  string // of the key; "" for what is in the clear
	iv   [aes.BlockSize]byte
	told bool // iv is the playlist's; else it follows from the segment's number
}

// key takes an EXT-X-KEY. Of several for the same segments, the first that is known counts.
func (r *reader) key(attributes map[string]string) error {
	if !r.keying {
		r.keying, r.keyed, r.secret = true, "", secret{}
	} else if r.keyed == "" {
		return nil
	}
	method, format := attributes["METHOD"], cmp.Or(attributes["KEYFORMAT"], identity)
	switch {
	case method == "NONE":
		r.keyed = ""
		return nil
	case method != "AES-128":
		r.keyed = cmp.Or(method, "an unknown method")
		return nil
	case format != identity:
		r.keyed = fmt.Sprintf("%s with a key of %s", method, format)
		return nil
	}
	at, err := r.resolve(attributes["URI"])
	if err != nil {
		return err
	}
	s := secret{url: at}
	if text := attributes["IV"]; text != "" {
		digits := strings.TrimPrefix(strings.ToLower(text), "0x")
		iv, err := hex.DecodeString(strings.Repeat("0", len(digits)%2) + digits)
		if err != nil || len(iv) > len(s.iv) {
			return fmt.Errorf("%w: the initialisation vector %q", ErrNoPlaylist, text)
		}
		copy(s.iv[len(s.iv)-len(iv):], iv)
		s.told = true
	}
	r.keyed, r.secret = "", s
	return nil
}

// of returns the secret of a segment's number (RFC 8216, section 5.2).
func (s secret) of(number uint64) secret {
	if s.url != "" && !s.told {
		binary.BigEndian.PutUint64(s.iv[8:], number)
	}
	return s
}

// opened returns what is in an answer that may be encrypted.
func (r *Rendition) opened(ctx context.Context, a io.Reader, s secret) (io.Reader, error) {
	if s.url == "" {
		return a, nil
	}
	key, err := r.keyAt(ctx, s.url)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &decrypter{from: a, mode: cipher.NewCBCDecrypter(block, s.iv[:])}, nil
}

// keyAt returns the key at an address.
func (r *Rendition) keyAt(ctx context.Context, address string) ([]byte, error) {
	if key := r.keys[address]; key != nil {
		return key, nil
	}
	a, err := r.origin.client.get(ctx, span{url: address}, maxKey, 0, "identity")
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	defer a.Close()
	key, err := io.ReadAll(a)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("%w: its key has %d bytes, not %d", errKey, len(key), keySize)
	}
	if r.keys == nil || len(r.keys) == maxKeys {
		r.keys = make(map[string][]byte)
	}
	r.keys[address] = key
	return key, nil
}

// decrypter reads what is encrypted, whole blocks of which the last is padded (PKCS 7).
type decrypter struct {
	from  io.Reader
	mode  cipher.BlockMode
	in    []byte // not decrypted yet: the last whole block may be the last
	plain []byte
	err   error // after plain
}

func (d *decrypter) Read(b []byte) (int, error) {
	for len(d.plain) == 0 && d.err == nil {
		d.fill()
	}
	if len(d.plain) == 0 {
		return 0, d.err
	}
	n := copy(b, d.plain)
	d.plain = d.plain[n:]
	return n, nil
}

// fill decrypts what can be read at once.
func (d *decrypter) fill() {
	have := len(d.in)
	d.in = append(d.in, make([]byte, 32<<10)...)
	n, err := d.from.Read(d.in[have:])
	d.in = d.in[:have+n]
	size := max(0, len(d.in)-1) / aes.BlockSize * aes.BlockSize
	if err == io.EOF {
		size = len(d.in)
	}
	switch {
	case err == io.EOF && (size == 0 || size%aes.BlockSize != 0):
		d.err = fmt.Errorf("%w: it is cut off", errKey)
		return
	case err != nil && err != io.EOF:
		d.err = err
	}
	d.plain = make([]byte, size)
	d.mode.CryptBlocks(d.plain, d.in[:size])
	d.in = append(d.in[:0], d.in[size:]...)
	if err == io.EOF {
		d.plain, d.err = unpad(d.plain)
	}
}

// unpad returns plain text without its padding, and io.EOF or what is wrong with it.
func unpad(b []byte) ([]byte, error) {
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize {
		return nil, fmt.Errorf("%w: its key is another, or it is damaged", errKey)
	}
	for _, p := range b[len(b)-n:] {
		if int(p) != n {
			return nil, fmt.Errorf("%w: its key is another, or it is damaged", errKey)
		}
	}
	return b[:len(b)-n], io.EOF
}
