package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxIdentities bounds the nodes with a lasting identity that share a home. Further
// ones get a fresh identity each time.
const maxIdentities = 16

// identity is a node's key, which no other process uses while this one has it.
type identity struct {
	key     crypto.PrivKey
	file    string // "" if it is not kept
	release func() error
}

// identity takes the first of the home's node keys that no other process uses, and
// makes it unless it is there. Two nodes with one peer ID would shut each other out of
// every swarm, so broadcast and watch side by side take node.key and node-2.key.
func (h *home) identity() (*identity, error) {
	for i := range maxIdentities {
		name := identityFile(i)
		release, ok, err := h.lock(name + ".lock")
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		key, err := h.nodeKey(name)
		if err != nil {
			return nil, errors.Join(err, release())
		}
		return &identity{key, h.path(name), release}, nil
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make node key: %w", err)
	}
	return &identity{key, "", func() error { return nil }}, nil
}

func identityFile(i int) string {
	if i == 0 {
		return "node.key"
	}
	return fmt.Sprintf("node-%d.key", i+1)
}

// nodeKey reads a node's key, in libp2p's own serialisation, or makes it.
func (h *home) nodeKey(name string) (crypto.PrivKey, error) {
	raw, err := h.readSecret(name)
	if errors.Is(err, fs.ErrNotExist) {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make node key: %w", err)
		}
		raw, err := crypto.MarshalPrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("write node key: %w", err)
		}
		err = h.createSecret(raw, name)
		if !errors.Is(err, fs.ErrExist) {
			return key, err
		}
		return h.nodeKey(name) // "grapevine id" was first
	}
	if err != nil {
		return nil, unreadable(h.path(name), err)
	}
	key, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil {
		return nil, &keyError{h.path(name), err}
	}
	return key, nil
}

// checkPeer checks that a multiaddr names a peer and how to reach it.
func checkPeer(addr string) error {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	if len(info.Addrs) == 0 {
		return errors.New("it does not say how to reach the peer")
	}
	return nil
}
