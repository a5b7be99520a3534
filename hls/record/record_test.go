package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/stream"
)

func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		rec := startRecording(t, root, s, nil)
		began := s.clock
		s.air(5)
		synctest.Wait()
		list := s.expectList(root, names(1, 0, 4)...)
		if list.Ended || list.Target != 2 || list.Sequence != 0 {
			t.Errorf("while it grows the playlist is %+v", list)
		}
		s.end()
		time.Sleep(time.Minute)
		synctest.Wait()
		if list = s.expectList(root, names(1, 0, 4)...); !list.Ended {
			t.Error("the stream has ended, its playlist has not")
		}
		s.restart()
		s.air(2)
		synctest.Wait()
		if list = s.expectList(root, append(names(1, 0, 4), "|2-0.ts", "2-1.ts")...); list.Ended {
			t.Error("the stream is back, its playlist has ended")
		}
		for i, e := range list.Segments[:5] {
			if off := e.ProgramTime.Sub(began.Add(time.Duration(i) * segmentLength)); off.Abs() > time.Millisecond || e.Duration != segmentLength {
				t.Errorf("segment %d is %v off and lasts %v", i, off, e.Duration)
			}
		}
		st := rec.status()
		if st.Segments != 7 || st.Seconds != 14 || st.MP4 != "recording.mp4" || st.Missing+st.Slow+st.Failed+st.MP4LeftOut != 0 || st.MP4Lost != 0 || st.Bytes == 0 {
			t.Errorf("the figures are %+v", st)
		}
		rec.stop()
		if list = s.expectList(root, append(names(1, 0, 4), "|2-0.ts", "2-1.ts")...); !list.Ended {
			t.Error("the node has ended, its playlist has not")
		}
		text, err := os.ReadFile(filepath.Join(s.dir(root), PlaylistName))
		if err != nil || strings.Count(string(text), "#EXT-X-PLAYLIST-TYPE:VOD\n") != 1 {
			t.Errorf("%v; the playlist is\n%s", err, text)
		}
		rec.expectStates(t, StateRecording, StateEnded, StateRecording)
		// Nothing else is left behind.
		left, err := os.ReadDir(s.dir(root))
		if err != nil || len(left) != 7+2 {
			t.Errorf("%d files are there (%v)", len(left), err)
		}
	})
}

// TestHole checks that what never becomes whole is waited for, left out and counted.
func TestHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		rec := startRecording(t, root, s, nil)
		s.air(2)
		s.announce() // and no chunk
		s.air(3)
		synctest.Wait()
		s.expectList(root, names(1, 0, 1)...)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.expectList(root, "1-0.ts", "1-1.ts", "|1-3.ts", "1-4.ts", "1-5.ts")
		if st := rec.status(); st.Missing != 1 {
			t.Errorf("%d are counted as missing, want 1", st.Missing)
		}
		if n := strings.Count(rec.log.String(), "segments left out"); n != 1 {
			t.Errorf("the log tells %d times:\n%s", n, rec.log)
		}
	})
}

// TestResume checks that a recording goes on where the node left off, if the stream does.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		rec := startRecording(t, root, s, nil)
		s.air(3)
		rec.stop()
		s.air(2) // while the node is off, and fetched later

		rec = startRecording(t, root, s, nil)
		s.air(1)
		synctest.Wait()
		list := s.expectList(root, names(1, 0, 5)...)
		if list.Sequence != 0 {
			t.Errorf("the playlist begins with number %d", list.Sequence)
		}
		if st := rec.status(); st.Segments != 6 || st.Seconds != 12 || st.MP4 != "recording-2.mp4" {
			t.Errorf("the figures are %+v", st)
		}
		rec.stop()

		s.restart()
		startRecording(t, root, s, nil)
		s.air(2)
		time.Sleep(time.Minute) // the end of the first epoch never came
		synctest.Wait()
		s.expectList(root, append(names(1, 0, 5), "|2-0.ts", "2-1.ts")...)
		for _, name := range []string{"recording.mp4", "recording-2.mp4", "recording-3.mp4"} {
			if info, err := os.Stat(filepath.Join(s.dir(root), name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestSubtitles checks that text is recorded as it is, without an MP4, and goes on.
func TestSubtitles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		s.film = [][]stream.Part{{{
			StartsSegment: true, EndsSegment: true, Independent: true, Duration: segmentLength,
			Media: stream.Media{Kind: stream.KindSubtitles, Codecs: "wvtt"}, Data: []byte("WEBVTT\n\n"),
		}}}
		rec := startRecording(t, root, s, nil)
		s.air(3)
		rec.stop()
		rec = startRecording(t, root, s, nil)
		s.air(1)
		synctest.Wait()
		s.expectList(root, "1-0.vtt", "1-1.vtt", "1-2.vtt", "1-3.vtt")
		if st := rec.status(); st.MP4 != "" || st.MP4LeftOut != 0 || st.Segments != 4 {
			t.Errorf("the figures are %+v", st)
		}
		rec.stop()
		if left, err := os.ReadDir(s.dir(root)); err != nil || len(left) != 4+1 {
			t.Errorf("%d files are there (%v)", len(left), err)
		}
		_, err := Cut(t.Context(), ExportConfig{Playlist: filepath.Join(s.dir(root), PlaylistName), Out: filepath.Join(root, "talk.mp4")})
		if !errors.Is(err, ErrSubtitles) {
			t.Errorf("an export: %v", err)
		}
	})
}

