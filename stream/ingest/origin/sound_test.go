package origin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/webvtt"
)

// TestSound: sound with a playlist of its own is put together with the pictures, or a
// rendition of its own, and stays where it belongs whatever happens to it.
func TestSound(t *testing.T) {
	const all = "7 8 9 10 11 12 13 14 15 16 17 18 19"
	gone := func(w http.ResponseWriter) bool { http.Error(w, "no", http.StatusNotFound); return true }
	for _, test := range []struct {
		name   string
		setup  func(a *apart)
		want   string // of the pictures, with English
		aside  string // of German
		silent uint64
	}{
		{"nothing", func(*apart) {}, all, all, 0},
		{"segments come late", func(a *apart) {
			a.segment = func(w http.ResponseWriter, track string, n int, b []byte) bool {
				if isSound(track) {
					time.Sleep(1500 * time.Millisecond)
				}
				return false
			}
		}, all, all, 0},
		{"pictures come late", func(a *apart) {
			a.segment = func(w http.ResponseWriter, track string, n int, b []byte) bool {
				if track == "video" {
					time.Sleep(1500 * time.Millisecond)
				}
				return false
			}
		}, all, all, 0},
		{"a segment is not there at first", func(a *apart) {
			a.segment = func(w http.ResponseWriter, track string, n int, b []byte) bool {
				return isSound(track) && n == 9 && a.asked(track, n) < 4 && gone(w)
			}
		}, all, all, 0},
		{"a segment is cut off once", func(a *apart) {
			a.segment = func(w http.ResponseWriter, track string, n int, b []byte) bool {
				if track == "video" || n != 9 || a.asked(track, n) > 1 {
					return false
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(b)))
				w.Write(b[:len(b)/2])
				return true
			}
		}, all, all, 0},
		{"a segment is missing", func(a *apart) {
			a.segment = func(w http.ResponseWriter, track string, n int, b []byte) bool {
				return isSound(track) && n == 9 && gone(w)
			}
		}, "7 8 9- 10 11 12 13 14 15 16 17 18 19", "7 8 |10 11 12 13 14 15 16 17 18 19", 1},
		{"the playlists are gone for a while", func(a *apart) {
			a.playlist = func(w http.ResponseWriter, track, text string) bool {
				since := time.Since(a.began) - 20*time.Second
				return isSound(track) && since > 3*time.Second && since < 9*time.Second && gone(w)
			}
		}, all, all, 0},
		{"the playlists are gone", func(a *apart) {
			a.playlist = func(w http.ResponseWriter, track, text string) bool {
				return isSound(track) && time.Since(a.began) > 25*time.Second && gone(w)
			}
		}, "7 8 9 10 11 12- 13- 14- 15- 16- 17- 18- 19-", "7 8 9 10 11", 8},
		{"all jump", func(a *apart) {
			a.shift = func(_ string, n int) time.Duration {
				if n >= 10 {
					return 1000 * time.Second
				}
				return 0
			}
		}, "7 8 9 |10 11 12 13 14 15 16 17 18 19", "7 8 9 |10 11 12 13 14 15 16 17 18 19", 0},
		{"timestamps wrap", func(a *apart) {
			a.shift = func(string, int) time.Duration { return 95410 * time.Second }
		}, all, all, 0},
		{"sound is on another time line", func(a *apart) {
			a.shift = func(track string, n int) time.Duration {
				if isSound(track) {
					return 1000 * time.Second
				}
				return 0
			}
		}, strings.ReplaceAll(all, " ", "- ") + "-", "", 13},
		{"all begin anew", func(a *apart) {
			a.shift = func(_ string, n int) time.Duration {
				if n >= 10 {
					return -20 * time.Second
				}
				return 0
			}
		}, "7 8 9 |10 11 12 13 14 15 16 17 18 19", "7 8 9 |10 11 12 13 14 15 16 17 18 19", 0},
		{"all begin anew, and sound comes late", func(a *apart) {
			a.shift = func(_ string, n int) time.Duration {
				if n >= 10 {
					return -20 * time.Second
				}
				return 0
			}
			a.segment = func(w http.ResponseWriter, track string, n int, b []byte) bool {
				if isSound(track) && n == 10 {
					time.Sleep(3 * time.Second)
				}
				return false
			}
		}, "7 8 9 |10 11 12 13 14 15 16 17 18 19", "7 8 9 |10 11 12 13 14 15 16 17 18 19", 0},
		{"sound becomes mono", func(a *apart) {
			a.channels = func(track string, n int) int {
				if isSound(track) && n >= 10 {
					return 1
				}
				return 2
			}
		}, "7 8 9 |10 11 12 13 14 15 16 17 18 19", "7 8 9 |10 11 12 13 14 15 16 17 18 19", 0},
	} {
		for _, p := range packagings {
			t.Run(test.name+"/"+p.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := newApart()
					a.packaging = p
					test.setup(a)
					all, o := a.follow(t, 3*time.Minute)
					if names := slices.Sorted(maps.Keys(all)); len(names) != 3 || names[0] != "360p" || names[1] != "audio-de" || names[2] != "text-en" {
						t.Fatalf("renditions %v; left out %v", names, o.LeftOut())
					}
					if got := a.describe(t, all["360p"], "en", 50); got != test.want {
						t.Errorf("pictures and sound %s, want %s", got, test.want)
					}
					if n := o.Stats().Silent; n != test.silent {
						t.Errorf("%d segments without all of their sound, want %d", n, test.silent)
					}
					if got := a.describe(t, all["audio-de"], "de", 0); got != test.aside {
						t.Errorf("further sound %s, want %s", got, test.aside)
					}
					if m := all["360p"].segments[0].media; m.Kind != stream.KindMain || m.Language != "en" || !strings.HasPrefix(m.Codecs, "avc1.64001e") {
						t.Errorf("pictures are %+v", m)
					}
					if test.aside == "" {
						return
					}
					if m := all["audio-de"].segments[0].media; m.Kind != stream.KindAudio || m.Language != "de" || m.Name != "Deutsch" || m.Codecs != "mp4a.40.2" {
						t.Errorf("further sound is %+v", m)
					}
				})
			})
		}
	}
}

