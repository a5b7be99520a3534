package hls

import (
	"testing"
	"time"
)

const goldenLL = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.59,CAN-SKIP-UNTIL=12
#EXT-X-PART-INF:PART-TARGET=0.53
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-MAP:URI="s-0.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.250Z
#EXTINF:2,
s-100.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.250Z
#EXTINF:1.5,
s-101.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="s-1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:08.750Z
#EXTINF:2,
s-102.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:10.750Z
#EXTINF:2,
s-103.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:12.750Z
#EXT-X-PART:DURATION=0.52,URI="s-104.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.52,URI="s-104.1.m4s"
#EXT-X-PART:DURATION=0.52,URI="s-104.2.m4s"
#EXT-X-PART:DURATION=0.44,URI="s-104.3.m4s"
#EXTINF:2,
s-104.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:14.750Z
#EXT-X-PART:DURATION=0.52,URI="s-105.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.52,URI="s-105.1.m4s"
#EXT-X-PART:DURATION=0.52,URI="s-105.2.m4s"
#EXT-X-PART:DURATION=0.44,URI="s-105.3.m4s"
#EXTINF:2,
s-105.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:16.750Z
#EXT-X-PART:DURATION=0.52,URI="s-106.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.52,URI="s-106.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="s-106.2.m4s"
`

const goldenDelta = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.59,CAN-SKIP-UNTIL=12
#EXT-X-PART-INF:PART-TARGET=0.53
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-SKIP:SKIPPED-SEGMENTS=5
#EXT-X-MAP:URI="s-1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:14.750Z
#EXT-X-PART:DURATION=0.52,URI="s-105.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.52,URI="s-105.1.m4s"
#EXT-X-PART:DURATION=0.52,URI="s-105.2.m4s"
#EXT-X-PART:DURATION=0.44,URI="s-105.3.m4s"
#EXTINF:2,
s-105.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:16.750Z
#EXT-X-PART:DURATION=0.52,URI="s-106.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.52,URI="s-106.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="s-106.2.m4s"
`

// goldenPlaylist is what the golden texts are of: six segments, of which the second is
// cut short and the third has another init, and two parts.
func goldenPlaylist() *llPlaylist {
	at := time.Date(2026, 1, 2, 3, 4, 5, 250e6, time.UTC)
	l := &llPlaylist{window: &window{target: 2, sequence: 106, discontinuity: 3}, session: "s", partTarget: 530 * time.Millisecond}
	parts := func(n uint64, durations ...time.Duration) (list []llPart) {
		for i, d := range durations {
			list = append(list, llPart{newPiece(partName("s", n, i)), d, i == 0})
		}
		return list
	}
	const long, last = 520 * time.Millisecond, 440 * time.Millisecond
	inits := []piece{newPiece("s-0.mp4"), newPiece("s-1.mp4")}
	for n := range uint64(6) {
		e := &entry{
			sequence: 100 + n, duration: 2 * time.Second, programTime: at, name: llSegmentName("s", 100+n),
			init: inits[min(1, n/2)], discontinuity: n == 2, parts: parts(100+n, long, long, long, last),
		}
		if n == 1 {
			e.duration = 1500 * time.Millisecond
		}
		at = at.Add(e.duration)
		l.window.entries = append(l.window.entries, e)
	}
	l.open = &llSegment{discontinuity: true, programTime: at, init: inits[1], parts: parts(106, long, long)}
	return l
}

func TestRenderLL(t *testing.T) {
	l := goldenPlaylist()
	if got := string(l.render(0)); got != goldenLL {
		t.Errorf("%s\nwant\n%s", got, goldenLL)
	}
	if got := string(l.render(5)); got != goldenDelta {
		t.Errorf("%s\nwant\n%s", got, goldenDelta)
	}
	if n := l.skippable(); n != 0 {
		t.Errorf("a delta of 12.5 s leaves out %d segments, want none", n)
	}
	l.window.entries = append([]*entry{{duration: 1400 * time.Millisecond}}, l.window.entries...)
	if n := l.skippable(); n != 1 {
		t.Errorf("a delta leaves out %d segments, want the one that ends 12.54 s before the end", n)
	}
	l.open, l.window.ended = nil, true
	if got := string(l.render(6)); got[len(got)-len("s-105.m4s\n#EXT-X-ENDLIST\n"):] != "s-105.m4s\n#EXT-X-ENDLIST\n" {
		t.Errorf("after the end\n%s", got)
	}
}

func TestPartTarget(t *testing.T) {
	for _, test := range []struct{ longest, want time.Duration }{
		{0, 10 * time.Millisecond}, {500 * time.Millisecond, 510 * time.Millisecond},
		{520 * time.Millisecond, 530 * time.Millisecond}, {500500 * time.Microsecond, 510 * time.Millisecond},
	} {
		got := partTargetOf(test.longest)
		if got != test.want {
			t.Errorf("parts of %v: target %v, want %v", test.longest, got, test.want)
		}
		if test.longest > 0 && test.longest < got*85/100 {
			t.Errorf("parts of %v are too short for a target of %v", test.longest, got)
		}
	}
	for target, want := range map[time.Duration]int{530 * time.Millisecond: 6, 500 * time.Millisecond: 6, time.Second: 3, 2 * time.Second: 3, 0: 3} {
		if got := advancePartLimit(target); got != want {
			t.Errorf("a part target of %v allows %d parts ahead, want %d", target, got, want)
		}
	}
}

func TestDecimal(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 2 * time.Second: "2", 1590 * time.Millisecond: "1.59", 10 * time.Second: "10",
		500500 * time.Microsecond: "0.5005", 1001001 * time.Microsecond: "1.001001", 33366 * time.Microsecond: "0.033366",
	} {
		if got := decimal(d); got != want {
			t.Errorf("%v is written as %s, want %s", d, got, want)
		}
	}
}
