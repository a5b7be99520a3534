//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// audience is what a broadcaster's status says of those who watch.
type audience struct {
	Nodes, Viewers, Relays float64
	Players                map[string]float64
	DelayP50               float64 `json:"delay_p50_seconds"`
	DelayP95               float64 `json:"delay_p95_seconds"`
	Stalling               float64
	Peers                  float64 `json:"from_peers"`
	Broadcaster            float64 `json:"from_broadcaster"`
}

// audienceCase has VLC and ffmpeg play at a viewer that agreed to report, and ffmpeg at one that
// did not, all by way of a relay: the broadcaster's API has the first two players.
func audienceCase(ctx context.Context, b *bench) (string, error) {
	c, err := b.chain(ctx) // whose viewer did not agree
	if err != nil {
		return "", err
	}
	told, err := b.grapevine(ctx, nil, "told", nil, append([]string{"watch", "--report", c.relay.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	began := time.Now()
	if _, err := b.vlc(nil, told.HLS, onNoScreen...); err != nil {
		return "", err
	}
	for _, n := range []*node{told, c.viewer} {
		if _, err := b.ffmpeg(nil, n.HLS, 60); err != nil {
			return "", err
		}
	}
	var a audience
	for {
		if a, err = askAudience(ctx, c.broadcaster); err != nil {
			return "", err
		}
		if a.Players["vlc"] == 1 && a.Players["ffmpeg"] == 1 && a.DelayP50 > 0 && a.Peers+a.Broadcaster > 0 {
			break
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the broadcaster was never told of VLC and ffmpeg, but of %+v: %w", a, context.Cause(ctx))
		case <-time.After(200 * time.Millisecond):
		}
	}
	switch {
	case a.Nodes != 1 || a.Viewers != 2 || a.Relays != 0:
		err = fmt.Errorf("%g nodes with %g viewers, %g of them relays, want the one that agreed, with VLC and ffmpeg", a.Nodes, a.Viewers, a.Relays)
	case a.DelayP50 < 1 || a.DelayP95 > 20:
		err = fmt.Errorf("%g s and %g s behind: no player is", a.DelayP50, a.DelayP95)
	}
	return fmt.Sprintf("told of VLC and ffmpeg after %.1f s; %.1f s behind, p95 %.1f s; %.0f%% stalled; %.0f%% from peers, %.0f%% from the broadcaster",
		time.Since(began).Seconds(), a.DelayP50, a.DelayP95, 100*a.Stalling, 100*a.Peers, 100*a.Broadcaster), err
}

// askAudience asks a broadcaster for its audience.
func askAudience(ctx context.Context, n *node) (audience, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.Page+"api/v1/status", nil)
	if err != nil {
		return audience{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return audience{}, err
	}
	defer res.Body.Close()
	var status struct {
		Streams []struct{ Audience *audience }
	}
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		return audience{}, err
	}
	if len(status.Streams) != 1 || status.Streams[0].Audience == nil {
		return audience{}, errors.New("the broadcaster's status has no audience")
	}
	return *status.Streams[0].Audience, nil
}
