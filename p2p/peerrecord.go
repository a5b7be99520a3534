package p2p

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
)

var errPeerRecord = errors.New("bad peer record")

// openPeerRecord opens a signed envelope with a peer record (libp2p RFC 0003) and
// checks that the peer that it speaks of signed it.
func openPeerRecord(raw []byte) (*peer.PeerRecord, error) {
	envelope, rec, err := record.ConsumeEnvelope(raw, peer.PeerRecordEnvelopeDomain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPeerRecord, err)
	}
	pr, ok := rec.(*peer.PeerRecord)
	if !ok {
		return nil, fmt.Errorf("%w: it holds %T", errPeerRecord, rec)
	}
	if !pr.PeerID.MatchesPublicKey(envelope.PublicKey) {
		return nil, fmt.Errorf("%w: signed by another peer", errPeerRecord)
	}
	return pr, nil
}
