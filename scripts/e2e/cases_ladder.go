//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ladderCase encodes the test card twice, and looks at it as a viewer whose node carries
// what is played only.
func ladderCase(ctx context.Context, b *bench) (string, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return "", err
	}
	broadcaster, err := b.grapevine(ctx, nil, "broadcaster", nil,
		append([]string{"broadcast", "--input", "sample:", "--encode", "480p,360p,180p", "--encoder", "libx264"}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", broadcaster.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	renditions, err := mediaURLs(ctx, broadcaster.HLS)
	if err != nil {
		return "", err
	}
	if len(renditions) != 2 || !strings.Contains(renditions[0], "/360p/") || !strings.Contains(renditions[1], "/180p/") {
		return "", fmt.Errorf("the renditions are %v", renditions)
	}
	frames, err := b.aligned(ctx, renditions, 6)
	if err != nil {
		return "", err
	}
	out, err := b.node(ctx, "ladder.mjs", viewer.Page, b.dir, chromium, "360p", "640", "180p", "320")
	if err != nil {
		return "", err
	}
	player, err := b.vlc(nil, viewer.HLS, onNoScreen...)
	if err != nil {
		return "", err
	}
	first, _, err := player.awaitShown(ctx, 0)
	if err != nil {
		return "", err
	}
	last, lost, err := player.awaitShown(ctx, first+5*frameRate)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d frames with the same times and keyframes in both; page: %s; VLC displayed %d, %d lost", frames, strings.TrimSpace(out), last, lost), nil
}

// mediaURLs returns all media playlists of a multivariant one.
func mediaURLs(ctx context.Context, master string) ([]string, error) {
	body, err := get(ctx, master)
	if err != nil {
		return nil, err
	}
	var urls []string
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		u, err := resolve(master, line)
		if err != nil {
			return nil, err
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// aligned checks that so many segments of all renditions have the same names, durations
// and program times, and that their frames have the same times and keyframes. It returns
// how many frames each has.
func (b *bench) aligned(ctx context.Context, renditions []string, segments int) (frames int, err error) {
	var lists []map[string]string
	var first []string // segments' names, in order
	for n, media := range renditions {
		if err := awaitPlaylist(ctx, media, func(p *playlist) bool { return len(p.segments) >= segments }); err != nil {
			return 0, err
		}
		names, tags, err := taggedSegments(ctx, media)
		if err != nil {
			return 0, err
		}
		lists = append(lists, tags)
		if n == 0 {
			first = names
		}
	}
	var common []string
	for _, name := range first {
		if !slices.ContainsFunc(lists, func(l map[string]string) bool { return l[name] == "" }) {
			common = append(common, name)
		}
	}
	if len(common) < segments/2 {
		return 0, fmt.Errorf("%d segments of %d have the same names in all renditions", len(common), len(first))
	}
	for _, name := range common {
		for n, l := range lists {
			if l[name] != lists[0][name] {
				return 0, fmt.Errorf("segment %s is %q in %s, and %q in %s", name, lists[0][name], renditions[0], l[name], renditions[n])
			}
		}
	}
	var want string
	for n, media := range renditions {
		got, err := b.frameTimes(ctx, media, common, n)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			want = got
		}
		if keys := strings.Count(got, "K"); got != want || keys != len(common) {
			return 0, fmt.Errorf("%d segments have %d keyframes in %s, and these frames:\n%s\nin %s:\n%s", len(common), keys, media, got, renditions[0], want)
		}
	}
	return strings.Count(want, "\n"), nil
}

// taggedSegments returns the names of what a media playlist lists, and what it says of
// each.
func taggedSegments(ctx context.Context, media string) (names []string, tags map[string]string, err error) {
	body, err := get(ctx, media)
	if err != nil {
		return nil, nil, err
	}
	tags = make(map[string]string)
	said := ""
	for line := range strings.Lines(string(body)) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "#EXTINF"), strings.HasPrefix(line, "#EXT-X-PROGRAM"), line == "#EXT-X-DISCONTINUITY":
			said += line + " "
		case line != "" && line[0] != '#':
			names, tags[line], said = append(names, line), said, ""
		}
	}
	return names, tags, nil
}

// frameTimes returns a line per video frame of segments put together: its time, and
// whether it is a keyframe.
func (b *bench) frameTimes(ctx context.Context, media string, names []string, n int) (string, error) {
	base, err := url.Parse(media)
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.dir, fmt.Sprintf("rendition-%d.ts", n))
	var all []byte
	for _, name := range names {
		body, err := get(ctx, base.JoinPath("..", name).String())
		if err != nil {
			return "", err
		}
		all = append(all, body...)
	}
	if err := os.WriteFile(file, all, 0o644); err != nil {
		return "", err
	}
	out, err := output(ctx, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts,flags", "-of", "compact=p=0", file)
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(out) == "" {
		return "", errors.New("ffprobe saw no frames in " + file)
	}
	return out, nil
}
