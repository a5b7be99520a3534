package origin

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
)

// Parameter sets as x264 writes them, of 640x360 at 25 frames per second.
var (
	testSPS = []byte{0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x8f, 0x16, 0x2d, 0x96}
	testPPS = []byte{0x68, 0xee, 0x3c, 0xb0}
)

const (
	second        = 90000
	segmentLength = 2 * time.Second
)

var made sync.Map // of name the bytes

// testSegment is segment n of a made-up stream: two seconds of pictures and sound.
func testSegment(label string, n int) []byte {
	key := fmt.Sprint(label, n)
	if b, ok := made.Load(key); ok {
		return b.([]byte)
	}
	b := makeSegment(label, n)
	made.Store(key, b)
	return b
}

func makeSegment(label string, n int) []byte {
	video := &mpegts.Track{Codec: &codecs.H264{}}
	audio := &mpegts.Track{Codec: &codecs.MPEG4Audio{Config: mpeg4audio.AudioSpecificConfig{
		Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2,
	}}}
	var buf bytes.Buffer
	w := &mpegts.Writer{W: &buf, Tracks: []*mpegts.Track{video, audio}}
	must(w.Initialize())
	_, err := w.WriteTables()
	must(err)
	for i := range 50 {
		ts := int64(10*second + n*2*second + i*second/25)
		unit := []byte{0x41}
		au := [][]byte{nil}
		if i == 0 {
			unit, au = []byte{0x65}, [][]byte{testSPS, testPPS, nil}
		}
		unit = fmt.Appendf(unit, "%s picture %d of %d %s", label, i, n, strings.Repeat(".", 600))
		au[len(au)-1] = unit
		must(w.WriteH264(video, ts, ts, au))
		if i%2 == 0 {
			must(w.WriteMPEG4Audio(audio, ts, [][]byte{fmt.Appendf(nil, "sound %d", i)}))
		}
	}
	return buf.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// pipes is a network in memory, for bubbles with virtual time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.IPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve answers the requests of what it returns with h, until the test ends.
func serve(t *testing.T, h http.Handler) *http.Transport {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(p)
	}()
	via := &http.Transport{DialContext: p.dial, DisableCompression: true}
	t.Cleanup(func() {
		via.CloseIdleConnections()
		server.Close()
		p.Close()
		<-ended
	})
	return via
}

// live is an origin whose playlist gains a segment every two seconds.
type live struct {
	began  time.Time
	window int
	label  string
	ends   int // segments in all; 0 for no end
	first  int // number of the first
	dated  bool
	over   chan struct{} // closed when nobody asks any more

	// break*, if set, answer in place of the origin.
	breakPlaylist func(w http.ResponseWriter, r *http.Request, text string)
	breakSegment  func(w http.ResponseWriter, r *http.Request, n int, b []byte)

	mu    sync.Mutex
	loads []time.Time // of the playlist
	gets  map[int]int // of segments
}

func newLive() *live {
	return &live{began: time.Now().Add(-20 * time.Second), window: 5, gets: make(map[int]int), over: make(chan struct{})}
}

// text is the playlist as it is now.
func (l *live) text() string {
	count := int(time.Since(l.began) / segmentLength)
	ended := l.ends > 0 && count >= l.ends
	if ended {
		count = l.ends
	}
	from := max(0, count-l.window)
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", l.first+from)
	for n := from; n < count; n++ {
		if l.dated {
			fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", l.began.Add(time.Duration(n)*segmentLength).Format(time.RFC3339Nano))
		}
		fmt.Fprintf(&b, "#EXTINF:2.000,\n%ssegment%d.ts\n", l.label, n)
	}
	if ended {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.String()
}

func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, ".m3u8") {
		l.mu.Lock()
		l.loads = append(l.loads, time.Now())
		l.mu.Unlock()
		if l.breakPlaylist != nil {
			l.breakPlaylist(w, r, l.text())
			return
		}
		fmt.Fprint(w, l.text())
		return
	}
	var n int
	if _, err := fmt.Sscanf(strings.TrimPrefix(r.URL.Path, "/live/"+l.label), "segment%d.ts", &n); err != nil {
		http.NotFound(w, r)
		return
	}
	l.mu.Lock()
	l.gets[n]++
	l.mu.Unlock()
	b := testSegment(l.label, n)
	if l.breakSegment != nil {
		l.breakSegment(w, r, n, b)
		return
	}
	w.Write(b)
}

// got is a segment as it was published.
type got struct {
	data   []byte
	whole  bool
	marked bool
	began  time.Time // programme time
	at     time.Time // when its first part was published
	ended  time.Time // when its last was
	length time.Duration
	parts  int
	media  stream.Media
}

// collector takes parts.
type collector struct {
	mu       sync.Mutex
	segments []*got
}

func (c *collector) publish(p stream.Part) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.StartsSegment {
		c.segments = append(c.segments, &got{marked: p.Discontinuity, began: p.ProgramTime, at: time.Now(), media: p.Media})
	}
	g := c.segments[len(c.segments)-1]
	g.data = append(g.data, p.Data...)
	g.length += p.Duration
	g.parts++
	g.whole, g.ended = p.EndsSegment, time.Now()
	return nil
}

// numbers says which of label's segments were published: "3 4 |5 ~6" where | stands before
// a discontinuity and ~ before one that is not whole.
func (c *collector) numbers(t *testing.T, label string) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for i, g := range c.segments {
		n := -1
		for k := range 40 {
			b := testSegment(label, k)
			if g.whole && bytes.Equal(b, g.data) || !g.whole && bytes.HasPrefix(b, g.data) {
				n = k
				break
			}
		}
		if n < 0 {
			t.Errorf("segment %d of %d bytes is none of the origin's", i, len(g.data))
		}
		text := fmt.Sprint(n)
		if !g.whole {
			text = "~" + text
		}
		if g.marked {
			text = "|" + text
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// open opens an origin at address for a test.
func open(t *testing.T, via http.RoundTripper, address string, change func(*Config)) (*Origin, error) {
	t.Helper()
	cfg := Config{URL: address, Transport: via}
	if change != nil {
		change(&cfg)
	}
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o, o.Open(t.Context())
}

// follow runs the one rendition of an origin for so long, and returns what it published and
// why it ended.
func follow(t *testing.T, h http.Handler, long time.Duration, change func(*Config)) (*collector, *Origin, error) {
	t.Helper()
	o, err := open(t, serve(t, h), "http://origin.test/live/index.m3u8", change)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	if l, ok := h.(*live); ok {
		defer close(l.over)
	}
	var c collector
	err = o.Run(ctx, func(string) (func(stream.Part) error, error) { return c.publish, nil })
	return &c, o, err
}
