package origin

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

const partLength = segmentLength / 4

// lowLatency is an origin with partial segments, which holds answers back until what is
// asked for is there.
type lowLatency struct {
	began  time.Time
	ends   int
	ranges bool // parts are ranges of the segment
	forget bool // parts are listed of the segment under way only
	over   chan struct{}
	lose   int // part 1 of this segment is never there
	asked  int
}

// cuts returns where the parts of a segment end.
func cuts(n int) (ends []int) {
	at := 0
	s := ingest.NewSplitter(ingest.SplitConfig{Publish: func(p stream.Part) error {
		at += len(p.Data)
		ends = append(ends, at)
		return nil
	}})
	s.Begin(ingest.SegmentInfo{})
	_, err := s.Write(testSegment("", n))
	must(err)
	must(s.Close())
	return ends
}

// parts returns how many parts there are now.
func (l *lowLatency) parts() int { return min(int(time.Since(l.began)/partLength), 4*l.ends) }

func (l *lowLatency) text() string {
	parts := l.parts()
	segments := parts / 4
	from := max(0, segments-5)
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n#EXT-X-PART-INF:PART-TARGET=0.52\n#EXT-X-MEDIA-SEQUENCE:%d\n", from)
	for n := from; n <= segments; n++ {
		if n >= segments-1 && !l.forget || n == segments {
			ends := cuts(n)
			for k := 0; k < 4 && 4*n+k < parts; k++ {
				start := 0
				if k > 0 {
					start = ends[k-1]
				}
				if l.ranges {
					fmt.Fprintf(&b, "#EXT-X-PART:DURATION=0.52,URI=\"s%d.ts\",BYTERANGE=\"%d@%d\"\n", n, ends[k]-start, start)
				} else {
					fmt.Fprintf(&b, "#EXT-X-PART:DURATION=0.52,URI=\"s%d.%d.ts\",INDEPENDENT=%s\n", n, k, map[bool]string{true: "YES", false: "NO"}[k == 0])
				}
			}
		}
		if n < segments {
			fmt.Fprintf(&b, "#EXTINF:2.0,\ns%d.ts\n", n)
		}
	}
	if segments == l.ends {
		b.WriteString("#EXT-X-ENDLIST\n")
	} else {
		fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s%d.%d.ts\"\n", segments, parts%4)
	}
	return b.String()
}

func (l *lowLatency) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, ".m3u8") {
		if text := r.URL.Query().Get("_HLS_msn"); text != "" {
			l.asked++
			msn, err := strconv.Atoi(text)
			must(err)
			part, err := strconv.Atoi(r.URL.Query().Get("_HLS_part"))
			must(err)
			select {
			case <-time.After(time.Until(l.began.Add(time.Duration(min(4*msn+part+1, 4*l.ends)) * partLength))):
			case <-l.over:
			}
		}
		fmt.Fprint(w, l.text())
		return
	}
	name := strings.Split(strings.TrimPrefix(r.URL.Path, "/live/s"), ".")
	n, err := strconv.Atoi(name[0])
	must(err)
	b, there := testSegment("", n), min(4, l.parts()-4*n)
	ends := cuts(n)
	if len(name) == 3 {
		k, err := strconv.Atoi(name[1])
		must(err)
		if k >= there || l.lose == n && k == 1 {
			http.NotFound(w, r)
			return
		}
		w.Write(append([]byte{0}, b[:ends[k]]...)[1+append([]int{0}, ends...)[k]:])
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b[:ends[there-1]]))
}

// TestLowLatency: parts are published as soon as they are there, and make the segment.
func TestLowLatency(t *testing.T) {
	for _, test := range []struct {
		name string
		l    lowLatency
		want string
	}{
		{"parts", lowLatency{}, "7 8 9 10 11 12 13"},
		{"ranges", lowLatency{ranges: true}, "7 8 9 10 11 12 13"},
		{"parts that are listed for a short time", lowLatency{forget: true}, "7 8 9 10 11 12 13"},
		{"a part is missing", lowLatency{lose: 11}, "7 8 9 10 11 12 13"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := test.l
				l.began, l.ends, l.over = time.Now().Add(-20*time.Second), 14, make(chan struct{})
				defer close(l.over)
				c, _, err := follow(t, &l, time.Minute, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := c.numbers(t, ""); got != test.want {
					t.Errorf("published %s, want %s", got, test.want)
				}
				for i, g := range c.segments {
					if i < 3 || 7+i == l.lose {
						continue // were there, or had to be waited for
					}
					began := l.began.Add(time.Duration(7+i) * segmentLength)
					if late := g.at.Sub(began); late > 2*partLength {
						t.Errorf("segment %d began to be published %v after it began", 7+i, late)
					}
					if late := g.ended.Sub(began); late > segmentLength+10*time.Millisecond {
						t.Errorf("segment %d was published %v after it began", 7+i, late)
					}
				}
				if l.asked < 10 {
					t.Errorf("%d playlists were asked for ahead", l.asked)
				}
			})
		})
	}
}
