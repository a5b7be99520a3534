package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/pion/rtp"
)

const (
	// maxWHIPHeld is for how long, and maxWHIPHeldBytes up to which size, frames are held
	// until all tracks that were offered send, and their reports say how they belong
	// together: Chromium's first report comes after half a second.
	maxWHIPHeld      = time.Second
	maxWHIPHeldBytes = 16 << 20
	// whipEvents bounds the packets that wait to be read, beyond what pion keeps.
	whipEvents = 256
	// keyframePause is how long a keyframe that was asked for may take before it is asked
	// for again.
	keyframePause = 500 * time.Millisecond
)

// whipFeed turns a publisher's RTP into MPEG-TS. Packets come from the goroutines that
// read its tracks; all else runs on the one that calls Read.
type whipFeed struct {
	log         *slog.Logger
	segment     int64 // ticks after which a keyframe is due
	leftOut     func()
	lost        func(packets int)
	askKeyframe func(ssrc uint32)

	events chan whipEvent // closed when why is set, and nothing follows
	why    error
	stop   chan struct{} // closed by Close
	once   sync.Once

	mux     remuxer
	video   *whipTrack // nil unless offered, like audio
	audio   *whipTrack
	units   rtpUnits
	started bool // the tracks are in mux
	held    []whipFrame
	size    int           // of held
	since   time.Time     // the first of held came
	delay   time.Duration // how long ago that was when the output began

	ssrc    uint32 // of the video
	needKey bool   // what comes before the next keyframe cannot be decoded
	keyAt   int64
	judged  bool // there is more to tell by whether a keyframe is needed
	asked   time.Time
}

func newWHIPFeed(hasVideo, hasAudio bool) (*whipFeed, error) {
	f := &whipFeed{events: make(chan whipEvent, whipEvents), stop: make(chan struct{}), needKey: true}
	if hasVideo {
		f.video = &whipTrack{
			remuxTrack: &remuxTrack{codec: &codecs.H264{}}, video: true,
			clock: rtpClock{rate: 90000}, order: reorderer{patience: videoPatience},
		}
	}
	if hasAudio {
		out, err := opusTrack(2) // RTP always says so (RFC 7587, section 7)
		if err != nil {
			return nil, err
		}
		f.audio = &whipTrack{remuxTrack: out, clock: rtpClock{rate: 48000}, order: reorderer{patience: audioPatience}}
	}
	return f, nil
}

// Close makes Read return, and deliver refuse.
func (f *whipFeed) Close() error {
	f.once.Do(func() { close(f.stop) })
	return nil
}

// deliver hands over an event. It returns false when nobody reads any more.
func (f *whipFeed) deliver(e whipEvent) bool {
	select {
	case f.events <- e:
		return true
	case <-f.stop:
		return false
	}
}

// end says why Read ends when it has read what was delivered. Nothing may be delivered
// from then on.
func (f *whipFeed) end(why error) {
	f.why = why
	close(f.events)
}

// Read returns io.EOF when the publisher has ended its session.
func (f *whipFeed) Read(b []byte) (int, error) {
	for f.mux.pending() == 0 {
		if err := f.wait(); err != nil {
			return 0, err
		}
	}
	return f.mux.Read(b)
}

// wait takes what comes next: an event, a deadline, or the end.
func (f *whipFeed) wait() error {
	var late <-chan time.Time
	if at, ok := f.deadline(); ok {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		late = t.C
	}
	select {
	case e, ok := <-f.events:
		if !ok {
			return f.finish()
		}
		return f.take(e)
	case now := <-late:
		return f.proceed(now)
	case <-f.stop:
		return net.ErrClosed
	}
}

// finish writes what is held, and returns why nothing follows.
func (f *whipFeed) finish() error {
	if err := f.proceed(time.Now().Add(max(videoPatience, maxWHIPHeld))); err != nil || f.mux.pending() > 0 {
		return err
	}
	return f.why
}

// deadline returns when something is not waited for any longer, if anything is.
func (f *whipFeed) deadline() (first time.Time, ok bool) {
	for _, t := range f.tracks() {
		if at, waits := t.order.deadline(); waits && (!ok || at.Before(first)) {
			first, ok = at, true
		}
	}
	if at := f.since.Add(maxWHIPHeld); len(f.held) > 0 && (!ok || at.Before(first)) {
		first, ok = at, true
	}
	return first, ok
}

// tracks returns those that were offered, the video first.
func (f *whipFeed) tracks() (tracks []*whipTrack) {
	for _, t := range []*whipTrack{f.video, f.audio} {
		if t != nil {
			tracks = append(tracks, t)
		}
	}
	return tracks
}

// take takes one event.
func (f *whipFeed) take(e whipEvent) error {
	t := f.audio
	if e.video {
		t = f.video
	}
	if e.report != nil {
		t.clock.report(e.report.NTPTime, e.report.RTPTime)
		f.align()
	} else {
		t.order.push(e.packet, e.at)
	}
	return f.proceed(e.at)
}

// align moves the sound to where the publisher's reports say it belongs.
func (f *whipFeed) align() {
	if f.video == nil || f.audio == nil {
		return
	}
	tolerance := int64(skewTolerance)
	if !f.started {
		tolerance = 0
	}
	if moved := f.audio.clock.alignTo(&f.video.clock, tolerance); moved != 0 {
		f.log.Debug("sound is moved to the picture's clock", "by", micros(moved))
	}
}

