package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	rtmpcodecs "github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
)

const testKey = "correct-horse"

// running is an ingest that listens.
type running struct {
	*Ingest
	addr    string
	parts   chan stream.Part
	refused chan error
	done    chan error
	stop    context.CancelCauseFunc
}

// errOver ends what start started.
var errOver = errors.New("over")

// start runs cfg until the test ends, if it does not end before, and waits until it
// listens.
func start(t *testing.T, cfg Config) *running {
	t.Helper()
	refused := make(chan error, 100)
	cfg.Refused = func(_ string, why error) { refused <- why }
	i, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, i)
	r.refused, r.addr = refused, listening(t, i)
	return r
}

// run runs an ingest until the test ends, if it does not end before.
func run(t *testing.T, i *Ingest) *running {
	r := &running{Ingest: i, parts: make(chan stream.Part, 1000), done: make(chan error, 1)}
	ctx, cancel := context.WithCancelCause(t.Context())
	r.stop = cancel
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.done <- i.Run(ctx, func(p stream.Part) error {
			r.parts <- p
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel(errOver)
		<-ended
	})
	return r
}

// collected returns the parts that were published so far.
func (r *running) collected() (parts []stream.Part) {
	for {
		select {
		case p := <-r.parts:
			parts = append(parts, p)
		default:
			return parts
		}
	}
}

