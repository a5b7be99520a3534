package record

import (
	"fmt"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/hls"
)

// BenchmarkPlaylist writes the playlist of a day of segments of 2 s, as each segment does.
func BenchmarkPlaylist(b *testing.B) {
	d := &directory{dir: b.TempDir(), files: disk{}, list: &hls.MediaPlaylist{Type: hls.TypeEvent, Target: 2}}
	for i := range 24 * 60 * 30 {
		d.list.Segments = append(d.list.Segments, hls.PlaylistSegment{
			Name: fmt.Sprintf("1795329980778-%d.ts", i), Duration: 2 * time.Second, ProgramTime: noon.Add(time.Duration(i) * 2 * time.Second),
		})
	}
	for b.Loop() {
		if err := d.writeList(); err != nil {
			b.Fatal(err)
		}
	}
}
