package p2p

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// failingHost opens no streams.
type failingHost struct {
	host.Host
	err error
}

func (h failingHost) NewStream(ctx context.Context, _ peer.ID, _ ...protocol.ID) (network.Stream, error) {
	if h.err == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, h.err
}

// A ping that this node could not send shows nothing of whether the peer hears.
func TestOnlyWhoWasAskedAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		err           error
		answers, asks bool
	}{
		"it says nothing":              {nil, false, true},
		"it refuses":                   {&network.StreamError{Remote: true, ErrorCode: 1}, true, true},
		"this node has too many":       {fmt.Errorf("new stream: %w", network.ErrResourceLimitExceeded), false, false},
		"there is no connection to it": {fmt.Errorf("new stream: %w", network.ErrNoConn), false, false},
	} {
		n := &Node{log: slog.New(slog.DiscardHandler), host: failingHost{err: c.err}}
		answers, err := n.answers(t.Context(), "peer", 10*time.Millisecond)
		if answers != c.answers || (err == nil) != c.asks {
			t.Errorf("%s: it answers: %t, %v", name, answers, err)
		}
	}
}
