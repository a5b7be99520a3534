package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// files answers with files, by path, and knows ranges unless told otherwise.
type files struct {
	list     map[string][]byte
	noRanges bool
}

func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, ok := f.list[r.URL.Path]
	switch {
	case !ok:
		http.NotFound(w, r)
	case f.noRanges:
		w.Write(b)
	default:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}
}

// ended returns a playlist of n segments that has ended.
func ended(n int, entry func(i int) string) string {
	text := "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n"
	for i := range n {
		text += entry(i)
	}
	return text + "#EXT-X-ENDLIST\n"
}

// TestEnded: what has ended is published at the speed of its media, once or again and again.
func TestEnded(t *testing.T) {
	f := &files{list: map[string][]byte{"/live/index.m3u8": []byte(ended(4, func(i int) string {
		return fmt.Sprintf("#EXT-X-PROGRAM-DATE-TIME:2001-02-03T04:05:%02dZ\n#EXTINF:2,\ns%d.ts\n", 2*i, i)
	}))}}
	for i := range 4 {
		f.list[fmt.Sprintf("/live/s%d.ts", i)] = testSegment("", i)
	}
	for _, loop := range []bool{false, true} {
		t.Run(fmt.Sprintf("loop %t", loop), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c, _, err := follow(t, f, 19*time.Second, func(cfg *Config) { cfg.Loop = loop })
				want := "0 1 2 3"
				if loop {
					want = "0 1 2 3 |0 1 2 3 |0"
				}
				if got := strings.TrimSuffix(c.numbers(t, ""), " ~1"); got != want || loop != errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("published %s, want %s: %v", got, want, err)
				}
				for i, g := range c.segments {
					if at := began.Add(time.Duration(i) * segmentLength); !g.began.Equal(at) || g.whole && !g.ended.Equal(at.Add(segmentLength)) {
						t.Errorf("segment %d is of %v, published from %v to %v, want %v", i, g.began, g.at, g.ended, at)
					}
				}
			})
		})
	}
}

// TestRanges: segments may be ranges of one file, with offsets or without, from servers that
// know ranges and from others.
func TestRanges(t *testing.T) {
	var file []byte
	var from []int
	for i := range 4 {
		from = append(from, len(file))
		file = append(file, testSegment("", i)...)
	}
	for _, placed := range []bool{true, false} {
		for _, noRanges := range []bool{false, true} {
			t.Run(fmt.Sprintf("offsets %t, server without ranges %t", placed, noRanges), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					text := ended(4, func(i int) string {
						at := ""
						if placed || i == 0 {
							at = fmt.Sprintf("@%d", from[i])
						}
						return fmt.Sprintf("#EXTINF:2,\n#EXT-X-BYTERANGE:%d%s\nall.ts\n", len(testSegment("", i)), at)
					})
					text = byteOrder + strings.ReplaceAll(text, "\n", "\r\n\r\n") // as some editors leave it
					f := &files{list: map[string][]byte{"/live/index.m3u8": []byte(text), "/live/all.ts": file}, noRanges: noRanges}
					c, _, err := follow(t, f, time.Minute, nil)
					if got := c.numbers(t, ""); err != nil || got != "0 1 2 3" {
						t.Errorf("published %s: %v", got, err)
					}
				})
			})
		}
	}
}

