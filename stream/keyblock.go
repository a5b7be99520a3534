package stream

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// KeysRendition is the rendition of a private stream whose parts are key blocks. Inputs'
	// names do not begin so.
	KeysRendition = "-keys"
	// MaxViewers bounds the viewers of a private stream: their wraps take 365 kB a period.
	MaxViewers = 4096
	// MaxSecrets bounds the periods of a key block.
	MaxSecrets = 4
	// maxKeyBlock bounds a key block in bytes: wraps of so many secrets for all viewers.
	maxKeyBlock = MaxViewers*(wrapTag+hpkeOverhead+1+MaxSecrets*len(Secret{})) + 1024

	wrapTag         = 8 // bytes
	keyBlockContext = "grapevine key block v1\n"
	wrapTagContext  = "grapevine wrap tag v1\n"
	titleContext    = "grapevine sealed title v1\n"
)

// ErrBadKeyBlock is wrapped by errors about bytes that are no key block.
var ErrBadKeyBlock = errors.New("malformed key block")

// Refusal says why a viewer is given no key; 0 means that it is given one.
type Refusal uint8

const (
	RefusedRevoked Refusal = iota + 1 // the broadcaster took the invite back
	RefusedExpired
	RefusedUsed    // as many viewers as it is for came with it
	RefusedFull    // the stream has as many viewers as it may
	RefusedUnknown // the broadcaster does not know the invite: it is another home's, or was removed
)

// KeyBlock gives the secrets of a period, and perhaps of those before it, to those viewers who
// are named, each in a wrap that only that one opens. The header of the part that it is
// signs it. See the package's documentation for what is where.
type KeyBlock struct {
	Period  uint64 // the newest of which it has the secret
	Secrets int    // how many it has: 1, or those of periods before, too
	title   []byte
	wraps   []byte // one after the other, each of wrapSize
	id      ID
	epoch   uint64
}

// Field numbers of message KeyBlock.
const (
	fieldBlockPeriod = iota + 1
	fieldBlockSecrets
	fieldBlockTitle
	fieldBlockWraps
)

func wrapSize(secrets int) int { return wrapTag + hpkeOverhead + 1 + secrets*len(Secret{}) }

// KeyGrant is what a key block says to one viewer.
type KeyGrant struct {
	Viewer  ViewerID
	Refusal Refusal // 0 to give it the secrets
}

// NewKeyBlock writes a key block of a stream's epoch: the secret of a period after those of the
// periods before it, if there are any, [MaxSecrets] at most. The title is for those who get secrets, at most [MaxTitle]
// bytes.
func NewKeyBlock(id ID, epoch, period uint64, secrets []Secret, title string, to []KeyGrant) ([]byte, error) {
	if len(secrets) < 1 || len(secrets) > MaxSecrets || period < uint64(len(secrets)) || len(to) > MaxViewers || len(title) > MaxTitle {
		return nil, fmt.Errorf("write key block: %d secrets of period %d for %d viewers, a title of %d bytes", len(secrets), period, len(to), len(title))
	}
	b := KeyBlock{Period: period, Secrets: len(secrets), id: id, epoch: epoch}
	aead, err := secrets[len(secrets)-1].derive(titleContext, id, epoch, string(binary.BigEndian.AppendUint64(nil, period)))
	if err != nil {
		return nil, err
	}
	// One key seals one title, padded, so that nobody learns how long it is.
	padded := make([]byte, MaxTitle)
	copy(padded, title)
	b.title = aead.Seal(nil, make([]byte, chacha20poly1305.NonceSize), padded, nil)
	info := b.info()
	b.wraps = make([]byte, 0, len(to)*wrapSize(len(secrets)))
	for _, g := range to {
		plain := make([]byte, 1+len(secrets)*len(Secret{})) // a refusal is as long
		plain[0] = byte(g.Refusal)
		for i, s := range secrets {
			if g.Refusal == 0 {
				copy(plain[1+i*len(s):], s[:])
			}
		}
		sealed, err := hpkeSeal(g.Viewer, info, plain)
		if err != nil {
			continue // no key that anybody has: nobody misses it
		}
		tag := b.tag(g.Viewer)
		b.wraps = append(append(b.wraps, tag[:]...), sealed...)
	}
	return b.marshal(), nil
}

func (b *KeyBlock) marshal() []byte {
	out := wire.AppendUint(nil, fieldBlockPeriod, b.Period)
	out = wire.AppendUint(out, fieldBlockSecrets, uint64(b.Secrets))
	out = wire.AppendBytes(out, fieldBlockTitle, b.title)
	return wire.AppendBytes(out, fieldBlockWraps, b.wraps)
}

