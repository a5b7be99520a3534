package ingest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pion/webrtc/v4"
)

// noCodecs are what offers list beside codecs: repair, silence and dialling.
var noCodecs = []string{"rtx", "red", "ulpfec", "flexfec-03", "cn", "telephone-event"}

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
			if a.Key == "rtpmap" && !slices.Contains(names, name) && !slices.Contains(noCodecs, strings.ToLower(name)) {
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
