package ingest

import (
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	rtpcodecs "github.com/pion/rtp/codecs"
)

// counted is what a feed says beside its frames.
type counted struct{ lost, leftOut, asked int }

func testFeed(t testing.TB, video, audio bool) (*whipFeed, *counted) {
	t.Helper()
	f, err := newWHIPFeed(video, audio)
	if err != nil {
		t.Fatal(err)
	}
	n := new(counted)
	f.log, f.segment = slog.New(slog.DiscardHandler), 2*second
	f.lost = func(packets int) { n.lost += packets }
	f.leftOut = func() { n.leftOut++ }
	f.askKeyframe = func(uint32) { n.asked++ }
	return f, n
}

// packets returns a clip's video as RTP packets, those of each picture together.
func packets(c clip) (pictures [][]*rtp.Packet) {
	var payloader rtpcodecs.H264Payloader
	seq := uint16(65530)
	c.noAudio = true
	c.each(func(f frame, au [][]byte) {
		var picture []*rtp.Packet
		for _, unit := range au {
			for _, payload := range payloader.Payload(1200, unit) {
				seq++
				picture = append(picture, &rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: uint32(f.pts)}, Payload: payload})
			}
		}
		picture[len(picture)-1].Marker = true
		pictures = append(pictures, picture)
	}, nil)
	return pictures
}

// What packets that are lost for good spoil is left out up to the next keyframe, which is
// asked for until it comes; the rest is whole.
func TestWHIPFeedLoss(t *testing.T) {
	tests := map[string]struct {
		lose  map[int][]int // packets by picture
		lost  int
		gone  [2]int // pictures that are left out, from and to
		asked bool
	}{
		"nothing":                     {nil, 0, [2]int{}, false},
		"within a picture":            {map[int][]int{10: {2}}, 1, [2]int{10, 25}, true},
		"the end of a picture":        {map[int][]int{10: {4}}, 1, [2]int{10, 25}, true},
		"the beginning":               {map[int][]int{10: {0}}, 1, [2]int{10, 25}, true},
		"a whole picture":             {map[int][]int{10: {0, 1, 2, 3, 4}}, 5, [2]int{10, 25}, true},
		"a picture before a keyframe": {map[int][]int{24: {0, 1, 2, 3, 4}}, 5, [2]int{24, 25}, false},
		"a keyframe's parameter sets": {map[int][]int{25: {0}}, 1, [2]int{25, 50}, true},
		"two pictures":                {map[int][]int{10: {1}, 12: {1}}, 2, [2]int{10, 25}, true},
		"a keyframe's end":            {map[int][]int{0: {5}}, 1, [2]int{0, 25}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, n := testFeed(t, true, false)
				clip := packets(clip{frames: 60, gop: 25, size: 5000})
				go func() {
					for i, picture := range clip {
						for j, p := range picture {
							if !slices.Contains(tt.lose[i], j) {
								f.deliver(whipEvent{video: true, at: time.Now(), packet: p})
							}
						}
						time.Sleep(40 * time.Millisecond)
					}
					f.end(io.EOF)
				}()
				ts, err := io.ReadAll(f)
				if err != nil {
					t.Fatal(err)
				}
				var want []int64
				for i := range clip {
					if i < tt.gone[0] || i >= tt.gone[1] {
						want = append(want, int64(i)*3600)
					}
				}
				got, _ := demuxed(t, ts)
				var at []int64
				for _, v := range got {
					at = append(at, v.pts-got[0].pts+want[0])
				}
				if !slices.Equal(at, want) {
					t.Errorf("pictures at %v, want %v", at, want)
				}
				if n.lost != tt.lost || (n.asked > 0) != tt.asked {
					t.Errorf("%+v", *n)
				}
				// A picture of which nothing came is not known to have been one.
				if missing := tt.gone[1] - tt.gone[0]; n.leftOut > missing || n.leftOut < missing-1 {
					t.Errorf("%d are left out, of %d that are missing", n.leftOut, missing)
				}
			})
		})
	}
}

// Padding by which browsers measure the line, with the timestamp of the picture before, is
// no picture that is damaged.
func TestWHIPFeedPadding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := testFeed(t, true, false)
		seq := uint16(100)
		go func() {
			for _, picture := range packets(clip{frames: 50, size: 3000}) {
				pad := &rtp.Packet{Header: rtp.Header{Padding: true, Timestamp: picture[0].Timestamp}, PaddingSize: 255}
				for _, p := range append(picture, pad, pad) {
					one := *p
					one.SequenceNumber = seq
					seq++
					f.deliver(whipEvent{video: true, at: time.Now(), packet: &one})
				}
				time.Sleep(40 * time.Millisecond)
			}
			f.end(io.EOF)
		}()
		ts, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := demuxed(t, ts); len(got) != 50 || n.leftOut != 0 || n.asked != 0 {
			t.Errorf("%d pictures of 50: %+v", len(got), *n)
		}
	})
}

