//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream/transport/transporttest"
)

const (
	// A break begins so many frames after it is announced, and is announced so often.
	breakAhead = 4 * frameRate
	breakEvery = 10 * frameRate
	breakLasts = 3 * frameRate
	// dateSlack is how far a break's date may be from the wall clock when it was sent.
	dateSlack = 1500 * time.Millisecond
)

// programme is what an encoder with metadata and cues has sent.
type programme struct {
	mu     sync.Mutex           // guards all following
	tags   map[string]bool      // texts
	breaks map[uint32]time.Time // when each was to begin, by event
}

// notes makes a tag for every half second, and breaks.
func (p *programme) notes(n int, dts int64) (notes []transporttest.Note) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n%(frameRate/2) == 0 {
		text := fmt.Sprint("picture ", n)
		p.tags[text] = true
		notes = append(notes, transporttest.Note{PTS: dts, Tag: transporttest.Tag(text)})
	}
	event := uint32(n / breakEvery)
	at := dts + breakAhead*ticksPerFrame
	switch n % breakEvery {
	case 0, frameRate: // and again, as encoders do
		at -= int64(n%breakEvery) * ticksPerFrame
		if _, again := p.breaks[event]; !again {
			p.breaks[event] = time.Now().Add(breakAhead * time.Second / frameRate)
		}
		notes = append(notes, transporttest.Note{Section: transporttest.Splice(event, true, at, breakLasts*ticksPerFrame)})
	case breakLasts:
		notes = append(notes, transporttest.Note{Section: transporttest.Splice(event, false, at, 0)})
	}
	return notes
}

