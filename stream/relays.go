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
	// maxRelaySize bounds a peer ID in bytes. What is longer is a delegation.
	maxRelaySize  = 128
	relaysContext = "grapevine trusted relays v1\n"
)

var (
	// ErrNotARelay is wrapped by errors about what cannot name a trusted relay.
	ErrNotARelay = errors.New("not a relay's peer ID")
	// ErrNoRelays says that a link lacks the trusted relays that its invite is confined to.
	ErrNoRelays = errors.New("its trusted relays were left out")
	// ErrRelaysForged is wrapped by errors about a link's trusted relays that the stream's key did not
	// sign, or which have a delegation that is not theirs.
	ErrRelaysForged = errors.New("its trusted relays are not signed by the stream's broadcaster")
)

// Relay is a trusted relay, as a list of them names it.
type Relay struct {
	ID string // the peer ID of one that is trusted for as long as the list is; "" if there is a Word
	// Word is the stream's key's, that the node of a key is a trusted relay for a while. Whether it
	// holds, and was not revoked, is for who connects to the relay.
	Word *Delegation
}

// String writes the relay as links carry it: its peer ID, or its delegation in base64url without
// padding.
func (r Relay) String() string {
	if r.Word == nil {
		return r.ID
	}
	return base64.RawURLEncoding.EncodeToString(r.Word.raw)
}

// parseRelay reads what [Relay.String] writes. Errors wrap [ErrNotARelay] or [ErrRelaysForged].
func parseRelay(id ID, s string) (Relay, error) {
	if len(s) <= maxRelaySize {
		return Relay{ID: s}, checkRelay(id, Relay{ID: s})
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return Relay{}, fmt.Errorf("%w: %d bytes", ErrNotARelay, len(s))
	}
	word, err := OpenDelegation(id, raw)
	switch {
	case errors.Is(err, ErrBadDelegation):
		return Relay{}, fmt.Errorf("%w: %w", ErrNotARelay, err)
	case err != nil:
		return Relay{}, fmt.Errorf("%w: %w", ErrRelaysForged, err)
	}
	return Relay{Word: word}, checkRelay(id, Relay{Word: word})
}

func checkRelay(id ID, r Relay) error {
	switch {
	case r.Word == nil && (r.ID == "" || len(r.ID) > maxRelaySize || !printable(r.ID)):
		return fmt.Errorf("%w: %q", ErrNotARelay, r.ID)
	case r.Word == nil:
		return nil
	case r.ID != "" || r.Word.Stream != id:
		return fmt.Errorf("%w: a delegation of another stream", ErrNotARelay)
	}
	if err := r.Word.is(RoleRelay); err != nil {
		return fmt.Errorf("%w: %w", ErrRelaysForged, err)
	}
	return nil
}

// Relays are the peers that a stream's broadcaster has signed to be the only ones to whom its
// viewers connect, in its order. The zero value is none: viewers connect to each other.
type Relays struct {
	list      []Relay
	signature []byte
	by        *Delegation
}

// List returns the relays. They must not be changed.
func (r Relays) List() []Relay { return r.list }

// Delegation returns what let another key name the relays; nil if the stream's own key did.
func (r Relays) Delegation() *Delegation { return r.by }

// Signature returns the signature as links carry it, "" for no relays.
func (r Relays) Signature() string { return base64.RawURLEncoding.EncodeToString(r.signature) }

// SignRelays names the trusted relays of the key's stream: whoever dials them checks their peer IDs.
// Errors wrap [ErrNotARelay], [ErrRelaysForged] or [ErrDelegationRole].
func (k Key) SignRelays(list []Relay) (Relays, error) {
	if len(list) == 0 {
		return Relays{}, nil
	}
	if err := errors.Join(checkRelays(k.ID(), list), k.may(RoleBroadcast)); err != nil {
		return Relays{}, err
	}
	return Relays{list, k.signMessage(relaysMessage(k.ID(), list)), k.by}, nil
}

// OpenRelays checks that id's key signed the relays, in this order, or a delegate if there is a
// delegation, and the relays' own delegations. Errors wrap [ErrNotARelay] or [ErrRelaysForged].
func OpenRelays(id ID, names []string, signature string, by *Delegation) (Relays, error) {
	if len(names) == 0 && signature == "" {
		return Relays{}, nil
	}
	if len(names) > MaxRelays { // before each costs a signature's check
		return Relays{}, fmt.Errorf("%w: %d of them, at most %d are allowed", ErrNotARelay, len(names), MaxRelays)
	}
	list := make([]Relay, len(names))
	for i, s := range names {
		var err error
		if list[i], err = parseRelay(id, s); err != nil {
			return Relays{}, err
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !verify(id, by, relaysMessage(id, list), raw) {
		return Relays{}, ErrRelaysForged
	}
	return Relays{list, raw, by}, nil
}

// peerPrefix is what a peer ID in its binary form has before an Ed25519 key: 0x00 identity, 36 bytes;
// field 1, 1: Ed25519; field 2, 32 bytes (peer IDs specification, "identity" multihash of a PublicKey).
const peerPrefix = "\x00\x24\x08\x01\x12\x20"

// PeerKey returns the Ed25519 key that a peer ID in its binary form is of, so that a relay can be
// delegated to, and revoked. Errors wrap [ErrNotARelay]: the ID is of another kind of key.
func PeerKey(binary string) (key ID, err error) {
	raw, ok := strings.CutPrefix(binary, peerPrefix)
	if !ok || len(raw) != len(key) {
		return key, fmt.Errorf("%w: it is of no Ed25519 key", ErrNotARelay)
	}
	return ID([]byte(raw)), nil
}

// KeyPeer returns the peer ID of a key in its binary form, which [PeerKey] reads.
func KeyPeer(key ID) (binary string) { return peerPrefix + string(key[:]) }

func checkRelays(id ID, list []Relay) error {
	if len(list) > MaxRelays {
		return fmt.Errorf("%w: %d of them, at most %d are allowed", ErrNotARelay, len(list), MaxRelays)
	}
	for _, r := range list {
		if err := checkRelay(id, r); err != nil {
			return err
		}
	}
	return nil
}

// relaysMessage is what is signed: a line for each relay, in which there is no line feed.
func relaysMessage(id ID, list []Relay) []byte {
	m := append([]byte(relaysContext), id[:]...)
	for _, r := range list {
		m = append(append(m, r.String()...), '\n')
	}
	return m
}
