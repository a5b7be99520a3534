package origin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asticode/go-astits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	mp4codecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/transport"
)

// soundSegment is segment n of a language: the frames that begin in its two seconds, which
// are not the pictures' by up to a frame. Times are later by shift.
func soundSegment(label string, n int, shift time.Duration) []byte {
	const rate, frame = 48000, 1024
	from, to := (n*2*rate+frame-1)/frame, ((n+1)*2*rate+frame-1)/frame
	track := &fmp4.PartTrack{ID: 1, BaseTime: uint64(from*frame) + uint64(shift.Seconds()*rate)}
	for k := from; k < to; k++ {
		track.Samples = append(track.Samples, &fmp4.Sample{Duration: frame, Payload: fmt.Appendf(nil, "%s %d", label, k)})
	}
	return marshalFragment(track)
}

// pictureSegment is two seconds of pictures.
func pictureSegment(n int, shift time.Duration) []byte {
	var parts fmp4.Parts
	must(parts.Unmarshal(testFragment(n)))
	t := parts[0].Tracks[0]
	t.BaseTime += uint64(shift.Seconds() * 25)
	return marshalFragment(t)
}

func marshalFragment(t *fmp4.PartTrack) []byte {
	var buf seekablebuffer.Buffer
	must(fmp4.Part{Tracks: []*fmp4.PartTrack{t}}.Marshal(&buf))
	return buf.Bytes()
}

// textSegment is segment n of subtitles. Cue n is shown from 0.3 s after the beginning of
// segment n to as long after its end, and so is in two segments.
func textSegment(n int, shift time.Duration) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:%d,LOCAL:00:01:00.000\n\n", int64(shift.Seconds()+60)*second&(wrap-1))
	for k := max(0, n-1); k <= n; k++ {
		fmt.Fprintf(&b, "00:%02d:%02d.300 --> 00:%02d:%02d.300\ncue %d\n\n", 2*k/60, 2*k%60, 2*(k+1)/60, 2*(k+1)%60, k)
	}
	return []byte(b.String())
}

func soundInit(channels int) []byte {
	config := mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: uint8(channels)}
	var buf seekablebuffer.Buffer
	must(fmp4.Init{Tracks: []*fmp4.InitTrack{{ID: 1, TimeScale: 48000, Codec: &mp4codecs.MPEG4Audio{Config: config}}}}.Marshal(&buf))
	return buf.Bytes()
}

// apart is an origin of pictures and two languages, each with a playlist that gains a
// segment every two seconds.
type apart struct {
	began time.Time
	ends  int
	packaging

	// shift is by how much the times of a segment are later; a discontinuity is where that
	// changes.
	shift func(track string, n int) time.Duration
	// playlist and segment, if set, answer in place of the origin where they return true.
	playlist func(w http.ResponseWriter, track, text string) bool
	segment  func(w http.ResponseWriter, track string, n int, b []byte) bool
	channels func(track string, n int) int // of the segment's sound

	mu   sync.Mutex
	asks map[string]int // for segments
}

func newApart() *apart {
	return &apart{
		began: time.Now().Add(-20 * time.Second), ends: 20, asks: make(map[string]int), packaging: packagings[0],
		shift:    func(string, int) time.Duration { return 0 },
		playlist: func(http.ResponseWriter, string, string) bool { return false },
		segment:  func(http.ResponseWriter, string, int, []byte) bool { return false },
		channels: func(string, int) int { return 2 },
	}
}

const apartPlaylist = `#EXTM3U

#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",AUTOSELECT=YES,DEFAULT=YES,URI="text/index.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Deutsch",LANGUAGE="de",AUTOSELECT=YES,URI="de/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,CODECS="avc1.64001e,mp4a.40.2",AUDIO="a",SUBTITLES="s"
video/index.m3u8
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",AUTOSELECT=YES,DEFAULT=YES,URI="en/index.m3u8"
`

func (a *apart) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	track, file, inner := strings.Cut(strings.TrimPrefix(r.URL.Path, "/live/"), "/")
	if !inner {
		fmt.Fprint(w, apartPlaylist)
		return
	}
	if file == "index.m3u8" {
		if text := a.text(track); !a.playlist(w, track, text) {
			fmt.Fprint(w, text)
		}
		return
	}
	var n int
	if _, err := fmt.Sscanf(file, "init%d.mp4", &n); err == nil {
		if track == "video" {
			w.Write(testInit())
		} else {
			w.Write(soundInit(n))
		}
		return
	}
	if _, err := fmt.Sscanf(file, "%d.", &n); err != nil {
		http.NotFound(w, r)
		return
	}
	a.mu.Lock()
	a.asks[fmt.Sprint(track, n)]++
	a.mu.Unlock()
	var b []byte
	switch shift := a.shift(track, n); track {
	case "video":
		b = a.pictures(n, shift)
	case "text":
		b = textSegment(n, shift+a.begins)
	default:
		b = a.sound(track, n, a.channels(track, n), shift)
	}
	if !a.segment(w, track, n, b) {
		w.Write(b)
	}
}