// TestRestart: an origin that begins anew is followed, and what does not continue is marked.
func TestRestart(t *testing.T) {
	for _, test := range []struct {
		name  string
		label string // of the segments after
		first int    // media sequence after
		anew  uint64 // restarts
	}{
		{"from zero, with other names", "b", 0, 1},
		{"with higher numbers", "b", 1 << 20, 1},
		{"with numbers that go on", "b", 12, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before, after := newLive(), newLive()
				before.ends = 12
				after.label, after.first, after.ends = test.label, test.first, 12
				after.began = time.Now().Add(10*time.Second - 5*segmentLength)
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					playlist := strings.HasSuffix(r.URL.Path, ".m3u8")
					switch now := time.Since(after.began) > 5*segmentLength; {
					case playlist && now || !playlist && strings.Contains(r.URL.Path, "/"+test.label+"segment"):
						after.ServeHTTP(w, r)
					case playlist:
						fmt.Fprint(w, strings.TrimSuffix(before.text(), "#EXT-X-ENDLIST\n"))
					default:
						before.ServeHTTP(w, r)
					}
				})
				c, o, err := follow(t, h, 2*time.Minute, nil)
				if err != nil {
					t.Fatal(err)
				}
				var old, fresh collector
				for _, g := range c.segments {
					if bytes.Contains(g.data, []byte(test.label+" picture")) {
						fresh.segments = append(fresh.segments, g)
					} else {
						old.segments = append(old.segments, g)
					}
				}
				if got := old.numbers(t, ""); got != "7 8 9 10 11" {
					t.Errorf("published %s before", got)
				}
				// Of five or six segments that are there, it begins with the last three, or goes on.
				got := fresh.numbers(t, test.label)
				if !strings.HasPrefix(got, "|") || !strings.HasSuffix("0 1 2 3 4 5 6 7 8 9 10 11", got[1:]) || len(got) < len("|3 4 5 6 7 8 9 10 11") {
					t.Errorf("published %s after", got)
				}
				if st := o.Stats(); st.Restarts != test.anew {
					t.Errorf("figures %+v", st)
				}
			})
		})
	}
}

func TestDates(t *testing.T) {
	for _, test := range []struct {
		name string
		off  time.Duration
		kept bool
	}{
		{"right", -3 * time.Second, true},
		{"a delay of minutes", -5 * time.Minute, true},
		{"another zone", -2 * time.Hour, false},
		{"ahead", 5 * time.Minute, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLive()
				l.ends, l.dated = 12, true
				l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
					for line := range strings.Lines(text) {
						if date, ok := strings.CutPrefix(strings.TrimSpace(line), "#EXT-X-PROGRAM-DATE-TIME:"); ok {
							at, err := time.Parse(time.RFC3339Nano, date)
							must(err)
							line = "#EXT-X-PROGRAM-DATE-TIME:" + at.Add(test.off).Format(time.RFC3339Nano) + "\n"
						}
						fmt.Fprint(w, line)
					}
				}
				c, _, err := follow(t, l, time.Minute, nil)
				if err != nil || len(c.segments) != 5 {
					t.Fatalf("%d segments: %v", len(c.segments), err)
				}
				for i, g := range c.segments {
					want := l.began.Add(time.Duration(7+i) * segmentLength)
					if test.kept {
						want = want.Add(test.off)
					}
					if !g.began.Equal(want) {
						t.Errorf("segment %d is of %v, want %v", i, g.began, want)
					}
				}
			})
		})
	}
}

func TestRefused(t *testing.T) {
	tags := func(s string) string {
		return ended(2, func(int) string { return s + "#EXTINF:2,\ns.ts\n" })
	}
	for _, test := range []struct {
		name, answer string
		want         any
	}{
		{"a page", "<html></html>", ErrNoPlaylist},
		{"nothing", "", ErrNoPlaylist},
		{"no segments", "#EXTM3U\n#EXT-X-ENDLIST\n", ErrNoPlaylist},
		{"segments without end", "#EXTM3U\n#EXTINF:1e300,\na.ts\n", ErrNoPlaylist},
		{"segments of an hour", tags("#EXTINF:3600,\nb.ts\n"), ErrNoPlaylist},
		{"a range before the file", tags("#EXT-X-BYTERANGE:10@-5\n"), ErrNoPlaylist},
		{"encrypted", tags("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n"), new(UnsupportedError)},
		{"a file of this machine", tags("#EXTINF:2,\nfile:///etc/passwd\n"), ErrScheme},
		{"a multivariant playlist of none", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", ErrNoPlaylist},
		{"a multivariant playlist of itself", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n", new(UnsupportedError)},
		{"too much", "#EXTM3U\n" + strings.Repeat("#EXTINF:2,\na.ts\n", maxPlaylist/15), ErrTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := open(t, serve(t, &files{list: map[string][]byte{"/live/index.m3u8": []byte(test.answer)}}), "http://origin.test/live/index.m3u8", nil)
				switch want := test.want.(type) {
				case error:
					var unsupported *UnsupportedError
					if _, ok := want.(*UnsupportedError); ok && !errors.As(err, &unsupported) || !ok && !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
				}
			})
		})
	}
}

