package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// fetchTimeout bounds a whole request.
	fetchTimeout = 15 * time.Second
	// fetchSilence is how long a peer may send nothing before it is given up.
	fetchSilence = 2 * time.Second
)

// fetched is what came of a request.
type fetched struct {
	headers int // verified
	added   int // of those, new
	chunks  int // of those asked for
	peers   [][]byte
	issue   uint64 // of the peer's revocations, 0 for none
	err     error
}

// fetch sends a request to a peer and takes the answers as they come: headers into
// their timelines, chunks of the asked headers into the exchange.
func (s *Swarm) fetch(id peer.ID, req fetchRequest, asked []*stream.SignedHeader) (f fetched) {
	ctx, cancel := context.WithTimeout(s.ctx, fetchTimeout)
	defer cancel()
	f.err = s.doFetch(ctx, id, req, func(answer fetchResponse) error {
		return s.takeAnswer(ctx, id, req, answer, asked, &f)
	})
	return f
}

// doFetch sends a request to a peer and has the answers taken as they come. What take
// returns ends the request.
func (s *Swarm) doFetch(ctx context.Context, id peer.ID, req fetchRequest, take func(fetchResponse) error) error {
	// Only peers that are connected are asked; dialling is the dialer's business. Where a
	// direct connection is still to come, it is waited for so long.
	opening := network.WithDialPeerTimeout(network.WithNoDial(ctx, "fetch"), fetchSilence)
	if req.light() {
		opening = network.WithAllowLimitedConn(opening, "fetch")
	}
	str, err := s.node.host.NewStream(opening, id, fetchProtocol)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	defer str.Close()
	stop := context.AfterFunc(ctx, func() { str.Reset() })
	defer stop()

	w := bufio.NewWriter(str)
	if err := str.SetWriteDeadline(time.Now().Add(fetchSilence)); err != nil {
		return err
	}
	if err := writeFrame(w, req.marshal()); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	if err := str.CloseWrite(); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	r := bufio.NewReaderSize(str, maxResponseSize)
	for n := 0; ; n++ {
		if n > maxTimelineReply+maxPeersReply+maxFetchParts*stream.MaxChunks { // which is more than any answer has
			str.Reset()
			return fmt.Errorf("%w: an answer without end", errWire)
		}
		if err := str.SetReadDeadline(time.Now().Add(fetchSilence)); err != nil {
			return err
		}
		raw, err := readFrame(r, maxResponseSize)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			str.Reset()
			return fmt.Errorf("read answer: %w", err)
		}
		answer, err := parseFetchResponse(raw)
		if err == nil {
			err = take(answer)
		}
		if err != nil {
			str.Reset()
			return err
		}
	}
}

// takeAnswer handles one response. An error means that the peer does not keep to the
// protocol.
func (s *Swarm) takeAnswer(ctx context.Context, id peer.ID, req fetchRequest, answer fetchResponse, asked []*stream.SignedHeader, f *fetched) error {
	switch {
	case answer.header != nil:
		if stream.AreRevocations(answer.header) && (req.timeline != nil || req.revocations != nil) {
			return s.takeFetchedRevocations(id, answer.header, f)
		}
		if req.timeline == nil {
			return fmt.Errorf("%w: a header that was not asked for", errWire)
		}
		h, err := s.roles.OpenHeader(answer.header)
		if err != nil {
			s.refuseFetched(id, err)
			return err
		}
		f.headers++
		if err := s.admit(h, false); err == nil {
			f.added++
		} else if !errors.Is(err, stream.ErrKnown) && !errors.Is(err, stream.ErrStale) {
			reason, _ := refusal(err)
			s.countRefusedHeader(id, reason)
			if errors.Is(err, stream.ErrEquivocation) {
				s.dispute(h)
			}
		}
	case answer.chunk != nil:
		c := answer.chunk
		if c.part >= len(asked) || !req.parts[c.part].want.Get(c.index) {
			err := fmt.Errorf("%w: a chunk that was not asked for", errWire)
			s.refuse(id, refusedUnsolicited, err)
			return err
		}
		f.chunks++
		var refused error
		if err := s.send(ctx, func(now time.Time) {
			refused = s.exchange.onChunk(id, asked[c.part].ID(), chunkMessage{index: c.index, data: c.data}, true, now)
		}); err != nil {
			return err
		}
		return refused
	case answer.peerRecord != nil:
		if len(f.peers) < maxPeersReply {
			f.peers = append(f.peers, answer.peerRecord)
		}
	}
	return nil
}

// refuseFetched counts and penalises what no honest peer answers.
func (s *Swarm) refuseFetched(id peer.ID, err error) {
	reason, penalty := refusal(err)
	s.countRefusedHeader(id, reason)
	if penalty {
		s.fault(id, misconduct(reason))
	}
	s.lowerScore(id)
	s.log.Debug("header refused", "peer", id, "reason", reason, "err", err)
}

// takeFetchedRevocations takes what a peer answers that it knows of revocations.
func (s *Swarm) takeFetchedRevocations(id peer.ID, raw []byte, f *fetched) error {
	l, err := stream.OpenRevocations(s.id, raw)
	if err != nil {
		s.refuseFetched(id, err)
		return err
	}
	f.issue = l.Issue
	if s.adopt(l) {
		s.spreadRevocations(raw)
	}
	return nil
}
