package chaos

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// told returns what a world noted, and forgets it.
func (w *world) told() string {
	defer func() { w.res.Broken = nil }()
	return strings.Join(w.res.Broken, "\n")
}

// signed publishes some parts of a program, each of so many bytes, and returns their headers.
func signed(t *testing.T, p *program, publisher *stream.Publisher, n, size int) (out []*stream.SignedHeader) {
	t.Helper()
	for i := range n {
		data := make([]byte, size)
		h, _, err := publisher.Publish(stream.Part{StartsSegment: i == 0, EndsSegment: i == n-1, Independent: i == 0, Duration: partDuration, ProgramTime: time.Unix(1e9, 0), Data: data})
		if err != nil {
			t.Fatal(err)
		}
		whole := sha256.New()
		p.add(h.Position, data, whole)
		p.headers[h.Position] = sha256.Sum256(h.Bytes())
		out = append(out, h)
	}
	return out
}

func TestTimelinesThatLoseOrInventAreTold(t *testing.T) {
	p := newProgram(0)
	one, err := stream.NewPublisher(p.key, rendition, 1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := stream.NewPublisher(p.key, rendition, 1)
	if err != nil {
		t.Fatal(err)
	}
	all := signed(t, p, one, 4, 100)
	second := signed(t, newProgram(1), other, 4, 200)
	w, h := &world{began: time.Now()}, &host{}
	for name, c := range map[string]struct {
		before, now []*stream.SignedHeader
		want        string
	}{
		"grows":         {all[:2], all, ""},
		"loses":         {all, all[1:], "1 of 4 headers are gone"},
		"out of order":  {nil, []*stream.SignedHeader{all[1], all[0]}, "comes after"},
		"another's":     {nil, second[:1], "not as it was signed"},
		"never existed": {nil, signed(t, newProgram(1), one, 1, 1), "never published"},
	} {
		w.compare(h, p, c.before, c.now)
		if got := w.told(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: told %q, want %q", name, got, c.want)
		}
	}
}

func TestPlaylistsThatGoBackAreTold(t *testing.T) {
	p := newProgram(0)
	p.segments[sha256.Sum256([]byte("published"))] = segment{}
	var list, body string
	handler := http.HandlerFunc(func(a http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "index.m3u8") {
			fmt.Fprint(a, list)
		} else {
			fmt.Fprint(a, body)
		}
	})
	w, h := &world{began: time.Now()}, &host{carry: []*program{p}}
	player := &player{w: w, h: h, handler: handler, base: "/x/", numbers: make(map[uint64]string)}
	for _, c := range []struct{ name, list, body, want string }{
		{"begins", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:2,\na.ts\n", "published", ""},
		{"goes on", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:6\n#EXTINF:2,\nb.ts\n", "published", ""},
		{"names another", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:6\n#EXTINF:2,\nc.ts\n", "published", "number 6 was b.ts and is c.ts"},
		{"serves else", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2,\nd.ts\n", "invented", "not published so"},
		{"falls back", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:2,\na.ts\n", "published", "media sequence 5 after 7"},
	} {
		list, body = c.list, c.body
		player.reload(context.Background())
		if got := w.told(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: told %q, want %q", c.name, got, c.want)
		}
	}
}
