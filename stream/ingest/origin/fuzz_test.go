package origin

import (
	"errors"
	"net/url"
	"testing"
	"time"
)

// FuzzPlaylist: no text makes the reading or the following of playlists panic, or gives what
// is out of bounds.
func FuzzPlaylist(f *testing.F) {
	l := &lowLatency{began: time.Now().Add(-21 * time.Second), ends: 14, ranges: true}
	f.Add(l.text(), newLive().text())
	f.Add("#EXTM3U\n#EXT-X-MAP:URI=\"i\",BYTERANGE=\"9@0\"\n#EXT-X-KEY:METHOD=NONE\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x12\n#EXTINF:1,\n#EXT-X-BYTERANGE:5\na\n#EXT-X-GAP\n\n#EXTINF:1,\n\n#EXT-X-BYTERANGE:5\na\n",
		"#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"b\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\",RESOLUTION=1x2\nc\n")
	base, err := url.Parse("https://origin.test/live/index.m3u8")
	must(err)
	f.Fuzz(func(t *testing.T, first, second string) {
		var s sequence
		var last uint64
		for i, text := range []string{first, second, first} {
			if isMultivariant(text) {
				m, err := parseMultivariant(text, base)
				if err == nil && (len(m.variants) == 0 || len(m.variants) > maxRenditions) {
					t.Errorf("%d variants", len(m.variants))
				}
				continue
			}
			l, err := parseMedia(text, base)
			if err != nil {
				if !errors.Is(err, ErrNoPlaylist) && !errors.Is(err, ErrInsecure) && !errors.Is(err, ErrScheme) {
					t.Errorf("an error of no kind: %v", err)
				}
				continue
			}
			if l.target < minTarget || l.target > maxTarget {
				t.Errorf("a target duration of %v", l.target)
			}
			restarts := s.restarts
			v := s.take(l)
			for k, seg := range v.segments {
				if seg.duration < 0 || seg.duration > maxDuration || !seg.media.valid() || seg.whole && seg.media.url == "" {
					t.Errorf("segment %+v", seg)
				}
				if seg.number != s.next {
					t.Errorf("playlist %d: segment %d has number %d, want %d", i, k, seg.number, s.next)
				}
				if s.restarts == restarts && seg.number < last {
					t.Errorf("segment %d comes again after %d", seg.number, last)
				}
				if seg.whole {
					s.done()
					last = s.next
				}
			}
			if len(s.known) > maxKnown+len(l.segments) {
				t.Errorf("%d segments are remembered", len(s.known))
			}
		}
	})
}
