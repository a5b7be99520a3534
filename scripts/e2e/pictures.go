//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pictures are those of a stream, as ffmpeg has decoded them.
type pictures struct {
	count int
	rate  float64       // pictures a second, where they are least
	pause time.Duration // the longest from one to the next, of a stream where that varies
	err   error         // what is missing of them
	// leftOut counts frames of sound that the broadcaster left out, as they came at the time
	// of others: a browser's clocks for sound and picture move.
	leftOut uint64
}

// pictures looks at what ffmpeg has decoded of a source, and at what the broadcaster says.
func (s source) pictures(ctx context.Context, p *ffmpegPlayer, c *chain) (seen pictures, err error) {
	times, err := p.frames()
	if err != nil {
		return seen, err
	}
	seen.count, seen.rate = len(times), frameRate
	least, most := int64(ticksPerFrame), int64(ticksPerFrame)
	if s.varies {
		least, most = 1, longest(times)
		seen.rate, seen.pause = fewest(times, goesOn), time.Duration(most)*time.Second/second
	}
	seen.err = evenly(times, least, most)
	if complaint := p.complained(); complaint != "" {
		seen.err = errors.Join(seen.err, errors.New("ffmpeg says: "+complaint))
	}
	input := c.broadcaster.now().Input
	switch {
	case input.LostRTP > 0:
		err = fmt.Errorf("%d packets were lost on their way to the broadcaster", input.LostRTP)
	case s.varies:
		// Of pictures, nothing is left out where no packet is lost.
		seen.leftOut, err = input.LeftOut, sameNow(ctx, c)
	case input.LeftOut > 0:
		err = fmt.Errorf("the broadcaster left out %d frames", input.LeftOut)
	}
	seen.err = errors.Join(seen.err, err)
	return seen, nil
}

// longest returns the longest step from one picture to the next, in ticks.
func longest(times []int64) (step int64) {
	for i := 1; i < len(times); i++ {
		step = max(step, times[i]-times[i-1])
	}
	return step
}

// fewest returns how many pictures a second there are in the span that has the fewest.
func fewest(times []int64, span time.Duration) float64 {
	ticks := int64(span.Seconds() * second)
	least, first := len(times), 0
	for i, t := range times {
		if t-times[0] < ticks {
			continue
		}
		for times[first] <= t-ticks {
			first++
		}
		least = min(least, i-first+1)
	}
	return float64(least) / span.Seconds()
}

// sameNow checks that the viewer has what the broadcaster has, where the pictures' times do
// not tell what is missing.
func sameNow(ctx context.Context, c *chain) error {
	viewer, err := mediaURL(ctx, c.viewer.HLS)
	if err != nil {
		return err
	}
	broadcaster, err := mediaURL(ctx, c.broadcaster.HLS)
	if err != nil {
		return err
	}
	once := make(chan struct{})
	close(once)
	_, _, err = compareSegments(ctx, viewer, broadcaster, once)
	return err
}

// verdict is of a player that has decoded them all.
func (p pictures) verdict() verdict {
	if p.err != nil {
		return verdict{text: p.err.Error()}
	}
	text := fmt.Sprintf("at least %.1f a second", p.rate)
	if p.leftOut > 0 {
		text += fmt.Sprintf("; %d frames of sound were left out", p.leftOut)
	}
	return verdict{ok: true, every: p.count, text: text}
}
