package p2p_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// rewinds has the victim join with the origin, and learn of the past.
func (r *rewind) rewinds(t *testing.T, peers ...int) *p2p.Swarm {
	t.Helper()
	viewer := join(t, r.net, 1, signed(t, r.key, r.net, peers...))
	time.Sleep(5 * time.Second) // what the broadcaster has no more of the beginning came, too
	learn(t, viewer)
	return viewer
}

// TestWhoRewindsGetsFromAnOriginWhatPeersLack has the only peer hold the newest segments, and
// then no peer at all.
func TestWhoRewindsGetsFromAnOriginWhatPeersLack(t *testing.T) {
	t.Parallel()
	for name, peers := range map[string][]int{"a peer": {0}, "no peer": nil} {
		synctest.Test(t, func(t *testing.T) {
			r := newRewind(t, 0)
			defer r.close()
			viewer := r.rewinds(t, peers...)
			if first := viewer.Timelines()[0].From(stream.Position{})[0].Position; first != (stream.Position{Epoch: 1}) {
				t.Errorf("%s: the timeline begins with %v, want the stream's first part", name, first)
			}
			r.stop()
			sent := <-r.sent
			before := viewer.Stats()
			for segment := range uint64(4) {
				rewound(t, viewer, sent, segment)
			}
			s := viewer.Stats()
			if s.OriginPastBytes == 0 || s.OriginHeaders == 0 || s.PastChunks != before.PastChunks {
				t.Errorf("%s: %d bytes and %d headers from the origin, %d chunks from peers", name, s.OriginPastBytes, s.OriginHeaders, s.PastChunks)
			}
			if len(s.OriginFailures) != 0 || s.OriginInVain != 0 || s.PastClaims != 0 {
				t.Errorf("%s: failures %v, %d chunks in vain, %d false claims", name, s.OriginFailures, s.OriginInVain, s.PastClaims)
			}
			if from := s.OriginBytes - before.OriginBytes; from != s.OriginPastBytes {
				t.Errorf("%s: %d bytes came from the origin, %d of them of the past", name, from, s.OriginPastBytes)
			}
		})
	}
}

func TestWhoRewindsAsksPeersThatHoldThePast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRewind(t, 0)
		defer r.close()
		r.net.Cut(2, false)
		viewer := r.rewinds(t, 0, 2)
		r.stop()
		sent := <-r.sent
		for segment := range uint64(4) {
			rewound(t, viewer, sent, segment)
		}
		s := viewer.Stats()
		if s.PastChunks == 0 || s.OriginPastBytes != 0 {
			t.Errorf("%d chunks from peers, %d bytes from the origin", s.PastChunks, s.OriginPastBytes)
		}
	})
}

// TestAnOriginBringsWhatAPeerIsTooSlowFor has a peer that holds the past claim it, and never
// answer who asks for a segment.
func TestAnOriginBringsWhatAPeerIsTooSlowFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRewind(t, 1)
		defer r.close()
		viewer := r.rewinds(t, 0)
		a := newAttacker(t, r.net.Host(3), r.stream)
		defer a.stop()
		silent := make(chan struct{})
		defer close(silent)
		a.host.SetStreamHandler("/grapevine/fetch/1", func(s network.Stream) {
			defer s.Close()
			raw, err := io.ReadAll(s)
			if headers := asksOfThePast(raw); err == nil && headers != nil && *headers == 0 {
				_, _ = s.Write(spanTo(5))
			} else {
				<-silent
			}
		})
		r.net.Connect(3, 1)
		time.Sleep(2 * time.Second)
		learn(t, viewer)
		r.stop()
		sent := <-r.sent
		began := time.Now()
		rewound(t, viewer, sent, 2)
		if took := time.Since(began); took < time.Second || took > 3*time.Second || viewer.Stats().OriginPastBytes == 0 {
			t.Errorf("the origin brought %d bytes after %v, want the segment after 2s", viewer.Stats().OriginPastBytes, took)
		}
		began = time.Now()
		rewound(t, viewer, sent, 3) // and the peer is not waited for again so soon
		if took := time.Since(began); took > time.Second {
			t.Errorf("the next segment took %v", took)
		}
	})
}