func TestBusy(t *testing.T) {
	root := t.TempDir()
	r, err := Open(Config{Dir: root})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: root}); !errors.Is(err, ErrBusy) {
		t.Errorf("a second node gets %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r, err = Open(Config{Dir: root})
	if err != nil {
		t.Fatalf("the directory stays locked: %v", err)
	}
	_ = r.Close()
}

// TestFull fills the disk at each kind of file, and makes room again.
func TestFull(t *testing.T) {
	for _, op := range []string{"write new", "create new", "rename 1-2.ts", "write recording.mp4", "rename index.m3u8", "sync new"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, root, fs := newStation(t), t.TempDir(), &faulty{}
				rec := startRecording(t, root, s, fs)
				s.air(2)
				synctest.Wait()
				fs.set(func(got string) error {
					if got == op {
						return &os.PathError{Op: "write", Path: got, Err: syscall.ENOSPC}
					}
					return nil
				})
				s.air(4)
				st := rec.status()
				one := op == "rename 1-2.ts" // its next segment has another name
				if !one && (st.State != StateStopped || !strings.Contains(st.Error, syscall.ENOSPC.Error())) {
					t.Errorf("the figures are %+v", st)
				}
				fs.set(nil)
				s.air(6)
				synctest.Wait()
				st = rec.status()
				if st.State != StateRecording || st.Error != "" || st.Failed == 0 || st.Failed > 5 {
					t.Errorf("the figures are %+v", st)
				}
				first := 2 + int(st.Failed)
				want := append(names(1, 0, 1), names(1, first, 11)...)
				want[2] = "|" + want[2]
				s.expectList(root, want...)
				rec.stop()
				rec.expectStates(t, StateRecording, StateStopped, StateRecording)
				if n := strings.Count(rec.log.String(), "level=ERROR"); n != 1 {
					t.Errorf("the log has %d errors, want one:\n%s", n, rec.log)
				}
				expectMovie(t, filepath.Join(s.dir(root), "recording.mp4"), 12-int(st.Failed), true)
				left, err := os.ReadDir(s.dir(root))
				if err != nil || len(left) != len(want)+2 {
					t.Errorf("%d files are there (%v), want the segments, the playlist and the MP4", len(left), err)
				}
			})
		})
	}
}

// TestFullAtTheEnd checks that the playlist of a stream that ended while the disk was full
// is closed once there is room, although nothing more comes.
func TestFullAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root, fs := newStation(t), t.TempDir(), &faulty{}
		rec := startRecording(t, root, s, fs)
		s.air(2)
		synctest.Wait()
		fs.set(func(string) error { return syscall.ENOSPC })
		s.end()
		time.Sleep(time.Minute)
		if st := rec.status(); st.State != StateStopped {
			t.Errorf("the figures are %+v", st)
		}
		fs.set(nil)
		time.Sleep(2 * retryEvery)
		if st := rec.status(); st.State != StateEnded || st.Error != "" {
			t.Errorf("the figures are %+v", st)
		}
		if list := s.expectList(root, names(1, 0, 1)...); !list.Ended {
			t.Error("the stream has ended, its playlist has not")
		}
		rec.stop()
		rec.expectStates(t, StateRecording, StateStopped, StateEnded)
	})
}

