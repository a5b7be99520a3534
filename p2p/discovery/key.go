package discovery

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// slotLength is for how long a stream has one key.
	slotLength = time.Hour
	// slotMargin is how long before and after its slot a key is provided.
	slotMargin = 10 * time.Minute
	// keyPrefix begins what a key is the hash of.
	keyPrefix = "/grapevine/stream/1/"
)

// Directory stands for a stream's ID in the keys of those who take part in the directory of public
// streams. No stream has it, as nobody knows a key to it.
var Directory = stream.ID(sha256.Sum256([]byte("/grapevine/directory/1")))

// slotAt returns the slot of a time.
func slotAt(t time.Time) uint64 { return uint64(t.Unix()) / uint64(slotLength/time.Second) }

// Slots returns those whose keys a node that holds a stream provides at a time: one, or
// two around the full hour.
func Slots(now time.Time) []uint64 {
	first, last := slotAt(now.Add(-slotMargin)), slotAt(now.Add(slotMargin))
	if first == last {
		return []uint64{first}
	}
	return []uint64{first, last}
}

// Key returns the key under which those who hold a stream are found in a slot; see the
// package's documentation.
func Key(id stream.ID, slot uint64) cid.Cid {
	text := append([]byte(keyPrefix), id[:]...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(text, slot))
	hash, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		panic(err) // only for hashes that multihash does not know
	}
	return cid.NewCidV1(cid.Raw, hash)
}