// dataCase has timed ID3 and SCTE-35 go through a broadcaster, a relay and a viewer, and
// through a broadcaster that encodes.
func dataCase(ctx context.Context, b *bench) (string, error) {
	sent, broadcaster, err := b.annotatedBroadcaster(ctx, "broadcaster")
	if err != nil {
		return "", err
	}
	c, err := b.chainBehind(ctx, broadcaster)
	if err != nil {
		return "", err
	}
	streams, err := b.probed(ctx, c.viewer.HLS)
	if err != nil {
		return "", err
	}
	vlc, err := b.vlc(nil, c.viewer.HLS, onNoScreen...)
	if err != nil {
		return "", err
	}
	figures := []string{"ffprobe has " + streams}
	for _, url := range []string{c.viewer.HLS, lowLatency(c.viewer.HLS)} {
		figure, err := b.sees(ctx, url, sent)
		if err != nil {
			return "", fmt.Errorf("%s: %w", filepath.Base(url), err)
		}
		figures = append(figures, filepath.Base(url)+": "+figure)
	}
	shown, lost, err := vlc.awaitShown(ctx, 4*frameRate)
	if err != nil {
		return "", err
	}
	figures = append(figures, fmt.Sprintf("VLC displayed %d, %d lost", shown, lost))
	if _, err := broadcaster.terminate(ctx); err != nil {
		return "", err
	}
	sent, broadcaster, err = b.annotatedBroadcaster(ctx, "encodes", "--encode", "240p")
	if err != nil {
		return "", err
	}
	encoded, err := b.grapevine(ctx, nil, "encoded", nil, append([]string{"watch", broadcaster.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	figure, err := b.sees(ctx, lowLatency(encoded.HLS), sent)
	if err != nil {
		return "", fmt.Errorf("encoded: %w", err)
	}
	return strings.Join(append(figures, "encoded: "+figure), "; "), nil
}

// annotatedBroadcaster starts an encoder that sends metadata and cues, and a node that
// reads it.
func (b *bench) annotatedBroadcaster(ctx context.Context, name string, args ...string) (*programme, *node, error) {
	sent := &programme{tags: make(map[string]bool), breaks: make(map[uint32]time.Time)}
	in, err := b.annotated(sent)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close() // the node has its own
	args = append(append([]string{"broadcast", "--input", "-"}, args...), anyLoopback...)
	broadcaster, err := b.grapevine(ctx, nil, name, in, args...)
	return sent, broadcaster, err
}

// annotated starts an encoder, and returns what it sends with metadata and cues between.
func (b *bench) annotated(sent *programme) (*os.File, error) {
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = b.encoder(nil, ordinary, "pipe:1", out, "-flush_packets", "1")
	out.Close()
	if err != nil {
		return nil, err
	}
	go func() {
		defer w.Close()
		// Either end may go first, as the case ends.
		_, _ = io.Copy(&transporttest.Annotator{W: w, Notes: sent.notes}, in)
		in.Close()
	}()
	return r, nil
}

// probed returns the streams that ffprobe finds in a segment.
func (b *bench) probed(ctx context.Context, hls string) (string, error) {
	media, err := mediaURL(ctx, hls)
	if err != nil {
		return "", err
	}
	p, err := getPlaylist(ctx, media)
	if err != nil {
		return "", err
	}
	u, err := resolve(media, p.segments[len(p.segments)-1].uri)
	if err != nil {
		return "", err
	}
	body, err := get(ctx, u)
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.dir, "segment.ts")
	if err := os.WriteFile(file, body, 0o644); err != nil {
		return "", err
	}
	out, err := output(ctx, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,codec_type,index", "-of", "csv=p=0", file)
	if err != nil {
		return "", err
	}
	for _, want := range []string{"h264", "aac", "timed_id3", "scte_35"} {
		if !strings.Contains(out, want) {
			return "", fmt.Errorf("ffprobe finds no %s in a segment:\n%s", want, out)
		}
	}
	return "h264, aac, timed_id3, scte_35", nil
}

// looked is a line of what hlsjs.mjs sees.
type looked struct {
	Tags   []string
	Ranges map[string]map[string]any
}

// sees has hls.js play url until it has met tags and a whole break, and checks those.
func (b *bench) sees(ctx context.Context, url string, sent *programme) (string, error) {
	br, err := b.startBrowser(nil, url)
	if err != nil {
		return "", err
	}
	defer br.kill()
	tags := make(map[string]bool)
	for {
		line, err := br.line(ctx)
		if err != nil {
			return "", fmt.Errorf("with %d tags: %w", len(tags), err)
		}
		var now looked
		if err := json.Unmarshal(line, &now); err != nil {
			return "", err
		}
		for _, text := range now.Tags {
			if tags[text] = true; !sent.has(text) {
				return "", fmt.Errorf("a tag %q was never sent", text)
			}
		}
		breaks, whole, err := sent.check(now.Ranges)
		if err != nil {
			return "", err
		}
		if len(tags) >= 16 && whole > 0 {
			return fmt.Sprintf("%d tags, %d breaks, %d of them over", len(tags), breaks, whole), nil
		}
	}
}

func (p *programme) has(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tags[text]
}

// check compares date ranges with what was sent, and returns how many there are, and how
// many of them have an end.
func (p *programme) check(ranges map[string]map[string]any) (breaks, whole int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, r := range ranges {
		var event uint32
		if _, err := fmt.Sscanf(id, "splice-%d-", &event); err != nil || r["valid"] != true {
			return 0, 0, fmt.Errorf("date range %q: %v", id, r)
		}
		start, err := time.Parse(time.RFC3339, fmt.Sprint(r["START-DATE"]))
		if err != nil {
			return 0, 0, err
		}
		begun := r["SCTE35-OUT"] != nil
		if off := start.Sub(p.breaks[event]); begun && off.Abs() > dateSlack {
			return 0, 0, fmt.Errorf("break %q begins %v after it was to", id, off)
		}
		breaks++
		if begun && r["SCTE35-IN"] != nil {
			whole++
			if want := fmt.Sprint(breakLasts / frameRate); fmt.Sprint(r["DURATION"]) != want {
				return 0, 0, fmt.Errorf("break %q lasts %v s, want %s", id, r["DURATION"], want)
			}
		}
	}
	return breaks, whole, nil
}