// TestAnOriginThatFailsWhoRewinds has an origin fail after it said what it holds. Then an
// honest relay gives the segment.
func TestAnOriginThatFailsWhoRewinds(t *testing.T) {
	t.Parallel()
	status := func(code int) func(*p2ptest.Origin) http.HandlerFunc {
		return func(*p2ptest.Origin) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
		}
	}
	for reason, c := range map[string]struct {
		fault func(*p2ptest.Origin) http.HandlerFunc
		most  int64 // requests within what a player waits
		again bool  // it is asked again half a minute later
		err   error
	}{
		"forged":   {func(o *p2ptest.Origin) http.HandlerFunc { return o.Forge }, 1, false, p2p.ErrNotHeld},
		"missing":  {status(http.StatusNotFound), 1, false, p2p.ErrNotHeld},
		"status":   {status(http.StatusInternalServerError), 6, true, p2p.ErrNotHeld},
		"busy":     {status(http.StatusServiceUnavailable), 6, true, p2p.ErrNotHeld},
		"slow":     {func(*p2ptest.Origin) http.HandlerFunc { return p2ptest.Stall }, 6, true, context.DeadlineExceeded},
		"redirect": {func(*p2ptest.Origin) http.HandlerFunc { return redirect }, 6, true, p2p.ErrNotHeld},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRewind(t, 0)
			defer r.close()
			viewer := r.rewinds(t, 0)
			_, before := r.origin.Served()
			r.origin.Fail(c.fault(r.origin))
			ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
			defer cancel()
			if _, err := viewer.FetchPast(ctx, "main", 1, 2); !errors.Is(err, c.err) {
				t.Errorf("%s: error %v, want %v", reason, err, c.err)
			}
			s := viewer.Stats()
			_, asked := r.origin.Served()
			underWay := asked - before - s.OriginFailures[reason]
			if gaveUp := errors.Is(c.err, context.DeadlineExceeded); underWay < 0 || underWay > 1 || underWay == 1 && !gaveUp || len(s.OriginFailures) != 1 || asked-before > c.most {
				t.Errorf("%s: failures %v after %d requests", reason, s.OriginFailures, asked-before)
			}
			if s.OriginPastBytes != 0 || s.Penalties != 0 {
				t.Errorf("%s: %d bytes were kept, and peers penalised %d times", reason, s.OriginPastBytes, s.Penalties)
			}
			time.Sleep(25 * time.Second)
			learn(t, viewer)
			if _, now := r.origin.Served(); (now > asked) != c.again {
				t.Errorf("%s: asked %d times more half a minute later", reason, now-asked)
			}
			sent := r.helped(t, viewer)
			rewound(t, viewer, sent, 2)
		})
	}
}

// TestHeadersOfThePastFromAnOriginAreVerified has an origin lie about what was before.
func TestHeadersOfThePastFromAnOriginAreVerified(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRewind(t, 0)
		defer r.close()
		viewer := join(t, r.net, 1, signed(t, r.key, r.net, 0))
		time.Sleep(5 * time.Second)
		r.origin.Fail(r.origin.Forge)
		learn(t, viewer)
		s := viewer.Stats()
		if s.OriginFailures["forged"] != 1 || len(s.OriginFailures) != 1 {
			t.Errorf("failures %v, want that it forged once", s.OriginFailures)
		}
		sent := r.helped(t, viewer)
		for _, h := range viewer.Timelines()[0].From(stream.Position{}) {
			if _, ok := sent[h.Position]; !ok && !h.End {
				t.Errorf("the timeline has %v, which was not broadcast", h.Position)
			}
		}
		rewound(t, viewer, sent, 2)
	})
}
