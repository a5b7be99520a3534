package ingest

import (
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortmplib/pkg/message"

	"github.com/grapevine-live/grapevine/stream"
)

// paced is an RTMP publisher whose messages come at the speed of life.
type paced struct {
	messages []message.Message
	began    time.Time
	first    time.Duration // timestamp of the first frame
}

func (p *paced) Read() (message.Message, error) {
	if len(p.messages) == 0 {
		return nil, io.EOF
	}
	m := p.messages[0]
	p.messages = p.messages[1:]
	if v, ok := m.(*message.Video); ok && v.Type == message.VideoTypeAU {
		time.Sleep(time.Until(p.began.Add(v.DTS - p.first)))
	}
	return m, nil
}

// publisherOf returns an encoder that publishes a clip without sound, which its metadata
// promise if it is silent: then its first frames are held until that is given up.
func publisherOf(t *testing.T, c clip, silent bool) *encoder {
	c = c.defaults()
	c.noAudio = !silent
	var said recorded
	p := publishTo(t, &said, c)
	c.noAudio = true
	p.send(t, c)
	feed := &rtmpFeed{
		log: slog.New(slog.DiscardHandler), leftOut: func() { t.Error("a frame is left out") },
		messages: &paced{messages: withoutAudio(said.messages), began: time.Now(), first: duration(c.start)},
	}
	return &encoder{ReadCloser: io.NopCloser(feed), whole: true, heldFor: feed.heldFor}
}

func withoutAudio(all []message.Message) (left []message.Message) {
	for _, m := range all {
		switch m.(type) {
		case *message.Audio, *message.AudioExSequenceStart, *message.AudioExCodedFrames:
		default:
			left = append(left, m)
		}
	}
	return left
}

// The time for which frames are held back when an encoder begins is in no program time,
// whether it is alone, agrees with others, or does not.
func TestProgramTimesWithoutHold(t *testing.T) {
	for name, clips := range map[string][]clip{
		"alone":    {{frames: 200, gop: 40}},
		"agree":    {{frames: 200, gop: 40}, {frames: 200, gop: 40}},
		"disagree": {{frames: 200, gop: 40}, {frames: 200, gop: 40, start: 500 * second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := NewSharedBase(len(clips))
				began := time.Now()
				parts := make([][]stream.Part, len(clips))
				var wg sync.WaitGroup
				for n, c := range clips {
					i, err := New(Config{Input: "tcp://:1", Base: base})
					if err != nil {
						t.Fatal(err)
					}
					r := newReception(i, func() {})
					if err := r.enter(publisherOf(t, c, n == len(clips)-1)); err != nil {
						t.Fatal(err)
					}
					wg.Go(func() {
						if err := newRunner(i, r.source(), func(p stream.Part) error {
							parts[n] = append(parts[n], p)
							return nil
						}).run(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				var zero []int64 // output time when they began
				for n, list := range parts {
					checkParts(t, list)
					times := starts(list)
					if len(times) < 2 {
						t.Errorf("input %d: %d segments", n, len(times))
					}
					video, _ := demuxed(t, join(list))
					zero = append(zero, video[0].pts-ticks(times[0].Sub(began)))
					for _, at := range times { // of keyframes
						if since := at.Sub(began); since%(1600*time.Millisecond) != 0 || since > 8*time.Second {
							t.Errorf("input %d: a segment is of %v", n, since)
						}
					}
				}
				if slices.Max(zero) != slices.Min(zero) {
					t.Errorf("output times begin at %v", zero)
				}
			})
		})
	}
}
