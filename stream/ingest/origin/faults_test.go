package origin

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// after returns whether so much time passed since an origin was opened.
func (l *live) after(d time.Duration) bool { return time.Since(l.began) > 20*time.Second+d }

// TestFaults: whatever an origin does, what is published whole is a segment of its, byte for
// byte, and what does not continue is marked.
func TestFaults(t *testing.T) {
	status := func(code int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { http.Error(w, "no", code) }
	}
	// once breaks segment 9 for so many requests.
	broken := func(l *live, times int, fault func(w http.ResponseWriter, b []byte)) {
		l.breakSegment = func(w http.ResponseWriter, r *http.Request, n int, b []byte) {
			l.mu.Lock()
			asked := l.gets[n]
			l.mu.Unlock()
			if n == 9 && asked <= times {
				fault(w, b)
				return
			}
			w.Write(b)
		}
	}
	always := 1 << 30
	cutOff := func(w http.ResponseWriter, b []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		w.Write(b[:len(b)*2/3])
	}
	halt := func(l *live) {
		broken(l, always, func(w http.ResponseWriter, b []byte) {
			w.Write(b[:len(b)*2/3])
			w.(http.Flusher).Flush()
			<-l.over
		})
	}
	const all = "7 8 9 10 11 12 13 14 15 16 17 18 19"
	for _, test := range []struct {
		name  string
		setup func(l *live)
		want  string
		err   error // Run's
	}{
		{"nothing", func(l *live) {}, all, nil},
		{"playlist is 503 for a while", func(l *live) {
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
				if l.after(3*time.Second) && !l.after(8*time.Second) {
					status(503)(w)
					return
				}
				fmt.Fprint(w, text)
			}
		}, all, nil},
		{"playlist is an empty answer now and then", func(l *live) {
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
				if len(l.loads)%3 != 2 {
					fmt.Fprint(w, text)
				}
			}
		}, all, nil},
		{"playlist is cut off now and then", func(l *live) {
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
				w.Header().Set("Content-Length", fmt.Sprint(len(text)))
				if len(l.loads)%3 == 2 {
					text = text[:len(text)/2]
				}
				fmt.Fprint(w, text)
			}
		}, all, nil},
		{"another server is behind", func(l *live) {
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
				if len(l.loads)%2 == 0 {
					l.began = l.began.Add(2 * segmentLength)
					text = l.text()
					l.began = l.began.Add(-2 * segmentLength)
				}
				fmt.Fprint(w, text)
			}
		}, all, nil},
		{"wrong content type", func(l *live) {
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprint(w, text)
			}
			broken(l, always, func(w http.ResponseWriter, b []byte) {
				w.Header().Set("Content-Type", "application/json")
				w.Write(b)
			})
		}, all, nil},
		{"gzip", func(l *live) {
			zip := func(w http.ResponseWriter, b []byte) {
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				z.Write(b)
				z.Close()
			}
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) { zip(w, []byte(text)) }
			broken(l, always, zip)
		}, all, nil},
		{"gzip that is cut off, once", func(l *live) {
			broken(l, 1, func(w http.ResponseWriter, b []byte) {
				var zipped bytes.Buffer
				z := gzip.NewWriter(&zipped)
				z.Write(b)
				z.Close()
				w.Header().Set("Content-Encoding", "gzip")
				w.Write(zipped.Bytes()[:zipped.Len()/2])
			})
		}, all, nil},
		{"redirects", func(l *live) {
			l.breakSegment = func(w http.ResponseWriter, r *http.Request, n int, b []byte) {
				if r.Host == "origin.test" {
					http.Redirect(w, r, "http://elsewhere.test"+r.URL.Path, http.StatusFound)
					return
				}
				w.Write(b)
			}
		}, all, nil},
		{"a segment is not there at first", func(l *live) { broken(l, 3, func(w http.ResponseWriter, b []byte) { status(404)(w) }) }, all, nil},
		{"a segment is never there", func(l *live) { broken(l, always, func(w http.ResponseWriter, b []byte) { status(404)(w) }) },
			"7 8 |10 11 12 13 14 15 16 17 18 19", nil},
		{"a segment is a page twice", func(l *live) {
			broken(l, 2, func(w http.ResponseWriter, b []byte) { io.WriteString(w, "<html>busy</html>"+strings.Repeat(" ", 500)) })
		}, all, nil},
		{"a segment is a page", func(l *live) {
			broken(l, always, func(w http.ResponseWriter, b []byte) { io.WriteString(w, strings.Repeat("<html>gone</html>", 50)) })
		}, "7 8 |10 11 12 13 14 15 16 17 18 19", nil},
		{"a segment is cut off twice", func(l *live) { broken(l, 2, cutOff) }, all, nil},
		{"a segment is cut off", func(l *live) { broken(l, always, cutOff) }, "7 8 ~9 |10 11 12 13 14 15 16 17 18 19", nil},
		{"a segment is cut off, then another", func(l *live) {
			broken(l, 2, func(w http.ResponseWriter, b []byte) {
				if l.gets[9] == 1 {
					cutOff(w, b)
				} else {
					w.Write(testSegment("other", 9))
				}
			})
		}, "7 8 ~9 |10 11 12 13 14 15 16 17 18 19", nil},
		{"a segment comes to a halt", halt, "7 8 ~9 |10 11 12 13 14 15 16 17 18 19", nil},
		{"a segment never ends", func(l *live) {
			broken(l, always, func(w http.ResponseWriter, b []byte) {
				null := bytes.Repeat([]byte{0xff}, 188)
				copy(null, []byte{0x47, 0x1f, 0xff, 0x10})
				w.Write(b)
				for range 1000 {
					if _, err := w.Write(null); err != nil {
						return
					}
					w.(http.Flusher).Flush()
					select {
					case <-time.After(time.Second):
					case <-l.over:
						return
					}
				}
			})
		}, "7 8 ~9 |10 11 12 13 14 15 16 17 18 19", nil},
		{"a segment has lost a byte", func(l *live) {
			broken(l, always, func(w http.ResponseWriter, b []byte) { w.Write(append(bytes.Clone(b[:len(b)/2]), b[len(b)/2+1:]...)) })
		}, "7 8 ~9 |10 11 12 13 14 15 16 17 18 19", nil},
		{"a segment ends within a packet", func(l *live) {
			broken(l, always, func(w http.ResponseWriter, b []byte) { w.Write(b[:len(b)-7]) })
		}, "7 8 ~9 |10 11 12 13 14 15 16 17 18 19", nil},
		{"a gap", func(l *live) {
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
				fmt.Fprint(w, strings.ReplaceAll(text, "#EXTINF:2.000,\nsegment9.", "#EXT-X-GAP\n#EXTINF:2.000,\nsegment9."))
			}
		}, "7 8 |10 11 12 13 14 15 16 17 18 19", nil},
		{"a discontinuity", func(l *live) {
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
				fmt.Fprint(w, strings.ReplaceAll(text, "#EXTINF:2.000,\nsegment9.", "#EXT-X-DISCONTINUITY\n#EXTINF:2.000,\nsegment9."))
			}
		}, "7 8 |9 10 11 12 13 14 15 16 17 18 19", nil},
		{"the origin pauses for half a minute", func(l *live) {
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
				if l.after(10*time.Second) && !l.after(40*time.Second) {
					status(500)(w)
					return
				}
				fmt.Fprint(w, text)
			}
			l.ends = 30
		}, "7 8 9 10 11 12 13 14 |25 26 27 28 29", nil},
		{"the stream ends early", func(l *live) { l.ends = 12 }, "7 8 9 10 11", nil},
		{"the playlist stands still", func(l *live) {
			text := ""
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, now string) {
				if text == "" {
					text = now
				}
				fmt.Fprint(w, text)
			}
		}, "7 8 9", new(QuietError)},
		{"the playlist is gone", func(l *live) {
			l.breakPlaylist = func(w http.ResponseWriter, r *http.Request, text string) {
				if l.after(5 * time.Second) {
					status(404)(w)
					return
				}
				fmt.Fprint(w, text)
			}
		}, "7 8 9 10 11", new(StatusError)},
		{"all segments are gone", func(l *live) {
			l.ends = 100
			l.breakSegment = func(w http.ResponseWriter, r *http.Request, n int, b []byte) {
				if n > 9 {
					status(403)(w)
					return
				}
				w.Write(b)
			}
		}, "7 8 9", new(StatusError)},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLive()
				l.ends = 20
				test.setup(l)
				c, o, err := follow(t, l, 3*time.Minute, nil)
				checkEnd(t, err, test.err)
				if got := c.numbers(t, ""); got != test.want {
					t.Errorf("published %s, want %s", got, test.want)
				}
				t.Logf("%v; %+v", err, o.Stats())
			})
		})
	}
}

// checkEnd compares what a run ended with.
func checkEnd(t *testing.T, got, want error) {
	t.Helper()
	ok := false
	switch want := want.(type) {
	case nil:
		ok = got == nil
	case *QuietError:
		ok = errors.As(got, &want) && want.Err == nil
	case *StatusError:
		var quiet *QuietError
		ok = errors.As(got, &want) && errors.As(got, &quiet)
	}
	if !ok {
		t.Errorf("it ended with %v, want %T", got, want)
	}
}
