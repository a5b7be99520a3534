package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

const (
	// rendition is the name of the one encoding that broadcast publishes.
	rendition = "main"
	// endGrace bounds how long a broadcaster tells its neighbours that the stream has
	// ended. It is part of endLimit, and leaves the rest of the node its time.
	endGrace = 700 * time.Millisecond
	// afterEndSegments is for how many segments a broadcaster serves on when its input
	// has ended: a player is at most a playlist of six behind, and the server keeps
	// ENDLIST back for five. At most maxAfterEnd, though: the user waits.
	afterEndSegments = 7
	maxAfterEnd      = time.Minute
)

func keyFlag() cli.Flag {
	return &cli.StringFlag{Name: "key", Usage: "use the stream key in `FILE` (PEM)", DefaultText: streamKeyFile + " in the home directory, made at first"}
}

func qrFlag() cli.Flag {
	return &cli.BoolFlag{Name: "qr", Usage: "show the link as a QR code"}
}

func broadcastCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:  "broadcast",
		Usage: "publish a live stream",
		Description: "ffmpeg -re -i talk.mp4 -c:v libx264 -g 50 -c:a aac -f mpegts - | grapevine broadcast --input -\n" +
			"grapevine broadcast --input rtmp://127.0.0.1:1935/live",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "input", Usage: "read from `SOURCE`: MPEG-TS from - for standard input, a file, tcp://ADDR or udp://ADDR to listen on, or an encoder's RTMP on rtmp://ADDR/live, or SRT on srt://ADDR?passphrase=…&streamid=…&latency=200ms&mode=listener, or caller"},
			&cli.BoolFlag{Name: "loop", Usage: "begin a file again at its end"},
			&cli.DurationFlag{Name: "segment", Usage: "cut segments of about `DURATION`, at keyframes", Value: 2 * time.Second},
			&cli.DurationFlag{Name: "part", Usage: "publish parts of about `DURATION`", Value: 500 * time.Millisecond},
			keyFlag(),
			qrFlag(),
			recordFlag(),
		}, encoderFlags()...),
		Action: func(c *cli.Context) error {
			set, err := readSettings(c)
			if err != nil {
				return err
			}
			if err := noArguments(c); err != nil {
				return err
			}
			b := broadcast{
				key: c.String("key"),
				qr:  c.Bool("qr"),
				ingest: ingest.Config{
					Input:   c.String("input"),
					Stdin:   env.stdin,
					Segment: c.Duration("segment"),
					Part:    c.Duration("part"),
					Loop:    c.Bool("loop"),
				},
			}
			if err := readEncoder(c, &b.ingest); err != nil {
				return err
			}
			if err := b.check(env.stdin); err != nil {
				return err
			}
			return b.run(c.Context, set, newScreen(env, set.json))
		},
	}
}

// broadcast is the command's own settings.
type broadcast struct {
	key    string
	qr     bool
	ingest ingest.Config
}

// check refuses before anything starts what can be known to fail.
func (b *broadcast) check(stdin *os.File) error {
	switch in := b.ingest.Input; {
	case in == "":
		return &usageError{"broadcast needs an --input.", inputKinds}
	case in == "-" && term.IsTerminal(int(stdin.Fd())):
		return &usageError{"Standard input is a terminal.", "pipe MPEG-TS in: ffmpeg … -f mpegts - | grapevine broadcast --input -"}
	case in != "-" && !strings.Contains(in, ":"):
		info, err := os.Stat(in)
		if err == nil && info.IsDir() {
			err = syscall.EISDIR
		}
		if err != nil {
			return &inputError{in, err}
		}
	}
	checked := b.ingest
	if checked.StreamKey == "" {
		checked.StreamKey = encoderKeyFile // made later, and known to be good
	}
	if _, err := ingest.New(checked); err != nil {
		return &usageError{sentence: capital(err.Error()) + "."}
	}
	return nil
}

