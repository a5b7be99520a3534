package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

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
