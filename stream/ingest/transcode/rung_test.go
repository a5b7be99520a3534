package transcode

import (
	"slices"
	"testing"

	"github.com/grapevine-live/grapevine/stream"
)

func TestParseHeights(t *testing.T) {
	got, err := ParseHeights("480p, 1080p,720")
	if err != nil || !slices.Equal(got, []int{1080, 720, 480}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "720p,", "HD", "720p,720", "10p", "721p", "9000p", "-720p", "96,98,100,102,104,106,108,110,112"} {
		if got, err := ParseHeights(s); err == nil {
			t.Errorf("%q is taken as %v", s, got)
		}
	}
}

func TestRenditions(t *testing.T) {
	for _, tt := range []struct {
		name           string
		in             stream.Media
		height         int
		width, tall    int
		atLeast, below int // bits
	}{
		{"the same", stream.Media{Width: 1920, Height: 1080, FrameRate: 30}, 1080, 1920, 1080, 5_000_000, 5_000_001},
		{"half the height", stream.Media{Width: 1920, Height: 1080, FrameRate: 30}, 540, 960, 540, 1_700_000, 1_800_000},
		{"twice the rate", stream.Media{Width: 1280, Height: 720, FrameRate: 60}, 720, 1280, 720, 4_000_000, 5_000_000},
		{"no rate", stream.Media{Width: 1280, Height: 720}, 720, 1280, 720, 2_700_000, 2_800_000},
		{"wide", stream.Media{Width: 1920, Height: 800, FrameRate: 24}, 720, 1280, 534, 1_800_000, 2_000_000},
		{"upright", stream.Media{Width: 1080, Height: 1920, FrameRate: 30}, 480, 480, 854, 1_400_000, 1_600_000},
		{"4:3", stream.Media{Width: 640, Height: 480, FrameRate: 25}, 240, 320, 240, 330_000, 400_000},
		{"never larger", stream.Media{Width: 640, Height: 360, FrameRate: 25}, 720, 640, 360, 800_000, 900_000},
	} {
		r := renditionOf(tt.in, tt.height)
		if r.Width != tt.width || r.Height != tt.tall || r.Bits < tt.atLeast || r.Bits >= tt.below {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
}

func TestSplit(t *testing.T) {
	heights := []int{1080, 720, 480}
	for _, tt := range []struct{ width, height, fit int }{
		{1920, 1080, 3}, {1920, 800, 3}, {3840, 2160, 3}, {1280, 720, 2}, {720, 1280, 2}, {854, 480, 1}, {640, 360, 0},
	} {
		fit, above := split(tt.width, tt.height, heights)
		if len(fit) != tt.fit || len(fit)+len(above) != 3 {
			t.Errorf("%dx%d: %v and not %v", tt.width, tt.height, fit, above)
		}
	}
}
