package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// ErrNoMedia says that a WebRTC publisher was let in, but nothing of it came by UDP.
var ErrNoMedia = errors.New("no connection by UDP")

const (
	// iceDisconnected is after how long without a packet a path counts as broken, iceFailed
	// how much later the publisher counts as gone, and iceKeepAlive how often paths are
	// tried.
	iceDisconnected = 3 * time.Second
	iceFailed       = 5 * time.Second
	iceKeepAlive    = time.Second
	// replayWindow is how many packets a retransmitted one may be behind: half a second
	// at 20 Mbit/s.
	replayWindow = 1024
)

// h264Profiles are those that browsers and OBS offer, by their profile-level-id (RFC 6184,
// section 8.1): baseline, constrained baseline, main, constrained high and high. Levels
// need not be equal.
var h264Profiles = []string{"42001f", "42e01f", "4d001f", "640c1f", "64001f"}

// newWebRTC returns what makes peer connections that receive H.264 and Opus at the
// addresses of mux, and look for no others.
func newWebRTC(mux ice.UDPMux, log *slog.Logger) (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	if err := registerCodecs(media); err != nil {
		return nil, err
	}
	interceptors := &interceptor.Registry{}
	if err := errors.Join(
		webrtc.ConfigureNack(media, interceptors),
		webrtc.ConfigureRTCPReports(interceptors),
		webrtc.ConfigureTWCCSender(media, interceptors),
	); err != nil {
		return nil, err
	}
	settings := webrtc.SettingEngine{LoggerFactory: pionLogs{log}}
	settings.SetICEUDPMux(mux)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetICETimeouts(iceDisconnected, iceFailed, iceKeepAlive)
	settings.SetSRTPReplayProtectionWindow(replayWindow)
	// The publisher may begin as soon as it has the answer.
	if err := settings.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors), webrtc.WithSettingEngine(settings)), nil
}

func registerCodecs(media *webrtc.MediaEngine) error {
	payload := webrtc.PayloadType(96)
	var failed error
	register := func(kind webrtc.RTPCodecType, c webrtc.RTPCodecCapability) {
		failed = errors.Join(failed, media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: payload}, kind))
		payload++
	}
	for _, mode := range []int{1, 0} { // RFC 6184, section 6: several NAL units a packet, or one
		for _, profile := range h264Profiles {
			register(webrtc.RTPCodecTypeVideo, webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
				SDPFmtpLine:  fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s", mode, profile),
				RTCPFeedback: []webrtc.RTCPFeedback{{Type: webrtc.TypeRTCPFBGoogREMB}, {Type: webrtc.TypeRTCPFBCCM, Parameter: "fir"}},
			})
		}
	}
	register(webrtc.RTPCodecTypeAudio, webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1;stereo=1",
	})
	return failed
}

// checkOffer returns which kinds of media a publisher offers, or why it cannot be taken.
func checkOffer(offer webrtc.SessionDescription) (video, audio bool, err error) {
	parsed, err := offer.Unmarshal()
	if err != nil {
		return false, false, fmt.Errorf("%w: %w", errNoOffer, err)
	}
	plays := false
	for _, m := range parsed.MediaDescriptions {
		kind, codec := m.MediaName.Media, "H264"
		if kind == "audio" {
			codec = "opus"
		}
		if kind != "video" && kind != "audio" || m.MediaName.Port.Value == 0 {
			continue
		}
		if _, receives := m.Attribute("recvonly"); receives {
			plays = true
			continue
		}
		if _, inactive := m.Attribute("inactive"); inactive {
			continue
		}
		var names []string
		for _, a := range m.Attributes {
			_, encoding, _ := strings.Cut(a.Value, " ")
			name, _, _ := strings.Cut(encoding, "/")
			if a.Key == "rtpmap" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, codec) }) {
			return false, false, &UnsupportedCodecError{Kind: kind, Codec: strings.ToValidUTF8(strings.Join(names, ", "), "?")}
		}
		video, audio = video || kind == "video", audio || kind == "audio"
	}
	switch {
	case video || audio:
		return video, audio, nil
	case plays:
		return false, false, ErrPlays
	}
	return false, false, fmt.Errorf("%w: the offer has none", ErrNoTracks)
}

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

// withStereo says in an answer that Opus may come in stereo, which browsers send to those
// only who say so (RFC 7587, section 6.1). pion repeats what the publisher itself wants.
func withStereo(answer string) string {
	_, after, ok := strings.Cut(answer, "\r\na=fmtp:"+opusPayload(answer)+" ")
	if line, _, _ := strings.Cut(after, "\r\n"); ok && !strings.Contains(line, "stereo=1") {
		before := strings.TrimSuffix(answer, after)
		return before + "stereo=1;" + after
	}
	return answer
}

// opusPayload returns the payload type of Opus in an answer.
func opusPayload(answer string) string {
	before, _, ok := strings.Cut(answer, " opus/48000/2\r\n")
	if !ok {
		return ""
	}
	return before[strings.LastIndex(before, ":")+1:]
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	if s.taken[slot] {
		s.log.Warn("publisher sends a second track of a kind, which is left out", "kind", t.Kind().String())
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

// pionLogs has pion log as we do. What it says is for those who look for errors in it.
type pionLogs struct{ log *slog.Logger }

func (l pionLogs) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{l.log.With("pion", scope)}
}

type pionLog struct{ log *slog.Logger }

func (l pionLog) say(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

func (pionLog) Trace(string)                        {}
func (pionLog) Tracef(string, ...any)               {}
func (pionLog) Debug(string)                        {}
func (pionLog) Debugf(string, ...any)               {}
func (l pionLog) Info(msg string)                   { l.say("%s", msg) }
func (l pionLog) Infof(format string, args ...any)  { l.say(format, args...) }
func (l pionLog) Warn(msg string)                   { l.say("%s", msg) }
func (l pionLog) Warnf(format string, args ...any)  { l.say(format, args...) }
func (l pionLog) Error(msg string)                  { l.say("%s", msg) }
func (l pionLog) Errorf(format string, args ...any) { l.say(format, args...) }
