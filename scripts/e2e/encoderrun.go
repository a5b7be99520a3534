//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

const (
	// playFor is how long all players play together what an encoder sends.
	playFor = 20 * time.Second
	// sourceLimit bounds one encoder with all that belongs to it.
	sourceLimit = 3 * time.Minute
	// burst is how long the ffmpeg player, which decodes what is there at once, is without
	// a new picture: for a segment of 2 s, and as long again where it has asked too soon.
	burst = 4 * time.Second
)

// runSource starts a swarm and all players, has them play, and judges how.
func (b *bench) runSource(ctx context.Context, s source, names []string) (map[string]verdict, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, sourceLimit, fmt.Errorf("not done after %v", sourceLimit))
	defer cancel()
	broadcaster, err := s.prepare(ctx, b)
	if err != nil {
		return nil, err
	}
	c, err := b.chainBehind(ctx, broadcaster)
	if err != nil {
		return nil, err
	}
	if err := awaitWindow(ctx, c.viewer.HLS); err != nil {
		return nil, err
	}
	players, exact, err := b.sourcePlayers(names, s, c.viewer.HLS)
	if err != nil {
		return nil, err
	}
	watch := newWatch(players)
	// Who shows nothing until then is judged with the others.
	if err := watch.until(ctx, time.Now().Add(startWithin), watch.allShow); err != nil && ctx.Err() != nil {
		return nil, err
	}
	from := time.Now()
	if err := watch.until(ctx, from.Add(playFor), nil); err != nil {
		return nil, err
	}
	now := time.Now()
	seen := pictures{rate: frameRate}
	if exact != nil {
		if seen, err = s.pictures(exact); err != nil {
			return nil, err
		}
		seen.err = errors.Join(seen.err, s.passedOn(ctx, c))
	}
	verdicts := make(map[string]verdict)
	for _, p := range players {
		if err := writeSeen(filepath.Join(b.dir, p.name+".seen"), p.seen, from); err != nil {
			return nil, err
		}
		v := p.judged(seen, from, now)
		if p.name == "ffmpeg" && v.ok {
			v = seen.verdict()
		}
		verdicts[p.name] = v
	}
	return verdicts, nil
}

// sourcePlayers starts players on one stream; exact is ffmpeg, if it is among them.
func (b *bench) sourcePlayers(names []string, s source, hls string) (list []*player, exact *ffmpegPlayer, err error) {
	for _, name := range names {
		var p *player
		if name == "ffmpeg" {
			if exact, err = b.ffmpeg(nil, hls, int(sourceLimit.Seconds())); err != nil {
				return nil, nil, err
			}
			p = &player{process: exact.process, usual: burst, frames: func(context.Context) (int, error) {
				times, err := exact.frames()
				return len(times), err
			}}
		} else if p, err = b.player(name, hls); err != nil {
			return nil, nil, err
		}
		p.cannot, p.mute = s.cannot[name], s.mute[name]
		list = append(list, p)
	}
	return list, exact, nil
}

// judged judges a player that has played for a while.
func (p *player) judged(stream pictures, from, now time.Time) verdict {
	if p.cannot != "" {
		return p.judgedSilent()
	}
	v := judgeSince(p.seen, max(p.usual, stream.pause), stream.rate, from, now)
	v.mute = p.mute
	if p.heard != nil && v.ok {
		switch sounds := p.heard.Load() > 0; {
		case !sounds && p.mute == "":
			v.ok, v.text = false, "it plays no sound"
		case sounds && p.mute != "":
			v.ok, v.text = false, "it plays sound, and was not to: "+p.mute
		}
	}
	if !v.ok {
		v.why = errors.Join(errors.New(v.text), p.trouble())
	}
	return v
}

// judgedSilent judges a player that cannot play what it was given: it must show nothing,
// and say so.
func (p *player) judgedSilent() verdict {
	v := verdict{cannot: p.cannot}
	trouble := p.trouble()
	switch n := len(p.seen); {
	case n > 0 && p.seen[n-1].frames > 0:
		v.text = fmt.Sprintf("it has shown %d pictures, and was to show none: %s", p.seen[n-1].frames, p.cannot)
	case trouble == nil:
		v.text = fmt.Sprintf("it shows nothing, as it must, but does not say so: %s", p.cannot)
	default:
		v.ok, v.text = true, trouble.Error()
	}
	return v
}

// pictures are those of a stream, as ffmpeg has decoded them.
type pictures struct {
	count int
	rate  float64       // pictures a second, where they are least
	pause time.Duration // the longest from one to the next, of a stream where that varies
	err   error         // what is missing of them
}

func (s source) pictures(p *ffmpegPlayer) (seen pictures, err error) {
	times, err := p.frames()
	if err != nil {
		return seen, err
	}
	seen.count = len(times)
	seen.rate = frameRate
	least, most := int64(ticksPerFrame), int64(ticksPerFrame)
	if s.varies {
		least, most = 1, longest(times)
		seen.rate, seen.pause = fewest(times, goesOn), time.Duration(most)*time.Second/second
	}
	seen.err = evenly(times, least, most)
	if complaint := p.complained(); complaint != "" {
		seen.err = errors.Join(seen.err, errors.New("ffmpeg says: "+complaint))
	}
	return seen, nil
}

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

// passedOn checks that the broadcaster took all that it was sent, and, where times do not
// tell what is missing, that the viewer has what the broadcaster has.
func (s source) passedOn(ctx context.Context, c *chain) error {
	input := c.broadcaster.now().Input
	if input.LostRTP > 0 {
		return fmt.Errorf("%d packets were lost on their way to the broadcaster", input.LostRTP)
	}
	if !s.varies {
		if input.LeftOut > 0 {
			return fmt.Errorf("the broadcaster left out %d frames", input.LeftOut)
		}
		return nil
	}
	// Where no packet is lost, what is left out of WHIP is sound whose clock was set right.
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

func (p pictures) verdict() verdict {
	if p.err != nil {
		return verdict{text: p.err.Error()}
	}
	return verdict{ok: true, every: p.count, text: fmt.Sprintf("at least %.1f a second", p.rate)}
}
