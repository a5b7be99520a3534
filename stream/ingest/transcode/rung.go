package transcode

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// Pictures of fewer lines are no use, of more nobody encodes live.
	minHeight, maxHeight = 96, 4320
	// maxRungs bounds what one machine encodes at a time.
	maxRungs = 8

	// referenceBits is what 1080p at 30 frames per second takes: as hardware and
	// x264's fast presets need it for a clean picture.
	referenceBits   = 5_000_000
	referencePixels = 1920 * 1080 * 30
	// bitsExponent is how bits grow with pixels, each of which is easier to predict the
	// more there are: the "power of 0.75" rule of encoding ladders.
	bitsExponent = 0.75
	// defaultRate stands in for a frame rate that the input does not tell.
	defaultRate = 30
)

// Rendition is one encoding of a ladder.
type Rendition struct {
	Name          string // such as "720p"
	Width, Height int    // of the picture, even
	Bits          int    // of the video, per second
	lines         int    // that it is named after
}

// ParseHeights reads a ladder such as "1080p,720p,480p", the highest first.
func ParseHeights(s string) ([]int, error) {
	var heights []int
	for name := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(name), "p"))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q is no height such as 720p", name)
		case n < minHeight || n > maxHeight || n%2 != 0:
			return nil, fmt.Errorf("%q is not an even height from %dp to %dp", name, minHeight, maxHeight)
		case slices.Contains(heights, n):
			return nil, fmt.Errorf("%dp is named twice", n)
		}
		heights = append(heights, n)
	}
	if len(heights) > maxRungs {
		return nil, fmt.Errorf("%d renditions are more than %d", len(heights), maxRungs)
	}
	slices.SortFunc(heights, func(a, b int) int { return cmp.Compare(b, a) })
	return heights, nil
}

// Name returns the name of the rendition of a height.
func Name(height int) string { return strconv.Itoa(height) + "p" }

// lines returns which height people call a picture by: that of the 16:9 picture that it
// fits into. 1920x800 is 1080p, and so is 1080x1920.
func lines(width, height int) int {
	short, long := min(width, height), max(width, height)
	return max(short, int(math.Round(float64(long)*9/16)))
}

// split returns the heights that a picture has lines for, and those that it has not.
func split(width, height int, heights []int) (fit, above []int) {
	have := lines(width, height)
	for _, h := range heights {
		if h <= have {
			fit = append(fit, h)
		} else {
			above = append(above, h)
		}
	}
	return fit, above
}

// renditionOf returns how the input is encoded with so many lines, or with its own if it
// has fewer.
func renditionOf(in stream.Media, height int) Rendition {
	scale := min(1, float64(height)/float64(lines(in.Width, in.Height)))
	r := Rendition{Name: Name(height), Width: even(float64(in.Width) * scale), Height: even(float64(in.Height) * scale), lines: height}
	pixels := float64(r.Width) * float64(r.Height) * rateOf(in)
	bits := referenceBits * math.Pow(pixels/referencePixels, bitsExponent)
	r.Bits = max(int(math.Round(bits/10_000))*10_000, 10_000)
	return r
}

// rateOf returns an input's frames a second.
func rateOf(in stream.Media) float64 {
	if in.FrameRate == 0 {
		return defaultRate
	}
	return in.FrameRate
}

// even returns the even number next to x: encoders of 4:2:0 take no other.
func even(x float64) int { return max(2, int(math.Round(x/2))*2) }
