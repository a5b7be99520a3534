package ingest

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// opusFrame is how long most of Opus's frames last.
const opusFrame = second / 50

// whipEvent is a packet of a track, or a report on it.
type whipEvent struct {
	video  bool
	at     time.Time // it came
	packet *rtp.Packet
	report *rtcp.SenderReport // if not nil
}

// whipFrame is a frame of one track.
type whipFrame struct {
	track *whipTrack
	ts    int64    // RTP's, unwrapped
	units [][]byte // of an access unit, or one audio frame
}

// at returns the frame's time, in the ticks that all tracks share.
func (f whipFrame) at() int64 { return f.track.clock.shared(f.ts) }

// place orders frames by their time, pictures in front of sound that is heard with them:
// what comes before the first one is left out.
func (f whipFrame) place() int64 {
	if f.track.video {
		return f.at() - opusFrame
	}
	return f.at()
}

// whipTrack is one track of a WebRTC publisher.
type whipTrack struct {
	*remuxTrack
	video bool
	clock rtpClock
	order reorderer
	sends bool  // a frame came
	last  int64 // ticks of the last frame that was written
	wrote bool
}
