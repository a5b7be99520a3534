//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// levels is a stand-in for what a node cannot make yet: a live stream of two qualities,
// two languages and subtitles. Its segments are files; its playlists slide over them as
// time passes. All else, the page included, is a real node's.
type levels struct {
	dir     string // with a directory of segments per rendition
	stream  string
	start   time.Time // when the first segment was on air
	archive bool      // whether there is a dvr.m3u8
	node    http.Handler
}

const (
	levelSegment = 2 * time.Second
	levelCount   = 75                // segments
	levelPast    = 30 * levelSegment // on air when the case begins
	levelWindow  = 6                 // segments of the live playlist
)

// newLevels encodes the segments, and puts its playlists before those of node's stream.
func newLevels(ctx context.Context, dir string, n *node) (*levels, error) {
	base, err := url.Parse(n.Page)
	if err != nil {
		return nil, err
	}
	hls := func(name string) []string {
		return []string{"-f", "hls", "-hls_time", fmt.Sprint(levelSegment.Seconds()), "-hls_playlist_type", "vod",
			"-hls_segment_filename", filepath.Join(dir, name+"-%d.ts"), filepath.Join(dir, name+".vod.m3u8")}
	}
	seconds := int((levelCount * levelSegment).Seconds())
	args := []string{"-v", "error", "-y",
		"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=320x180:rate=10:duration=%d", seconds),
		"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:sample_rate=48000:duration=%d", seconds)}
	video := []string{"-map", "0:v", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "20", "-keyint_min", "20", "-sc_threshold", "0"}
	args = append(append(append(args, video...), "-b:v", "300k"), hls("high")...)
	args = append(append(append(args, video...), "-s", "160x90", "-b:v", "100k"), hls("low")...)
	for _, language := range []string{"en", "de"} {
		args = append(append(args, "-map", "1:a", "-c:a", "aac", "-b:a", "64k"), hls(language)...)
	}
	if _, err := output(ctx, "ffmpeg", args...); err != nil {
		return nil, err
	}
	return &levels{
		dir:    dir,
		stream: n.Stream,
		start:  time.Now().Add(-levelPast),
		node:   &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(base) }},
	}, nil
}

func (l *levels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ours := strings.CutPrefix(r.URL.Path, "/"+l.stream+"/")
	if !ours {
		l.node.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	rendition, file := path.Split(name)
	switch kind := strings.TrimSuffix(file, ".m3u8"); {
	case kind == "dvr" && !l.archive:
		http.NotFound(w, r)
	case kind != file && rendition == "":
		fmt.Fprint(w, l.multivariant(file))
	case kind != file:
		window := levelWindow
		if kind == "dvr" {
			window = levelCount
		}
		fmt.Fprint(w, l.media(strings.TrimSuffix(rendition, "/"), window))
	case strings.HasSuffix(file, ".vtt"):
		var n int
		_, _ = fmt.Sscanf(file, "subtitles-%d.vtt", &n)
		fmt.Fprintf(w, "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:126000,LOCAL:00:00:00.000\n\n%s --> %s\nSegment %d\n", cueTime(n), cueTime(n+1), n)
	default:
		http.ServeFile(w, r, filepath.Join(l.dir, file))
	}
}

// cueTime is when a segment begins, as WebVTT writes it.
func cueTime(segment int) string {
	t := time.Duration(segment) * levelSegment
	return fmt.Sprintf("00:%02d:%02d.000", int(t.Minutes()), int(t.Seconds())%60)
}

func (l *levels) multivariant(file string) string {
	return strings.ReplaceAll(`#EXTM3U
#EXT-X-VERSION:4
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,URI="en/FILE"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="Deutsch",LANGUAGE="de",AUTOSELECT=YES,URI="de/FILE"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="words",NAME="English",LANGUAGE="en",AUTOSELECT=NO,URI="subtitles/FILE"
#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x180,CODECS="avc1.42c01e,mp4a.40.2",AUDIO="sound",SUBTITLES="words"
high/FILE
#EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=160x90,CODECS="avc1.42c00d,mp4a.40.2",AUDIO="sound",SUBTITLES="words"
low/FILE
`, "FILE", file)
}

// media lists what is on air by now, at most window segments.
func (l *levels) media(rendition string, window int) string {
	newest := min(int(time.Since(l.start)/levelSegment), levelCount)
	first := max(0, newest-window)
	extension := ".ts"
	if rendition == "subtitles" {
		extension = ".vtt"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", first)
	for i := first; i < newest; i++ {
		at := l.start.Add(time.Duration(i) * levelSegment).UTC()
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n#EXTINF:2.0,\n%s-%d%s\n", at.Format("2006-01-02T15:04:05.000Z"), rendition, i, extension)
	}
	return b.String()
}