// A track that never sends keeps the other back for a second, and joins when it does.
func TestWHIPFeedLateTrack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := testFeed(t, true, true)
		start := time.Now()
		go func() {
			for _, picture := range packets(clip{frames: 100, gop: 25}) {
				for _, p := range picture {
					f.deliver(whipEvent{video: true, at: time.Now(), packet: p})
				}
				time.Sleep(40 * time.Millisecond)
				if time.Since(start) == 2*time.Second {
					f.deliver(whipEvent{at: time.Now(), packet: &rtp.Packet{Payload: []byte{0xfc, 1}}})
				}
			}
			f.end(io.EOF)
		}()
		var b [32 * packetSize]byte
		if _, err := f.Read(b[:]); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != maxWHIPHeld || len(f.mux.tracks) != 1 {
			t.Errorf("the output began after %v with %d tracks", waited, len(f.mux.tracks))
		}
		if _, err := io.Copy(io.Discard, f); err != nil {
			t.Fatal(err)
		}
		if len(f.mux.tracks) != 2 || *n != (counted{}) {
			t.Errorf("%d tracks, %+v", len(f.mux.tracks), *n)
		}
	})
}

// Sound whose time turns out to be that of sound before it is left out, not heard twice.
func TestWHIPFeedOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := testFeed(t, true, true)
		picture := packets(clip{frames: 1})[0]
		go func() {
			send := func(e whipEvent) {
				e.at = time.Now()
				f.deliver(e)
			}
			for _, p := range picture {
				send(whipEvent{video: true, packet: p})
			}
			time.Sleep(100 * time.Millisecond) // the sound is late, which nobody knows yet
			for i := range 100 {
				send(whipEvent{packet: &rtp.Packet{
					Header: rtp.Header{SequenceNumber: uint16(i), Timestamp: uint32(i * 960)}, Payload: []byte{0xfc, byte(i)},
				}})
				time.Sleep(20 * time.Millisecond)
				if i == 74 {
					send(whipEvent{video: true, report: &rtcp.SenderReport{NTPTime: whipEpoch}})
					send(whipEvent{report: &rtcp.SenderReport{NTPTime: whipEpoch}})
				}
			}
			f.end(io.EOF)
		}()
		ts, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		_, audio := demuxed(t, ts)
		// 100 ms are five frames.
		if len(audio) != 95 || n.leftOut != 5 {
			t.Errorf("%d audio frames, %+v", len(audio), *n)
		}
		for i := 1; i < len(audio); i++ {
			if d := audio[i].pts - audio[i-1].pts; d <= 0 || d > 3600 {
				t.Errorf("sound %d comes %d after the one before", i, d)
			}
		}
	})
}

// Pictures in another order than they are shown in have no decoding times in RTP.
func TestWHIPFeedRefusesBFrames(t *testing.T) {
	f, _ := testFeed(t, true, false)
	now := time.Now()
	var err error
	for _, picture := range packets(clip{frames: 10, bframes: true}) {
		for _, p := range picture {
			err = errors.Join(err, f.take(whipEvent{video: true, at: now, packet: p}))
		}
	}
	var unsupported *UnsupportedCodecError
	if !errors.As(err, &unsupported) {
		t.Errorf("got %v", err)
	}
}

// FuzzWHIP: no packets make a feed panic, or write what is no MPEG-TS.
func FuzzWHIP(f *testing.F) {
	for _, picture := range packets(clip{frames: 8, gop: 5, size: 2500}) {
		for _, p := range picture {
			raw, err := p.Marshal()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw, raw)
		}
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		feed, _ := testFeed(t, true, true)
		now := time.Unix(0, 0)
		var out int
		for i, raw := range [][]byte{one, two, one[:len(one)/2], two} {
			var p rtp.Packet
			if p.Unmarshal(raw) != nil {
				continue
			}
			now = now.Add(maxWHIPHeld)
			if feed.take(whipEvent{video: i%2 == 0, at: now, packet: &p}) != nil {
				return
			}
		}
		for feed.mux.pending() > 0 {
			var pkt [packetSize]byte
			if n, err := feed.mux.Read(pkt[:]); n != packetSize || err != nil || pkt[0] != syncByte {
				t.Fatalf("%d bytes, %v", n, err)
			}
			out += packetSize
		}
		if out > 1<<20 {
			t.Errorf("%d bytes", out)
		}
	})
}