func (b *broadcast) run(ctx context.Context, set settings, scr *screen) (err error) {
	h, err := openHome(set.home)
	if err != nil {
		return err
	}
	key, err := h.streamKey(b.key)
	if err != nil {
		return err
	}
	release, err := h.claim(key.ID())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	epoch, err := h.nextEpoch(key.ID(), time.Now())
	if err != nil {
		return err
	}
	s, err := startSession(ctx, roleBroadcast, set, h, scr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	b.ingest.Logger = newLogger(scr, set.level)
	b.ingest.Refused = tellRefused(b.ingest.Logger)
	if s.encoder, err = h.encoderSettings(&b.ingest); err != nil {
		return err
	}
	in, err := ingest.New(b.ingest)
	if err != nil {
		return err
	}
	cast, err := s.node.Broadcast(key, rendition, epoch)
	if err != nil {
		return fmt.Errorf("broadcast: %w", err)
	}
	if err := b.announce(s, set, cast.Swarm().Link()); err != nil {
		return err
	}
	return b.publish(s, in, cast)
}

// announce tells how to watch.
func (b *broadcast) announce(s *session, set settings, link stream.Link) error {
	s.ready(link)
	s.screen.say("%s", s.screen.bold("Broadcasting from "+inputName(b.ingest.Input)))
	s.screen.field("stream", link.Stream.String())
	s.screen.field("watch", "grapevine watch '"+link.String()+"'")
	s.screen.field("hls", s.hlsURL(link.Stream))
	s.screen.field("rewind", s.dvrURL(link.Stream))
	s.screen.field("page", s.pageURL())
	s.showEncoder()
	s.showUpload(set)
	s.showRecording(set)
	return s.showQR(b.qr, link)
}

// publish hands the input to the swarm until it ends, and tells figures meanwhile.
func (b *broadcast) publish(s *session, in *ingest.Ingest, cast *p2p.Broadcast) error {
	meter := &inputMeter{in: in}
	input := make(chan error, 1)
	s.running.Go(func() {
		input <- in.Run(s.ctx, func(p stream.Part) error { return cast.Publish(s.ctx, p) })
	})
	var inputErr error
	inputEnded := false
	figures := make(chan struct{})
	s.running.Go(func() {
		defer close(figures)
		s.follow(func() string { return b.line(s, meter) }, meter.stats)
	})
	select {
	case inputErr = <-input:
		inputEnded = s.ctx.Err() == nil
	case <-s.ctx.Done():
		<-input // nothing may follow the end
	}

	endCtx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), endGrace)
	defer cancel()
	endErr := cast.End(endCtx)
	if errors.Is(endErr, context.DeadlineExceeded) {
		endErr = nil // slow neighbours; the rest have it
	}
	if inputEnded && inputErr == nil && endErr == nil {
		grace := min(afterEndSegments*b.ingest.Segment, maxAfterEnd)
		s.screen.say("The input has ended. Viewers have %v to see the rest; ctrl-c ends at once.", grace)
		select {
		case <-time.After(grace):
		case <-s.ctx.Done():
		}
	}
	s.fail(nil) // ends the figures
	<-figures
	s.tellEnds()
	switch {
	case inputEnded && inputErr != nil:
		return &inputError{ingest.WithoutSecrets(b.ingest.Input), inputErr}
	case endErr != nil:
		return fmt.Errorf("publish the end: %w", endErr)
	}
	return s.why()
}

// line is one line of truth for whoever broadcasts.
func (b *broadcast) line(s *session, meter *inputMeter) string {
	st := s.node.Stats()
	in := meter.stats()
	source := "in " + formatRate(in.Rate)
	switch {
	case in.Bytes == 0:
		source = "waiting for " + inputName(b.ingest.Input)
	case in.Gone > 0:
		source = fmt.Sprintf("the encoder is gone, waiting for it %.0f s more", max(0, b.ingest.Reconnect.Seconds()-in.Gone))
	}
	if in.Listen != "" && (in.Bytes == 0 || in.Gone > 0) {
		source += " (listening on " + in.Listen + ")"
	}
	peers := 0
	for _, sw := range s.node.Swarms() {
		peers += len(sw.Stats().Peers)
	}
	return joinFacts(
		clock(time.Since(s.started)),
		source,
		count(peers, "peer"),
		"up "+formatRate(st.RateOut)+" ("+formatBytes(st.BytesOut)+")",
	)
}

// inputName is how lines name the input.
func inputName(input string) string {
	switch input {
	case "-":
		return "standard input"
	case sampleInput:
		return "the test card"
	}
	return ingest.WithoutSecrets(input)
}

// clock writes a duration as h:mm:ss.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
