package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
	"github.com/grapevine-live/grapevine/stream/ingest/transcode"
)

func encodeFlag() cli.Flag {
	return &cli.StringFlag{Name: "encode", Usage: "publish several renditions of `HEIGHTS`, such as 1080p,720p,480p, made with ffmpeg"}
}

func encoderFlag() cli.Flag {
	return &cli.StringFlag{Name: "encoder", Usage: "have ffmpeg's encoder `NAME` make them", DefaultText: "the hardware's if it works, else libx264"}
}

// readLadder reads the flags about encoding, nil if there are none.
func readLadder(c *cli.Context) (*transcode.Config, error) {
	if !c.IsSet("encode") {
		if c.IsSet("encoder") {
			return nil, &usageError{"--encoder is for --encode.", "name the renditions too, such as --encode 720p,480p"}
		}
		return nil, nil
	}
	text := c.String("encode")
	heights, err := transcode.ParseHeights(text)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("--encode cannot be %q: %v.", text, err), "renditions look like 1080p,720p,480p"}
	}
	return &transcode.Config{Heights: heights, Encoder: c.String("encoder")}, nil
}

// ladder is an input that is encoded as several renditions.
type ladder struct {
	*transcode.Ladder
	screen  *screen
	encoder string
	source  string // of what is encoded
	open    furtherOpener
}

// openLadder finds what encodes, before anybody is told of the stream.
func openLadder(ctx context.Context, cfg transcode.Config, name string, input ingest.Config, scr *screen) (source, error) {
	out := &ladder{screen: scr, source: name}
	cfg.Input, cfg.Input.Further = input, out.open.further
	l, err := transcode.New(cfg)
	if err != nil {
		return nil, &encodeError{err}
	}
	out.Ladder = l
	if out.encoder, err = l.Prepare(ctx); err != nil {
		return nil, &encodeError{err}
	}
	return out, nil
}

func (l *ladder) run(ctx context.Context, casts *casts) error {
	l.open.begin(ctx, casts)
	err := l.Run(ctx, func(plan transcode.Plan) ([]func(stream.Part) error, error) {
		l.tell(plan)
		var publishers []func(stream.Part) error
		for _, r := range plan.Renditions {
			publish, err := casts.publisher(ctx, r.Name)
			if err != nil {
				return nil, err
			}
			publishers = append(publishers, publish)
		}
		return publishers, nil
	})
	var small *transcode.TooSmallError
	var died *transcode.DiedError
	if errors.Is(err, transcode.ErrNoVideo) || errors.As(err, &small) || errors.As(err, &died) {
		return &encodeError{err}
	}
	if err != nil {
		err = &inputError{shownInput(l.source), err}
	}
	return err
}

// tell says what is made of the input.
func (l *ladder) tell(plan transcode.Plan) {
	var made []string
	for _, r := range plan.Renditions {
		made = append(made, fmt.Sprintf("%s (%dx%d, %s)", r.Name, r.Width, r.Height, formatRate(float64(r.Bits))))
	}
	l.screen.say("The input has %dx%d; %s encodes %s.", plan.Width, plan.Height, l.encoder, strings.Join(made, ", "))
	if len(plan.LeftOut) > 0 {
		l.screen.say("Left out: %s, larger than the input.", strings.Join(plan.LeftOut, ", "))
	}
}

func (l *ladder) stats() *inputStats {
	st := l.Stats()
	out := &encodingStats{
		Encoder:    l.encoder,
		Renditions: []renditionStats{},
		Speed:      st.Speed,
		Waiting:    st.Waiting.Seconds(),
		Behind:     st.Behind,
		Times:      st.BehindTimes,
		Restarts:   st.Restarts,
		Lost:       st.Lost.Seconds(),
	}
	for _, r := range st.Renditions {
		out.Renditions = append(out.Renditions, renditionStats{Name: r.Name, Width: r.Width, Height: r.Height, Bits: r.Bits, Bytes: r.Ingest.PartBytes, Misaligned: r.Ingest.Misaligned})
	}
	in := &inputStats{Encoding: out}
	addInput(in, st.Input)
	for _, r := range st.Renditions { // the first has further audio and subtitles
		in.AudioAbsent += r.Ingest.AbsentSegments
		in.CuesLost += r.Ingest.LostCues
	}
	return in
}

// encodingLine is what there is to say of encoding, "" if all is well.
func encodingLine(e *encodingStats) string {
	if e == nil {
		return ""
	}
	var facts []string
	if e.Behind {
		facts = append(facts, fmt.Sprintf("this machine is too slow to encode all: %.2f of real time, %.0f s behind", e.Speed, e.Waiting))
	} else if e.Times > 0 {
		facts = append(facts, "encoding fell behind "+count(int(e.Times), "time"))
	}
	if e.Restarts > 0 {
		facts = append(facts, fmt.Sprintf("ffmpeg died %s, %.1f s lost", count(int(e.Restarts), "time"), e.Lost))
	}
	for _, r := range e.Renditions {
		if r.Misaligned > 0 {
			facts = append(facts, fmt.Sprintf("%s lacks %s of the others: choose another --encoder", r.Name, count(int(r.Misaligned), "keyframe")))
		}
	}
	return joinFacts(facts...)
}
