//go:build linux

package main

import (
	"context"
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
		if seen, err = s.pictures(ctx, exact, c); err != nil {
			return nil, err
		}
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