// TestSlowDisk checks that what waits for the disk is bounded, and what finds no room is
// counted and left out.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		big := make([]byte, testQueue/3) // three fit into the queue
		s.film = [][]stream.Part{{{StartsSegment: true, EndsSegment: true, Independent: true, Duration: segmentLength, Data: big}}}
		fs := &faulty{delay: func(op string) {
			if strings.HasPrefix(op, "rename 1-0") {
				time.Sleep(time.Minute)
			}
		}}
		rec := startRecording(t, root, s, fs)
		s.air(10)
		if st := rec.status(); st.Slow != 6 { // one is written, three wait
			t.Errorf("%d of 10 are left out, want 6", st.Slow)
		}
		time.Sleep(time.Minute)
		s.air(1)
		synctest.Wait()
		s.expectList(root, "1-0.ts", "1-1.ts", "1-2.ts", "1-3.ts", "|1-10.ts")
		if st := rec.status(); st.MP4LeftOut != 5 {
			t.Errorf("%d are not in the MP4, want all 5: there is no MPEG-TS in them", st.MP4LeftOut)
		}
	})
}

// TestStopsOnSlowDisk checks that a node that ends does not write on for long, and that what
// it gives up is counted.
func TestStopsOnSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		fs := &faulty{delay: func(op string) {
			if strings.HasPrefix(op, "rename 1-") {
				time.Sleep(3 * segmentLength / 2)
			}
		}}
		rec := startRecording(t, root, s, fs)
		s.air(10)
		began := time.Now()
		rec.stop()
		if took := time.Since(began); took > drainLimit+3*segmentLength {
			t.Errorf("it took %v to stop", took)
		}
		st := rec.Status()[0]
		if st.Slow == 0 || uint64(st.Segments)+st.Slow != 10 {
			t.Errorf("of 10 segments %d are written and %d left out", st.Segments, st.Slow)
		}
	})
}

// TestUnusable checks that a playlist that is none is not overwritten, and that the
// recording begins once it is out of the way.
func TestUnusable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		path := filepath.Join(s.dir(root), PlaylistName)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("notes\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		rec := startRecording(t, root, s, nil)
		s.air(3)
		if st := rec.status(); st.State != StateStopped || st.Error == "" {
			t.Errorf("the figures are %+v", st)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "notes\n" {
			t.Errorf("the file is %q, %v", text, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retryEvery)
		s.air(1)
		synctest.Wait()
		if list := s.expectList(root, names(1, 0, s.next-1)...); len(list.Segments) == 0 {
			t.Error("nothing is recorded")
		}
	})
}

// TestCodecsChange checks that an MP4 file has one set of parameters.
func TestCodecsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		rec := startRecording(t, root, s, nil)
		s.air(2)
		s.restart()
		s.film = [][]stream.Part{pictures(t, largeSPS)}
		s.air(1)
		synctest.Wait()
		rec.stop()
		s.expectList(root, "1-0.ts", "1-1.ts", "|2-0.ts")
		expectMovie(t, filepath.Join(s.dir(root), "recording.mp4"), 2, true)
		expectMovie(t, filepath.Join(s.dir(root), "recording-2.mp4"), 1, true)
	})
}

// TestEarlierMovies checks that MP4 files from before are never touched, also when somebody
// has moved one of them away.
func TestEarlierMovies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		movie := func(n int) string { return filepath.Join(s.dir(root), movieName(n)) }
		if err := os.MkdirAll(s.dir(root), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(movie(2), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		rec := startRecording(t, root, s, nil)
		s.film = [][]stream.Part{s.film[0], pictures(t, largeSPS)}
		s.air(2)
		synctest.Wait()
		rec.stop()
		if data, err := os.ReadFile(movie(2)); err != nil || string(data) != "precious" {
			t.Errorf("the file from before has %d bytes, %v", len(data), err)
		}
		expectMovie(t, movie(3), 1, true)
		expectMovie(t, movie(4), 1, true)
	})
}

// TestPauses checks that a short pause stays in the MP4 and a long one begins the next.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		rec := startRecording(t, root, s, nil)
		s.air(2)
		for _, pause := range []time.Duration{10 * time.Second, 2 * time.Hour, -5 * time.Second} {
			s.end()
			time.Sleep(max(0, pause))
			s.clock = s.clock.Add(pause)
			s.restart()
			s.air(1)
		}
		synctest.Wait()
		rec.stop()
		first := expectMovie(t, filepath.Join(s.dir(root), "recording.mp4"), 3, true)
		second := expectMovie(t, filepath.Join(s.dir(root), "recording-2.mp4"), 2, true)
		for i, want := range []time.Duration{0, 2 * time.Second, 14 * time.Second} {
			if off := (first[i] - first[0] - want).Abs(); off > 25*time.Millisecond {
				t.Errorf("fragment %d begins at %v, want %v", i, first[i]-first[0], want)
			}
		}
		// The clock was set back: what follows follows at once.
		if off := (second[1] - second[0] - segmentLength).Abs(); off > 50*time.Millisecond {
			t.Errorf("fragment 1 begins at %v, want %v", second[1]-second[0], segmentLength)
		}
	})
}

