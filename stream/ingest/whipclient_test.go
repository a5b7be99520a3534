package ingest

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	rtpcodecs "github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// whipClient is a WebRTC publisher.
type whipClient struct {
	t            testing.TB
	pc           *webrtc.PeerConnection
	endpoint     string
	location     string
	video, audio *webrtc.TrackLocalStaticRTP
	ssrcs        map[webrtc.TrackLocal]webrtc.SSRC
	seq          map[webrtc.TrackLocal]uint16
	payloader    rtpcodecs.H264Payloader
	keyframes    chan struct{} // one was asked for
	connected    chan struct{}
}

// newWHIPClient makes a publisher of a clip's tracks. A lossy one loses packets, and
// sends them again when it is asked to.
func newWHIPClient(t testing.TB, addr string, c clip, lossy bool) *whipClient {
	t.Helper()
	media, interceptors := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	if err := webrtc.ConfigureTWCCHeaderExtensionSender(media, interceptors); err != nil {
		t.Fatal(err)
	}
	media.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBTransportCC}, webrtc.RTPCodecTypeVideo)
	if lossy {
		responder, err := nack.NewResponderInterceptor()
		if err != nil {
			t.Fatal(err)
		}
		interceptors.Add(&loses{})
		interceptors.Add(responder)
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors), webrtc.WithSettingEngine(settings))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	w := &whipClient{
		t: t, pc: pc, endpoint: "http://" + addr + "/live", keyframes: make(chan struct{}, 100), connected: make(chan struct{}),
		ssrcs: make(map[webrtc.TrackLocal]webrtc.SSRC), seq: make(map[webrtc.TrackLocal]uint16),
	}
	t.Cleanup(func() { pc.GracefulClose() })
	if !c.noVideo {
		w.video = w.track(webrtc.MimeTypeH264, "video")
	}
	if !c.noAudio {
		w.audio = w.track(webrtc.MimeTypeOpus, "audio")
	}
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			close(w.connected)
		}
	})
	return w
}

func (w *whipClient) track(mime, name string) *webrtc.TrackLocalStaticRTP {
	w.t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, name, "clip")
	if err != nil {
		w.t.Fatal(err)
	}
	transceiver, err := w.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		w.t.Fatal(err)
	}
	sender := transceiver.Sender()
	w.ssrcs[track] = sender.GetParameters().Encodings[0].SSRC
	w.seq[track] = 65500 // wraps soon
	go func() {
		for {
			packets, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				if _, ok := p.(*rtcp.PictureLossIndication); ok {
					w.keyframes <- struct{}{}
				}
			}
		}
	}()
	return track
}

// loses is an interceptor that does not send each seventh packet of the video, at first.
type loses struct{ interceptor.NoOp }

func (*loses) NewInterceptor(string) (interceptor.Interceptor, error) { return &loses{}, nil }

func (*loses) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	if info.MimeType != webrtc.MimeTypeH264 {
		return next
	}
	sent := make(map[uint16]bool)
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if first := !sent[h.SequenceNumber]; first {
			sent[h.SequenceNumber] = true
			if h.SequenceNumber%7 == 3 {
				return len(payload), nil
			}
		}
		return next.Write(h, payload, a)
	})
}

// offer returns an offer with all candidates.
func (w *whipClient) offer() string {
	w.t.Helper()
	offer, err := w.pc.CreateOffer(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(w.pc)
	if err := w.pc.SetLocalDescription(offer); err != nil {
		w.t.Fatal(err)
	}
	<-gathered
	return w.pc.LocalDescription().SDP
}

// whipRequest asks the endpoint for something, with the key if there is one.
func whipRequest(t testing.TB, method, url, key, contentType, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// publish begins a session.
func (w *whipClient) publish() {
	w.t.Helper()
	resp, answer := whipRequest(w.t, http.MethodPost, w.endpoint, testKey, sdpType, w.offer())
	if resp.StatusCode != http.StatusCreated {
		w.t.Fatalf("%s: %s", resp.Status, answer)
	}
	location, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.location = location.String()
	if err := w.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		w.t.Fatal(err)
	}
	<-w.connected
}

// unpublish ends the session.
func (w *whipClient) unpublish() {
	w.t.Helper()
	if resp, text := whipRequest(w.t, http.MethodDelete, w.location, testKey, "", ""); resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s", resp.Status, text)
	}
}

// write sends a frame's packets.
func (w *whipClient) write(track *webrtc.TrackLocalStaticRTP, ts uint32, payloads [][]byte) {
	w.t.Helper()
	for i, payload := range payloads {
		w.seq[track]++
		p := &rtp.Packet{Header: rtp.Header{
			Version: 2, SequenceNumber: w.seq[track], Timestamp: ts, Marker: i == len(payloads)-1,
		}, Payload: payload}
		if err := track.WriteRTP(p); err != nil {
			w.t.Fatal(err)
		}
	}
}

// whipEpoch is when the clips' first frame was captured, by the publisher's clock.
const whipEpoch = 3_900_000_000 << 32

// report tells which of a track's timestamps is whipEpoch.
func (w *whipClient) report(track *webrtc.TrackLocalStaticRTP, ts uint32) {
	w.t.Helper()
	report := &rtcp.SenderReport{SSRC: uint32(w.ssrcs[track]), NTPTime: whipEpoch, RTPTime: ts}
	if err := w.pc.WriteRTCP([]rtcp.Packet{report}); err != nil {
		w.t.Fatal(err)
	}
}

// The tracks' clocks have nothing in common but the reports, and wrap.
const (
	videoZero = 1<<32 - 90000
	audioZero = 1<<32 - 480
)

// send publishes a clip, which has Opus, with reports, and returns what it sent.
func (w *whipClient) send(c clip, pause time.Duration) (video, audio []frame) {
	w.t.Helper()
	c.each(func(f frame, au [][]byte) {
		var payloads [][]byte
		for _, unit := range au {
			payloads = append(payloads, w.payloader.Payload(1200, unit)...)
		}
		w.write(w.video, videoZero+uint32(f.pts), payloads)
		w.report(w.video, videoZero)
		video = append(video, f)
		time.Sleep(pause)
	}, func(f frame, data []byte) {
		w.write(w.audio, audioZero+uint32(f.pts*8/15), [][]byte{data})
		w.report(w.audio, audioZero)
		audio = append(audio, f)
	})
	return video, audio
}
