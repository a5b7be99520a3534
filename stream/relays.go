package stream

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxRelays bounds the trusted relays of a stream.
	MaxRelays = 16
	// maxRelaySize bounds a peer ID in bytes.
	maxRelaySize  = 128
	relaysContext = "grapevine trusted relays v1\n"
)

var (
	// ErrNotARelay is wrapped by errors about what cannot name a trusted relay.
	ErrNotARelay = errors.New("not a relay's peer ID")
	// ErrNoRelays says that a link lacks the trusted relays that its invite is confined to.
	ErrNoRelays = errors.New("its trusted relays were left out")
	// ErrRelaysForged says that the stream's key did not sign a link's trusted relays.
	ErrRelaysForged = errors.New("its trusted relays are not signed by the stream's broadcaster")
)

// Relays are the peers that a stream's broadcaster has signed to be the only ones to whom its
// viewers connect, in its order. The zero value is none: viewers connect to each other.
type Relays struct {
	ids       []string
	signature []byte
	by        *Delegation
}

// IDs returns the relays' peer IDs. They must not be changed.
func (r Relays) IDs() []string { return r.ids }

// Delegation returns what let another key name the relays; nil if the stream's own key did.
func (r Relays) Delegation() *Delegation { return r.by }

// Signature returns the signature as links carry it, "" for no relays.
func (r Relays) Signature() string { return base64.RawURLEncoding.EncodeToString(r.signature) }

// SignRelays names the trusted relays of the key's stream by their peer IDs, which whoever
// dials them checks. Errors wrap [ErrNotARelay].
func (k Key) SignRelays(ids []string) (Relays, error) {
	if len(ids) == 0 {
		return Relays{}, nil
	}
	if err := checkRelays(ids); err != nil {
		return Relays{}, err
	}
	return Relays{ids, k.signMessage(relaysMessage(k.ID(), ids)), k.by}, nil
}

// OpenRelays checks that id's key signed the relays, in this order, or a delegate if there is a
// delegation. Errors wrap [ErrNotARelay] or [ErrRelaysForged].
func OpenRelays(id ID, ids []string, signature string, by *Delegation) (Relays, error) {
	if len(ids) == 0 && signature == "" {
		return Relays{}, nil
	}
	if err := checkRelays(ids); err != nil {
		return Relays{}, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !verify(id, by, relaysMessage(id, ids), raw) {
		return Relays{}, ErrRelaysForged
	}
	return Relays{ids, raw, by}, nil
}

// PeerKey returns the Ed25519 key that a peer ID in its binary form is of, so that a relay can be
// revoked as a delegate is: libp2p writes such a key into the ID (peer IDs specification, "identity"
// multihash of a PublicKey). Errors wrap [ErrNotARelay]: the ID is of another kind of key.
func PeerKey(binary string) (key ID, err error) {
	// 0x00 identity, 36 bytes; field 1, 1: Ed25519; field 2, 32 bytes.
	raw, ok := strings.CutPrefix(binary, "\x00\x24\x08\x01\x12\x20")
	if !ok || len(raw) != len(key) {
		return key, fmt.Errorf("%w: it is of no Ed25519 key", ErrNotARelay)
	}
	return ID([]byte(raw)), nil
}

func checkRelays(ids []string) error {
	if len(ids) > MaxRelays {
		return fmt.Errorf("%w: %d of them, at most %d are allowed", ErrNotARelay, len(ids), MaxRelays)
	}
	for _, s := range ids {
		if s == "" || len(s) > maxRelaySize || !printable(s) {
			return fmt.Errorf("%w: %q", ErrNotARelay, s)
		}
	}
	return nil
}

// relaysMessage is what is signed: a line for each relay, in which there is no line feed.
func relaysMessage(id ID, ids []string) []byte {
	m := append([]byte(relaysContext), id[:]...)
	for _, s := range ids {
		m = append(append(m, s...), '\n')
	}
	return m
}