// asked returns how often a segment was asked for.
func (a *apart) asked(track string, n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asks[fmt.Sprint(track, n)]
}

func (a *apart) text(track string) string {
	count := min(a.ends, int(time.Since(a.began)/segmentLength))
	var b strings.Builder
	from := max(0, count-6)
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", from)
	for n := from; n < count; n++ {
		if n > 0 && (a.shift(track, n) != a.shift(track, n-1) || a.channels(track, n) != a.channels(track, n-1)) {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if track == "text" {
			fmt.Fprintf(&b, "#EXTINF:2.000,\n%d.vtt\n", n)
			continue
		}
		if a.init {
			fmt.Fprintf(&b, "#EXT-X-MAP:URI=\"init%d.mp4\"\n", a.channels(track, n))
		}
		fmt.Fprintf(&b, "#EXTINF:2.000,\n%d.%s\n", n, a.suffix)
	}
	if count == a.ends {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.String()
}

// heard are the frames of a published segment: pictures and sounds by their names, with
// presentation times.
func heard(t *testing.T, data []byte) (pictures int, sounds map[string]int64) {
	t.Helper()
	sounds = make(map[string]int64)
	var tables transport.Tables
	kinds := make(map[uint16]astits.StreamType)
	open := make(map[uint16][]byte)
	finish := func(pid uint16) {
		h, ok, _ := transport.ParsePESHeader(open[pid])
		switch {
		case !ok:
		case kinds[pid] == astits.StreamTypeH264Video:
			pictures++
		default:
			var frames mpeg4audio.ADTSPackets
			if err := frames.Unmarshal(open[pid][h.Size:]); err != nil {
				t.Error(err)
			}
			for i, f := range frames {
				if _, twice := sounds[string(f.AU)]; twice {
					t.Errorf("%s is there twice", f.AU)
				}
				sounds[string(f.AU)] = h.PTS + int64(i)*1024*second/48000
			}
		}
		delete(open, pid)
	}
	for raw := range slices.Chunk(data, transport.PacketSize) {
		p := transport.ParsePacket(raw)
		if pmt := tables.Add(raw, p); pmt != nil {
			for _, es := range pmt.ElementaryStreams {
				kinds[es.ElementaryPID] = es.StreamType
			}
		}
		if p.Start {
			finish(p.PID)
		}
		if kinds[p.PID] != 0 {
			open[p.PID] = append(open[p.PID], p.Payload...)
		}
	}
	for pid := range open {
		finish(pid)
	}
	return pictures, sounds
}

// describe says which of the origin's segments were published: as [collector.numbers] does,
// with - after those that lack some of their sound.
func (a *apart) describe(t *testing.T, c *collector, label string, pictures int) string {
	t.Helper()
	var out []string
	for i, g := range c.segments {
		n := int(g.began.Sub(a.began).Round(segmentLength) / segmentLength)
		got, sounds := heard(t, g.data)
		if got != pictures || !g.whole || g.length != segmentLength {
			t.Errorf("%s: segment %d has %d pictures, lasts %v; whole %t", label, i, got, g.length, g.whole)
		}
		text := fmt.Sprint(n)
		if g.marked {
			text = "|" + text
		}
		start := (int64(10*second+n*2*second) + int64(a.shift(label, n).Seconds()*second)) & (wrap - 1)
		for k := (n*96000 + 1023) / 1024; k*1024 < (n+1)*96000; k++ {
			at, ok := sounds[fmt.Sprintf("%s %d", label, k)]
			if !ok {
				text += "-"
				break
			}
			if d := (at-start+wrap+wrap/2)%wrap - wrap/2 - (int64(k)*1024-int64(n)*96000)*second/48000; d < -2 || d > 2 {
				t.Errorf("%s: sound %d is %d ticks late", label, k, d)
			}
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func isSound(track string) bool { return track == "en" || track == "de" }

// follow publishes the origin, and returns its renditions.
func (a *apart) follow(t *testing.T, long time.Duration) (map[string]*collector, *Origin) {
	t.Helper()
	o, err := open(t, serve(t, a), "http://origin.test/live/index.m3u8", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	all := make(map[string]*collector)
	err = o.Run(ctx, func(name string) (func(stream.Part) error, error) {
		all[name] = &collector{}
		return all[name].publish, nil
	})
	if err != nil {
		t.Error(err)
	}
	return all, o
}