// proceed goes on with what can be, now.
func (f *whipFeed) proceed(now time.Time) error {
	for _, t := range f.tracks() {
		for {
			p, lost := t.order.pop(now)
			if p == nil {
				break
			}
			if lost > 0 {
				f.lost(lost)
			}
			if err := f.packet(t, p, lost, now); err != nil {
				return err
			}
		}
	}
	if f.video != nil {
		f.request(now)
	}
	if !f.started && f.ready(now) {
		return f.start(now)
	}
	return nil
}

// packet takes the next packet of a track, and how many before it are lost.
func (f *whipFeed) packet(t *whipTrack, p *rtp.Packet, lost int, now time.Time) error {
	if !t.video {
		ts := t.clock.packet(p.Timestamp, now, f.started)
		if len(p.Payload) == 0 {
			return nil
		}
		return f.frame(whipFrame{t, ts, [][]byte{p.Payload}}, now)
	}
	f.needKey = f.needKey || lost > 0
	f.ssrc = p.SSRC
	units := f.units.add(p, lost)
	f.judged = f.judged || len(units) > 0 || lost > 0
	for _, unit := range units {
		if err := f.unit(unit, now); err != nil {
			return err
		}
	}
	return nil
}

// unit takes an access unit, or leaves it out if it cannot be decoded.
func (f *whipFeed) unit(u *rtpUnit, now time.Time) error {
	before, began := f.video.clock.last, f.video.clock.started
	ts := f.video.clock.packet(u.ts, now, f.started)
	if back := before - ts; began && back > 0 && back < maxStepBack {
		// WebRTC's encoders have none, and RTP no decoding times.
		return &UnsupportedCodecError{Kind: "video", Codec: "H.264 with B-frames over WebRTC"}
	}
	var units h264.AVCC
	switch err := units.Unmarshal(u.data); {
	case errors.Is(err, h264.ErrAVCCNoNALUs) && !u.damaged:
		return nil
	case u.damaged || err != nil:
		f.needKey = true
		f.leave("some of it is missing", u)
		return nil
	}
	switch key := isKeyframe(units, false); {
	case key:
		f.needKey, f.keyAt = false, ts
	case f.needKey:
		f.leave("no keyframe since packets were lost", u)
		return nil
	}
	return f.frame(whipFrame{f.video, ts, units}, now)
}

// leave leaves an access unit out.
func (f *whipFeed) leave(why string, u *rtpUnit) {
	f.log.Debug("picture left out", "why", why, "bytes", len(u.data))
	f.leftOut()
}

// request asks for a keyframe if one is due: browsers make few of their own accord.
func (f *whipFeed) request(now time.Time) {
	due := f.needKey || f.video.clock.last-f.keyAt >= f.segment
	if !f.judged || !due || now.Sub(f.asked) < keyframePause {
		return
	}
	f.judged, f.asked = false, now
	f.askKeyframe(f.ssrc)
}

// frame takes a frame: it is written, or held until the output begins.
func (f *whipFeed) frame(frame whipFrame, now time.Time) error {
	frame.track.sends = true
	if f.started {
		f.write(frame)
		return nil
	}
	if len(f.held) == 0 {
		f.since = now
	}
	f.held = append(f.held, frame)
	for _, u := range frame.units {
		f.size += len(u)
	}
	return nil
}

// ready reports whether the output can begin.
func (f *whipFeed) ready(now time.Time) bool {
	if len(f.held) == 0 {
		return false
	}
	if now.Sub(f.since) >= maxWHIPHeld || f.size >= maxWHIPHeldBytes {
		return true
	}
	tracks := f.tracks()
	for _, t := range tracks {
		if !t.sends || len(tracks) > 1 && !t.clock.reported {
			return false
		}
	}
	return true
}

// heldFor returns how much later than it came the first frame can be read.
func (f *whipFeed) heldFor() time.Duration { return f.delay }

// start begins the output with the tracks that send, and what was held.
func (f *whipFeed) start(now time.Time) error {
	f.align()
	f.started, f.delay = true, now.Sub(f.since)
	held := f.held
	f.held = nil
	var tracks []*remuxTrack
	for _, t := range f.tracks() {
		if t.sends {
			tracks = append(tracks, t.remuxTrack)
		}
	}
	if err := f.mux.add(tracks...); err != nil {
		return err
	}
	slices.SortStableFunc(held, func(a, b whipFrame) int { return cmp.Compare(a.place(), b.place()) })
	for _, frame := range held {
		f.write(frame)
	}
	return nil
}

// write writes a frame, or leaves it out if it cannot be written.
func (f *whipFeed) write(frame whipFrame) {
	if err := f.remux(frame); err != nil {
		f.log.Debug("frame left out", "err", err)
		f.leftOut()
	}
}

func (f *whipFeed) remux(frame whipFrame) error {
	t := frame.track
	if t.out == nil {
		f.log.Info("publisher adds a track", "codec", fmt.Sprintf("%T", t.codec))
		if err := f.mux.add(t.remuxTrack); err != nil {
			return err
		}
	}
	at := frame.at()
	if t.video {
		return f.mux.writeVideo(t.remuxTrack, at, at, frame.units)
	}
	if back := t.last - at; t.wrote && back >= 0 && back < maxReportedSkew {
		return fmt.Errorf("it is to be heard %v before the one that came before it", micros(back))
	}
	t.last, t.wrote = at, true
	return f.mux.writeAudio(t.remuxTrack, at, frame.units)
}
