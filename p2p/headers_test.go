package p2p

import (
	"fmt"
	"testing"

	"github.com/grapevine-live/grapevine/stream"
)

func TestOnlyWhatNoHonestPeerSendsIsPenalised(t *testing.T) {
	for err, want := range map[error]bool{
		stream.ErrForged:       true,
		stream.ErrMalformed:    true,
		stream.ErrStale:        true,
		stream.ErrAhead:        false,
		stream.ErrClock:        false,
		stream.ErrLate:         false,
		stream.ErrEquivocation: false,

		stream.ErrRevoked:           false,
		stream.ErrDelegationTime:    false,
		stream.ErrBadRevocations:    true,
		stream.ErrRevocationsForged: true,

		errTooManyRenditions: false,
		ErrClosed:            false,
	} {
		if _, got := refusal(fmt.Errorf("part: %w", err)); got != want {
			t.Errorf("%v: penalised: %t, want %t", err, got, want)
		}
	}
}
