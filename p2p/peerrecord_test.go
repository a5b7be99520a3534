package p2p

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"
)

func newIdentity(t *testing.T) (crypto.PrivKey, peer.ID) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, id
}

func seal(t *testing.T, key crypto.PrivKey, of peer.ID) []byte {
	t.Helper()
	envelope, err := record.Seal(peer.PeerRecordFromAddrInfo(peer.AddrInfo{
		ID:    of,
		Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/203.0.113.9/udp/4001/quic-v1")},
	}), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := envelope.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAPeerRecordIsSignedByThePeerThatItSpeaksOf(t *testing.T) {
	key, id := newIdentity(t)
	_, other := newIdentity(t)
	good := seal(t, key, id)
	rec, err := openPeerRecord(good)
	if err != nil || rec.PeerID != id || len(rec.Addrs) != 1 {
		t.Errorf("a good record reads as %+v, %v", rec, err)
	}
	changed := bytes.Clone(good)
	changed[len(changed)-1] ^= 1
	for name, raw := range map[string][]byte{
		"signed by another peer": seal(t, key, other),
		"nothing":                nil,
		"cut short":              good[:len(good)-1],
		"changed":                changed,
		"no envelope":            []byte("grapes"),
	} {
		if rec, err := openPeerRecord(raw); !errors.Is(err, errPeerRecord) || rec != nil {
			t.Errorf("%s: %+v, error %v, want one that wraps errPeerRecord", name, rec, err)
		}
	}
}