func TestAddresses(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, _, _ := r.BasicAuth(); {
		case r.URL.Path == "/again.m3u8":
			http.Redirect(w, r, "/again.m3u8", http.StatusFound)
		case r.URL.Path == "/file.m3u8":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case user == "":
			http.Error(w, "who?", http.StatusUnauthorized)
		default:
			fmt.Fprint(w, ended(1, func(int) string { return "#EXTINF:2,\ns.ts\n" }))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		via := serve(t, h)
		for address, want := range map[string]error{
			"http://origin.test/again.m3u8":          ErrRedirects,
			"http://origin.test/file.m3u8":           ErrScheme,
			"http://me:secret@origin.test/live.m3u8": nil,
		} {
			_, err := open(t, via, address, nil)
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", address, err, want)
			}
		}
		_, err := open(t, via, "http://origin.test/live.m3u8", nil)
		var status *StatusError
		if !errors.As(err, &status) || status.Code != http.StatusUnauthorized {
			t.Errorf("without a user: %v", err)
		}
	})
	for _, bad := range []string{"", "index.m3u8", "ftp://host/a.m3u8", "http://", "https:///a"} {
		if _, err := New(Config{URL: bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	from, err := http.NewRequest(http.MethodGet, "https://a.test/x", nil)
	must(err)
	to, err := http.NewRequest(http.MethodGet, "http://a.test/x", nil)
	must(err)
	if err := checkRedirect(to, []*http.Request{from}); !errors.Is(err, ErrInsecure) {
		t.Errorf("https to http: %v", err)
	}
	if _, err := parseMedia(ended(1, func(int) string { return "#EXTINF:2,\nhttp://b.test/s.ts\n" }), from.URL); !errors.Is(err, ErrInsecure) {
		t.Errorf("a playlist from https that names http: %v", err)
	}
}

// TestVariants: every variant is a rendition, and the same picture has the same time in all.
func TestVariants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const text = `#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",DEFAULT=YES,URI="gone/en.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="Deutsch",URI="gone/de.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,CODECS="avc1.64001e,mp4a.40.2",AUDIO="a",SUBTITLES="s"
low/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2500000,RESOLUTION=1280x720,AUDIO="a",SUBTITLES="s"
high/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2500000,RESOLUTION=1280x720,AUDIO="a"
http://spare.test/high/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1500000,RESOLUTION=1280x720
gone/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=64000
sound/index.m3u8
`
		l := newLive()
		l.ends = 12
		var late atomic.Int32
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/live/index.m3u8":
				fmt.Fprint(w, text)
			case strings.HasPrefix(r.URL.Path, "/live/gone/"):
				http.NotFound(w, r)
			default:
				if late.Add(1)%3 == 0 {
					time.Sleep(300 * time.Millisecond) // they do not arrive together
				}
				r.URL.Path = "/live/" + r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
				l.ServeHTTP(w, r)
			}
		})
		o, err := open(t, serve(t, h), "http://origin.test/live/index.m3u8", nil)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string]*collector)
		err = o.Run(t.Context(), func(name string) (func(stream.Part) error, error) {
			all[name] = &collector{}
			return all[name].publish, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		times := make(map[string]time.Time)
		for _, r := range o.Renditions() {
			names = append(names, r.Name())
			c := all[r.Name()]
			if got := c.numbers(t, ""); got != "7 8 9 10 11" {
				t.Errorf("%s published %s", r.Name(), got)
			}
			for i, g := range c.segments {
				picture := fmt.Sprint(i)
				if at, ok := times[picture]; ok && !at.Equal(g.began) {
					t.Errorf("%s: segment %d is of %v, elsewhere of %v", r.Name(), i, g.began, at)
				}
				times[picture] = g.began
			}
		}
		if got, want := strings.Join(names, " "), "720p-2500k 360p 64k"; got != want {
			t.Errorf("renditions %s, want %s", got, want)
		}
		left := strings.Join(o.LeftOut(), "; ")
		for _, want := range []string{"audio English", "subtitles Deutsch", "720p-1500k"} {
			if !strings.Contains(left, want) {
				t.Errorf("left out are %s, want %s among them", left, want)
			}
		}
	})
}