// until waits for a condition of the figures.
func (r *running) until(t *testing.T, what string, ok func(Stats) bool) {
	t.Helper()
	for range 10000 {
		if ok(r.Stats()) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("never %s: %+v", what, r.Stats())
}

// publisher is an RTMP encoder.
type publisher struct {
	gortmplib.Conn
	w            *gortmplib.Writer
	video, audio *gortmplib.Track
}

func dialRTMP(ctx context.Context, addr, path string) (*gortmplib.Client, error) {
	u := &url.URL{Scheme: "rtmp", Host: addr, Path: path}
	c := &gortmplib.Client{URL: u, Publish: true}
	return c, c.Initialize(ctx)
}

// connect begins to publish tracks as clip has them.
func connect(t testing.TB, addr string, c clip) *publisher {
	t.Helper()
	conn, err := dialRTMP(t.Context(), addr, "/live/"+testKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return publishTo(t, conn, c)
}

func publishTo(t testing.TB, conn gortmplib.Conn, c clip) *publisher {
	t.Helper()
	c = c.defaults()
	p := &publisher{Conn: conn, w: &gortmplib.Writer{Conn: conn}}
	if !c.noVideo {
		p.video = &gortmplib.Track{Codec: &rtmpcodecs.H264{SPS: c.sps, PPS: pps264}}
		if c.hevc {
			p.video.Codec = &rtmpcodecs.H265{VPS: vps265, SPS: c.sps, PPS: pps265}
		}
		p.w.Tracks = append(p.w.Tracks, p.video)
	}
	if !c.noAudio {
		p.audio = &gortmplib.Track{}
		switch codec := c.audio.(type) {
		case *codecs.MPEG4Audio:
			p.audio.Codec = &rtmpcodecs.MPEG4Audio{Config: &codec.Config}
		case *codecs.MPEG1Audio:
			p.audio.Codec = &rtmpcodecs.MPEG1Audio{}
		case *codecs.AC3:
			p.audio.Codec = &rtmpcodecs.AC3{SampleRate: 48000, ChannelCount: 1}
		case *codecs.Opus:
			p.audio.Codec = &rtmpcodecs.Opus{IDHeader: &opus.IDHeader{Version: 1, ChannelCount: 2}}
		}
		p.w.Tracks = append(p.w.Tracks, p.audio)
	}
	if err := p.w.Initialize(); err != nil {
		t.Fatal(err)
	}
	return p
}

func duration(ts int64) time.Duration { return time.Duration(ts) * time.Second / second }

// send publishes a clip's frames, and returns what it sent.
func (p *publisher) send(t testing.TB, c clip) (video, audio []frame) {
	t.Helper()
	c.each(func(f frame, au [][]byte) {
		write := p.w.WriteH264
		if c.hevc {
			write = p.w.WriteH265
		}
		if err := write(p.video, duration(f.pts), duration(f.dts), au); err != nil {
			t.Fatal(err)
		}
		video = append(video, f)
	}, func(f frame, data []byte) {
		var err error
		switch at := duration(f.pts); c.defaults().audio.(type) {
		case *codecs.MPEG4Audio:
			err = p.w.WriteMPEG4Audio(p.audio, at, data)
		case *codecs.MPEG1Audio:
			// gortmplib's own writer has no 48 kHz, which encoders send none the less.
			err = p.Write(&message.Audio{
				ChunkStreamID: message.AudioChunkStreamID, MessageStreamID: 0x1000000,
				Codec: message.CodecMPEG1Audio, Rate: message.AudioRate44100, DTS: at, AU: data,
			})
		case *codecs.AC3:
			err = p.w.WriteAC3(p.audio, at, data)
		case *codecs.Opus:
			err = p.w.WriteOpus(p.audio, at, data)
		}
		if err != nil {
			t.Fatal(err)
		}
		audio = append(audio, f)
	})
	return video, audio
}

// unpublish ends the stream as encoders do that are told to stop.
func (p *publisher) unpublish(t testing.TB) {
	t.Helper()
	if err := p.Write(&message.CommandAMF0{ChunkStreamID: 3, Name: "deleteStream", CommandID: 9, Arguments: []any{nil, float64(1)}}); err != nil {
		t.Fatal(err)
	}
}

func rtmpConfig() Config {
	return Config{Input: "rtmp://127.0.0.1:0/live", StreamKey: testKey}
}

// Every frame of every codec arrives, with its time and its parameter sets.
func TestRTMP(t *testing.T) {
	tests := map[string]struct {
		clip
		codecs string
	}{
		"H.264 and AAC":      {clip{}, "avc1.64001e,mp4a.40.2"},
		"B-frames":           {clip{bframes: true}, "avc1.64001e,mp4a.40.2"},
		"once":               {clip{once: true}, "avc1.64001e,mp4a.40.2"},
		"HEVC and Opus":      {clip{hevc: true, sps: sps265, audio: opusStereo()}, "hvc1.1.6.L63.90,opus"},
		"HEVC with B-frames": {clip{hevc: true, sps: sps265, bframes: true}, "hvc1.1.6.L63.90,mp4a.40.2"},
		"MP3":                {clip{audio: &codecs.MPEG1Audio{}}, "avc1.64001e,mp4a.40.34"},
		"AC-3":               {clip{audio: &codecs.AC3{}}, "avc1.64001e,ac-3"},
		"without audio":      {clip{noAudio: true}, "avc1.64001e"},
		"without video":      {clip{noVideo: true}, "mp4a.40.2"},
		"after five hours":   {clip{start: 5 * 3600 * second, size: 20_000}, "avc1.64001e,mp4a.40.2"}, // more than 24 bits
		"large":              {clip{size: 100_000, frames: 30}, "avc1.64001e,mp4a.40.2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.frames == 0 {
				tt.frames = 160
			}
			r := start(t, rtmpConfig())
			p := connect(t, r.addr, tt.clip)
			video, audio := p.send(t, tt.clip)
			p.unpublish(t)
			if err := <-r.done; err != nil {
				t.Fatal(err)
			}
			parts := r.collected()
			checkParts(t, parts)
			if got := parts[0].Media.Codecs; got != tt.codecs {
				t.Errorf("codecs are %s", got)
			}
			gotVideo, gotAudio := demuxed(t, join(parts))
			if !slices.Equal(names(gotVideo), names(video)) {
				t.Errorf("%d pictures of %d", len(gotVideo), len(video))
			}
			if _, isAC3 := tt.audio.(*codecs.AC3); !isAC3 && !slices.Equal(names(gotAudio), names(audio)) {
				t.Errorf("%d audio frames of %d", len(gotAudio), len(audio))
			}
			for i, f := range gotVideo {
				if want := video[i].pts - video[0].pts; f.pts-gotVideo[0].pts != want {
					t.Errorf("picture %d at %d, want %d", i, f.pts-gotVideo[0].pts, want)
				}
			}
			if s := r.Stats(); s.LeftOut+s.SkippedFrames+s.DamagedFrames+s.LostPackets+s.Garbage+s.Discontinuities != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Who does not show the key, names another path, plays, or comes second is refused, and
// who is inside goes on.
func TestRTMPRefuses(t *testing.T) {
	r := start(t, rtmpConfig())
	refuse := func(path string, publish bool, want error) {
		t.Helper()
		c := &gortmplib.Client{URL: &url.URL{Scheme: "rtmp", Host: r.addr, Path: path}, Publish: publish}
		if err := c.Initialize(t.Context()); err == nil {
			c.Close()
			t.Errorf("%s is let in", path)
		}
		if err := <-r.refused; !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	refuse("/live/wrong-horse", true, ErrStreamKey)
	refuse("/live", true, ErrPath)
	refuse("/other/"+testKey, true, ErrPath)
	refuse("/live/"+testKey, false, ErrPlays)

	c := clip{frames: 100}
	p := connect(t, r.addr, c)
	video, _ := p.send(t, c)
	r.until(t, "two segments", func(s Stats) bool { return s.Segments > 0 })
	refuse("/live/"+testKey, true, ErrBusy)
	p.unpublish(t)
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	if v, _ := demuxed(t, join(r.collected())); len(v) != len(video) {
		t.Errorf("%d pictures of %d", len(v), len(video))
	}
	if s := r.Stats(); s.Strangers != 5 {
		t.Errorf("%d were refused", s.Strangers)
	}
}

// A publisher of what cannot be carried is refused, and the next is welcome.
func TestRTMPRefusesCodec(t *testing.T) {
	cfg := rtmpConfig()
	cfg.Reconnect = time.Minute
	r := start(t, cfg)
	conn, err := dialRTMP(t.Context(), r.addr, "/live/"+testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := &gortmplib.Writer{Conn: conn, Tracks: []*gortmplib.Track{{Codec: &rtmpcodecs.AV1{}}}}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	var unsupported *UnsupportedCodecError
	if err := <-r.refused; !errors.As(err, &unsupported) || unsupported.Codec != "AV1" {
		t.Errorf("refused because of %v", err)
	}
	c := clip{frames: 50}
	connect(t, r.addr, c).send(t, c)
	r.until(t, "published a segment", func(s Stats) bool { return s.Parts >= 3 })
}

// A key that is in the settings twice is in no log.
func TestRTMPPathWithoutKey(t *testing.T) {
	server := &gortmplib.ServerConn{Publish: true, URL: &url.URL{Path: "/live/" + testKey + "/" + testKey}}
	err := rtmpGreeter{path: "/live", key: testKey}.check(server)
	if !errors.Is(err, ErrPath) || strings.Contains(err.Error(), testKey) {
		t.Errorf("got %v", err)
	}
}

// recorded keeps what a publisher writes.
type recorded struct {
	memoryConn
	messages []message.Message
}

func (r *recorded) Write(m message.Message) error {
	r.messages = append(r.messages, m)
	return nil
}

// Tracks that come late, or never, keep nobody waiting for long.
func TestRTMPTracks(t *testing.T) {
	var said recorded
	publishTo(t, &said, clip{hevc: true, sps: sps265})
	promised, video, audio := said.messages[0], said.messages[1], said.messages[2]
	picture := func(at time.Duration) message.Message {
		return &message.VideoExFramesX{FourCC: message.FourCCHEVC, DTS: at, Payload: []byte{0, 0, 0, 3, 0x26, 1, 2}}
	}
	tests := map[string]struct {
		messages []message.Message
		tracks   int
		leftOut  int
	}{
		"all that was promised":  {[]message.Message{promised, video, audio}, 2, 0},
		"audio is missing":       {[]message.Message{promised, video, picture(0)}, 0, 0},
		"audio never comes":      {[]message.Message{promised, video, picture(0), picture(maxRTMPHeld)}, 1, 0},
		"nothing was promised":   {[]message.Message{video, audio}, 2, 0},
		"audio comes late":       {[]message.Message{promised, video, picture(0), picture(maxRTMPHeld), audio}, 2, 0},
		"frames without a track": {[]message.Message{audio, picture(0), picture(maxRTMPHeld)}, 1, 2},
		"a second video":         {[]message.Message{video, audio, &message.VideoExMultitrack{TrackID: 1, Wrapped: picture(0)}}, 2, 1},
		"broken":                 {[]message.Message{video, audio, &message.VideoExFramesX{FourCC: message.FourCCHEVC, Payload: []byte{0, 0, 0, 9, 1}}}, 2, 1},
		"too long for ADTS":      {[]message.Message{video, audio, &message.Audio{Codec: message.CodecMPEG4Audio, AACType: message.AudioAACTypeAU, AU: make([]byte, 1<<13)}}, 2, 1},
	}
	for name, tt := range tests {
		leftOut := 0
		f := &rtmpFeed{log: slog.New(slog.DiscardHandler), leftOut: func() { leftOut++ }}
		for _, m := range tt.messages {
			if err := f.take(m); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(f.mux.tracks) != tt.tracks || leftOut != tt.leftOut {
			t.Errorf("%s: %d tracks, %d frames left out", name, len(f.mux.tracks), leftOut)
		}
	}
	f := &rtmpFeed{}
	if err := errors.Join(f.take(picture(0)), f.take(picture(maxRTMPHeld))); !errors.Is(err, ErrNoTracks) {
		t.Errorf("without a description: %v", err)
	}
}

// Codecs that MPEG-TS has no place for are named.
func TestRTMPCodecs(t *testing.T) {
	for name, m := range map[string]message.Message{
		"AV1":   &message.VideoExSequenceStart{FourCC: message.FourCCAV1},
		"VP9":   &message.VideoExSequenceStart{FourCC: message.FourCCVP9},
		"FLAC":  &message.AudioExSequenceStart{FourCC: message.FourCCFLAC},
		"G.711": &message.Audio{Codec: message.CodecPCMA, AU: []byte{1}},
	} {
		err := (&rtmpFeed{}).take(m)
		var unsupported *UnsupportedCodecError
		if !errors.As(err, &unsupported) || unsupported.Codec != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	// As gortmplib words them.
	for text, name := range map[string]string{
		"unsupported video codec: 2":                   "Sorenson H.263",
		"unsupported audio codec: 11":                  "Speex",
		"unsupported video codec: 14":                  "number 14 of FLV",
		fmt.Sprint("unsupported fourCC: ", 0x76703038): "VP8",
		fmt.Sprint("unsupported fourCC: ", 0x65632d33): "E-AC-3",
	} {
		var unsupported *UnsupportedCodecError
		if err := rtmpError(errors.New(text)); !errors.As(err, &unsupported) || unsupported.Codec != name {
			t.Errorf("%s: %v", text, err)
		}
	}
}