// place is what everything in the block is bound to.
func (b *KeyBlock) place(context string) []byte {
	out := append([]byte(context), b.id[:]...)
	for _, n := range []uint64{b.epoch, b.Period, uint64(b.Secrets)} {
		out = binary.BigEndian.AppendUint64(out, n)
	}
	return out
}

func (b *KeyBlock) info() []byte { return b.place(keyBlockContext) }

// tag is how a viewer finds its wrap. As only the broadcaster knows viewers' keys, nobody else
// sees which wraps of two blocks are of one viewer.
func (b *KeyBlock) tag(v ViewerID) [wrapTag]byte {
	sum := sha256.Sum256(append(b.place(wrapTagContext), v[:]...))
	return [wrapTag]byte(sum[:])
}

// OpenKeyBlock reads the key block that is the part which a verified header describes, of which
// chunks are all chunks. Errors wrap [ErrBadKeyBlock].
func OpenKeyBlock(h *SignedHeader, chunks [][]byte) (*KeyBlock, error) {
	if h.Rendition != KeysRendition || h.Size > maxKeyBlock {
		return nil, fmt.Errorf("%w: %d bytes of rendition %s", ErrBadKeyBlock, h.Size, h.Rendition)
	}
	b, err := parseKeyBlock(h, slices.Concat(chunks...))
	if err == nil && b.Period != h.Segment+1 {
		err = fmt.Errorf("%w: period %d in segment %d", ErrBadKeyBlock, b.Period, h.Segment)
	}
	return b, err
}

func parseKeyBlock(h *SignedHeader, raw []byte) (*KeyBlock, error) {
	if len(raw) > maxKeyBlock {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBadKeyBlock, len(raw), maxKeyBlock)
	}
	b := &KeyBlock{id: h.Stream, epoch: h.Epoch}
	var secrets uint64
	err := wire.Fields(raw, func(field int, v uint64, raw []byte) {
		switch field {
		case fieldBlockPeriod:
			b.Period = v
		case fieldBlockSecrets:
			secrets = v
		case fieldBlockTitle:
			b.title = raw
		case fieldBlockWraps:
			b.wraps = raw
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadKeyBlock, err)
	}
	if secrets < 1 || secrets > MaxSecrets || b.Period < secrets || len(b.title) != MaxTitle+SealOverhead {
		return nil, fmt.Errorf("%w: %d secrets of period %d", ErrBadKeyBlock, secrets, b.Period)
	}
	b.Secrets = int(secrets)
	if len(b.wraps)%wrapSize(b.Secrets) != 0 || len(b.wraps) > MaxViewers*wrapSize(b.Secrets) {
		return nil, fmt.Errorf("%w: wraps of %d bytes", ErrBadKeyBlock, len(b.wraps))
	}
	return b, nil
}

// Viewers returns how many wraps there are.
func (b *KeyBlock) Viewers() int { return len(b.wraps) / wrapSize(b.Secrets) }

// Granted is what a viewer found in a key block.
type Granted struct {
	Refusal Refusal           // if not 0, there is nothing else
	Secrets map[uint64]Secret // by period
	Title   string
}

// Open looks for a viewer's wrap, and returns what it holds, or false if there is none.
func (b *KeyBlock) Open(key *ViewerKey) (Granted, bool) {
	if key.stream != b.id {
		return Granted{}, false
	}
	size := wrapSize(b.Secrets)
	tag := b.tag(key.id)
	for w := b.wraps; len(w) > 0; w = w[size:] {
		if [wrapTag]byte(w) != tag {
			continue
		}
		plain, err := hpkeOpen(key.key, b.info(), w[wrapTag:size])
		if err != nil || len(plain) != size-wrapTag-hpkeOverhead {
			continue // somebody else's, whose tag is the same by chance
		}
		if plain[0] != 0 {
			return Granted{Refusal: Refusal(plain[0])}, true
		}
		g := Granted{Secrets: make(map[uint64]Secret)}
		for i := range b.Secrets {
			g.Secrets[b.Period-uint64(b.Secrets-1-i)] = Secret(plain[1+i*len(Secret{}):])
		}
		g.Title = b.openTitle(g.Secrets[b.Period])
		return g, true
	}
	return Granted{}, false
}

// openTitle returns the title, "" if it is none that can be shown.
func (b *KeyBlock) openTitle(s Secret) string {
	aead, err := s.derive(titleContext, b.id, b.epoch, string(binary.BigEndian.AppendUint64(nil, b.Period)))
	if err != nil {
		return ""
	}
	padded, err := aead.Open(nil, make([]byte, chacha20poly1305.NonceSize), b.title, nil)
	if err != nil {
		return ""
	}
	n := len(padded)
	for n > 0 && padded[n-1] == 0 {
		n--
	}
	if title := string(padded[:n]); showable(title) {
		return title
	}
	return ""
}