// TestCrash has the process die at each single operation on the disk: what is listed is
// there and whole, the MP4 can be read up to its last whole fragment, and a further node
// goes on.
func TestCrash(t *testing.T) {
	const limit = 100 // operations, far more than there are
	n := 0
	for ; n < limit; n++ {
		died := false
		synctest.Test(t, func(t *testing.T) {
			s, root, fs := newStation(t), t.TempDir(), &faulty{}
			count := 0
			fs.set(func(op string) error {
				if count++; count > n {
					died = true
					return errBroken // for good: nothing is tidied up
				}
				return nil
			})
			rec := startRecording(t, root, s, fs)
			s.air(3)
			rec.stop()
			list, err := readPlaylist(filepath.Join(s.dir(root), PlaylistName))
			listed := 0
			if err == nil {
				listed = len(list.Segments)
				s.expectList(root, names(1, 0, listed-1)...)
			} else if !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("dead after %d operations: %v", n, err)
			}
			movie := filepath.Join(s.dir(root), "recording.mp4")
			if _, err := os.Stat(movie); err == nil {
				expectMovie(t, movie, listed, false)
			} else if listed > 0 {
				t.Errorf("dead after %d operations: %v", n, err)
			}

			rec = startRecording(t, root, s, nil)
			s.air(1)
			synctest.Wait()
			rec.stop()
			s.expectList(root, names(1, 0, 3)...) // the store has them all still
		})
		if !died {
			break
		}
	}
	if n < 20 || n == limit {
		t.Errorf("%d operations were counted", n)
	}
}

// TestGone checks what a recording makes of files that somebody removed.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root := newStation(t), t.TempDir()
		rec := startRecording(t, root, s, nil)
		s.air(6)
		rec.stop()
		for _, name := range []string{"1-0.ts", "1-1.ts"} {
			if err := os.Remove(filepath.Join(s.dir(root), name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Truncate(filepath.Join(s.dir(root), "1-4.ts"), 0); err != nil {
			t.Fatal(err)
		}
		rec = startRecording(t, root, s, nil)
		s.air(1)
		synctest.Wait()
		list := s.expectList(root, "1-2.ts", "1-3.ts", "|1-5.ts", "1-6.ts")
		if list.Sequence != 2 {
			t.Errorf("the playlist begins with number %d, want 2", list.Sequence)
		}
		if !strings.Contains(rec.log.String(), "count=3") {
			t.Errorf("the log does not tell:\n%s", rec.log)
		}
	})
}

// changing is a node that leaves its stream and joins it again.
type changing struct {
	mu      sync.Mutex // guards all following
	streams []hls.Stream
}

func (c *changing) Streams() []hls.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams
}

func (c *changing) set(streams []hls.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams = streams
}

// TestRejoin checks that a stream that the node leaves and joins again at once, on a slow
// disk, has one recording.
func TestRejoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, root, node := newStation(t), t.TempDir(), &changing{}
		node.set(s.Streams())
		fs := &faulty{delay: func(op string) {
			if op == "rename 1-1.ts" {
				time.Sleep(5 * segmentLength)
			}
		}}
		rec := startRecording(t, root, node, fs)
		s.air(2)
		before := s.timeline
		s.timeline = stream.NewTimeline(s.key.ID(), "main")
		for _, h := range before.From(stream.Position{}) {
			if err := s.timeline.Add(h, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		node.set(s.Streams())
		s.air(8)
		synctest.Wait()
		rec.stop()
		s.expectList(root, names(1, 0, 9)...)
	})
}

func TestReadPlaylistRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":        "",
		"no playlist":    "notes",
		"another's":      "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile.ts\n",
		"a way out":      "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n../1-0.ts\n",
		"a multivariant": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmain/index.m3u8\n",
		"no duration":    "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:-1,\n1-0.ts\n",
	} {
		path := filepath.Join(t.TempDir(), PlaylistName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := readPlaylist(path); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
}