// TestCaptions: subtitles with a playlist of their own are a rendition with the pictures'
// segments, and are shown when they should be.
func TestCaptions(t *testing.T) {
	for _, test := range []struct {
		name  string
		setup func(a *apart)
		lost  string // cues that are nowhere
	}{
		{"nothing", func(*apart) {}, ""},
		{"timestamps wrap", func(a *apart) {
			a.shift = func(string, int) time.Duration { return 95410 * time.Second }
		}, ""},
		{"a segment is late", func(a *apart) {
			a.segment = func(w http.ResponseWriter, track string, n int, b []byte) bool {
				if track == "text" && n == 12 {
					time.Sleep(2 * time.Second)
				}
				return false
			}
		}, ""},
		{"two segments are missing", func(a *apart) {
			a.segment = func(w http.ResponseWriter, track string, n int, b []byte) bool {
				if track != "text" || n != 12 && n != 13 {
					return false
				}
				http.NotFound(w, nil)
				return true
			}
		}, " 12"},
		{"all begin anew", func(a *apart) {
			a.shift = func(_ string, n int) time.Duration {
				if n >= 10 {
					return -20 * time.Second
				}
				return 0
			}
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newApart()
				test.setup(a)
				all, o := a.follow(t, 3*time.Minute)
				c, lost := all["text-en"], ""
				if n := len(c.segments); n != 13 {
					t.Fatalf("%d segments of subtitles", n)
				}
				if m := c.segments[0].media; m.Kind != stream.KindSubtitles || m.Language != "en" || m.Name != "English" || !m.Default {
					t.Errorf("they are %+v", m)
				}
				for i, g := range c.segments {
					n := 7 + i
					cues, at, err := webvtt.Parse(g.data)
					if err != nil || at != 0 || !g.whole || g.length != segmentLength || !g.began.Equal(all["360p"].segments[i].began) {
						t.Errorf("segment %d: %v; whole %t, lasts %v, of %v", n, err, g.whole, g.length, g.began)
					}
					here := slices.IndexFunc(cues, func(c webvtt.Cue) bool { return c.Text == fmt.Sprintf("cue %d", n) })
					if here < 0 {
						lost += fmt.Sprintf(" %d", n)
						continue
					}
					start := 10*time.Second + time.Duration(n)*segmentLength + a.shift("text", n) + 300*time.Millisecond
					wrapped := time.Duration(wrap) * 100 / 9 * time.Microsecond
					if d := (cues[here].Start-start+wrapped+wrapped/2)%wrapped - wrapped/2; d < -time.Millisecond || d > time.Millisecond {
						t.Errorf("cue %d is %v late", n, d)
					}
				}
				if lost != test.lost {
					t.Errorf("lost are the cues%s, want%s", lost, test.lost)
				}
				t.Logf("%+v", o.Stats())
			})
		})
	}
}

// TestSoundLeftOut: what sound cannot be had is named, whatever the containers are.
func TestSoundLeftOut(t *testing.T) {
	entry := func(name string) func(int) string {
		return func(i int) string { return fmt.Sprintf("#EXTINF:2,\n%s%d\n", name, i) }
	}
	section := "#EXT-X-MAP:URI=\"i\"\n"
	for _, test := range []struct{ name, pictures, sound, want string }{
		{"sound in MPEG-TS", section, "", ""},
		{"pictures in MPEG-TS", "", section, ""},
		{"all in fragmented MP4", section, section, ""},
		{"encrypted", "", "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n", "audio English (unsupported: segments that are encrypted by SAMPLE-AES"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &files{list: map[string][]byte{
				"/live/index.m3u8": []byte("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",DEFAULT=YES,URI=\"en.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nvideo.m3u8\n"),
				"/live/en.m3u8":    []byte(ended(2, func(i int) string { return test.sound + entry("s")(i) })),
				"/live/video.m3u8": []byte(ended(2, func(i int) string { return test.pictures + entry("v")(i) })),
			}}
			o, err := open(t, serve(t, f), "http://origin.test/live/index.m3u8", nil)
			if err != nil {
				t.Fatal(err)
			}
			left := strings.Join(o.LeftOut(), "; ")
			if test.want == "" && left != "" || !strings.Contains(left, test.want) {
				t.Errorf("%s: left out %q, want %q", test.name, left, test.want)
			}
		})
	}
}
