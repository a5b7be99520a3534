package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// ErrNoMedia says that a WebRTC publisher was let in, but nothing of it came by UDP.
var ErrNoMedia = errors.New("no connection by UDP")

// whipSession is a publisher's session: a peer connection, and what comes by it.
type whipSession struct {
	id   string // in its URL, which only the publisher knows
	from string
	pc   *webrtc.PeerConnection
	feed *whipFeed
	log  *slog.Logger

	connected chan struct{}
	over      chan struct{} // closed when why is set
	once      sync.Once
	why       error

	mu      sync.Mutex // guards all following
	taken   [2]bool    // there is a track of video, or audio
	closing bool
	readers sync.WaitGroup
}

// newWHIPSession makes a peer connection for an offer that was checked.
func newWHIPSession(api *webrtc.API, from string, feed *whipFeed, log *slog.Logger) (*whipSession, error) {
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, fmt.Errorf("make a peer connection: %w", err)
	}
	s := &whipSession{
		id: rand.Text(), from: from, pc: pc, feed: feed, log: log,
		connected: make(chan struct{}), over: make(chan struct{}),
	}
	feed.askKeyframe = func(ssrc uint32) {
		if err := pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}}); err != nil {
			log.Debug("cannot ask for a keyframe", "err", err)
		}
	}
	pc.OnTrack(s.track)
	var connected sync.Once
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		log.Debug("WebRTC connection", "from", from, "state", state.String())
		switch state {
		case webrtc.PeerConnectionStateConnected:
			connected.Do(func() { close(s.connected) })
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			s.end(io.ErrUnexpectedEOF)
		}
	})
	return s, nil
}

// answer answers an offer, with all candidates that there are.
func (s *whipSession) answer(ctx context.Context, offer webrtc.SessionDescription) (string, error) {
	if err := s.pc.SetRemoteDescription(offer); err != nil {
		return "", fmt.Errorf("%w: %w", errNoOffer, err)
	}
	answer, err := s.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoOffer, err)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("answer the offer: %w", err)
	}
	select {
	case <-gathered:
		return withStereo(s.pc.LocalDescription().SDP), nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// run lets the publisher in once it is connected, and returns when its session is over.
func (s *whipSession) run(ctx context.Context, r *reception) {
	entered := false
	defer func() {
		if !entered {
			s.feed.Close() // nobody reads it
		}
		s.close()
	}()
	timer := time.NewTimer(maxGreeting)
	defer timer.Stop()
	select {
	case <-s.connected:
	case <-timer.C:
		r.refuse(s.from, fmt.Errorf("%w within %v", ErrNoMedia, maxGreeting))
		return
	case <-s.over:
		if s.why == io.ErrUnexpectedEOF {
			r.refuse(s.from, ErrNoMedia)
		}
		return
	case <-ctx.Done():
		return
	}
	if err := r.enter(&encoder{ReadCloser: s.feed, from: s.from, whole: true, heldFor: s.feed.heldFor}); err != nil {
		if ctx.Err() == nil {
			r.refuse(s.from, err)
		}
		return
	}
	entered = true
	select {
	case <-s.over:
	case <-s.feed.stop:
	case <-ctx.Done():
	}
}

// end ends the session. The publisher ended it if why is io.EOF.
func (s *whipSession) end(why error) {
	s.once.Do(func() {
		s.why = why
		close(s.over)
	})
}

// close closes the connection, and returns when all that came by it is delivered.
func (s *whipSession) close() {
	s.end(net.ErrClosed)
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	if err := s.pc.Close(); err != nil {
		s.log.Debug("WebRTC connection does not close well", "err", err)
	}
	s.readers.Wait()
	s.feed.end(s.why)
}

// track reads a track, the first of its kind: HLS has one video per rendition.
func (s *whipSession) track(t *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	video, slot := t.Kind() == webrtc.RTPCodecTypeVideo, 0
	if !video {
		slot = 1
	}
	offered := video && s.feed.video != nil || !video && s.feed.audio != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	if s.taken[slot] || !offered {
		s.log.Warn("publisher sends a track too many, which is left out", "kind", t.Kind().String())
		return
	}
	s.taken[slot] = true
	s.readers.Go(func() { s.readPackets(t, video) })
	s.readers.Go(func() { s.readReports(receiver, video) })
}

func (s *whipSession) readPackets(t *webrtc.TrackRemote, video bool) {
	for {
		p, _, err := t.ReadRTP()
		if err != nil || !s.feed.deliver(whipEvent{video: video, at: time.Now(), packet: p}) {
			return
		}
	}
}

// readReports reads what pion's interceptors need to see, too.
func (s *whipSession) readReports(receiver *webrtc.RTPReceiver, video bool) {
	for {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			report, ok := p.(*rtcp.SenderReport)
			if ok && !s.feed.deliver(whipEvent{video: video, at: time.Now(), report: report}) {
				return
			}
		}
	}
}
