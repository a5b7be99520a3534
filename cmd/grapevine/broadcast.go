package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
	"github.com/grapevine-live/grapevine/stream/ingest/origin"
	"github.com/grapevine-live/grapevine/stream/ingest/transcode"
)

const (
	// endGrace bounds how long a broadcaster tells its neighbours that the stream has
	// ended. It is part of endLimit, and leaves the rest of the node its time.
	endGrace = 700 * time.Millisecond
	// afterEndSegments is for how many segments a broadcaster serves on when its input
	// has ended: a player is at most a playlist of six behind, and the server keeps
	// ENDLIST back for five. At most maxAfterEnd, though: the user waits.
	afterEndSegments = 7
	maxAfterEnd      = time.Minute
)

const inputFlagName = "input"

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
		Flags: slices.Concat([]cli.Flag{
			&cli.StringSliceFlag{Name: inputFlagName, Usage: "read from `SOURCE`: MPEG-TS from - for standard input, a file (of any kind, with ffmpeg), tcp://ADDR or udp://ADDR to listen on, or an encoder's RTMP on rtmp://ADDR/live, a browser's or encoder's WebRTC on whip://ADDR/live, or SRT on srt://ADDR?passphrase=…&streamid=…&latency=200ms&mode=listener, or caller; or an HLS stream at http://… or https://…; may be given more than once, a rendition each"},
			&cli.BoolFlag{Name: "loop", Usage: "begin a file, or an HLS stream that has ended, again at its end"},
			encodeFlag(),
			encoderFlag(),
			&cli.DurationFlag{Name: "segment", Usage: "cut segments of about `DURATION`, at keyframes", Value: 2 * time.Second},
			&cli.DurationFlag{Name: "part", Usage: "publish parts of about `DURATION`", Value: 500 * time.Millisecond},
			keyFlag(),
			delegationFlag(),
			qrFlag(),
			recordFlag(),
			slateFlag(),
			browsersFlag(),
			originFlag("have the link name the gateway at `URL`, from which viewers fetch what peers do not bring in time"),
		}, encoderFlags(), publicFlags(), privateFlags(), dhtFlags(), cacheFlags(), gatewayFlags()),
		Action: func(c *cli.Context) error {
			set, err := readSettings(c)
			if err != nil {
				return err
			}
			if err := readNetwork(c, &set); err != nil {
				return err
			}
			set.browsers = !c.Bool(noBrowsers)
			if err := noArguments(c); err != nil {
				return err
			}
			privacy, err := readPrivacy(c, &set)
			if err != nil {
				return err
			}
			inputs, err := readInputs(c.StringSlice(inputFlagName))
			if err != nil {
				return err
			}
			origins, err := readOrigins(c)
			if err != nil {
				return err
			}
			b := broadcast{
				origins: origins,

				key:   c.String("key"),
				by:    c.String(delegationName),
				qr:    c.Bool("qr"),
				slate: c.String("slate"),
				entry: readEntry(c),

				privacy: privacy,

				inputs: inputs,
				ingest: ingest.Config{
					Stdin:   env.stdin,
					Segment: c.Duration("segment"),
					Part:    c.Duration("part"),
					Loop:    c.Bool("loop"),
				},
			}
			if err := readEncoder(c, &b); err != nil {
				return err
			}
			if b.ladder, err = readLadder(c); err != nil {
				return err
			}
			if err := b.check(env.stdin); err != nil {
				return err
			}
			return env.do(c, job{set: set, run: func(ctx context.Context, set settings) error {
				return b.run(ctx, set, newScreen(env, set.json))
			}})
		},
	}
}

// broadcast is the command's own settings.
type broadcast struct {
	key    string
	by     string // a file with a delegation, "" for none
	qr     bool
	inputs []namedInput

	origins []string // that the link names

	ingest ingest.Config     // of each input, see config
	ladder *transcode.Config // nil to publish inputs as they are

	reconnect time.Duration // for how long encoders are waited for that come and go
	insists   bool          // on reconnect, whatever the inputs
	entry     publicEntry   // in the directory
	privacy   privacy

	delegation *stream.Delegation // nil where the stream's own key is here

	slate     string // a file, autoSlate, or "" for none
	makeSlate func(context.Context, ingest.SlateFormat) ([]byte, error)
}

// check refuses before anything starts what can be known to fail.
func (b *broadcast) check(stdin *os.File) error {
	switch {
	case len(b.inputs) == 0:
		return &usageError{"broadcast needs an --input.", inputKinds}
	case len(b.inputs) > 1 && b.ladder != nil:
		return &usageError{"--encode makes renditions of one --input.", "leave --encode out to publish each input as a rendition"}
	case len(b.inputs) > 1 && slices.ContainsFunc(b.inputs, namedInput.isOrigin):
		return &usageError{"An HLS stream is published alone, with all of its renditions.", "leave the other --input out"}
	case b.ladder != nil && b.inputs[0].isOrigin():
		return &usageError{"--encode cannot be used with an HLS stream, which is published as it is.", "ffmpeg can bring it in: ffmpeg -re -i URL -c copy -f mpegts - | grapevine broadcast --input - --encode 720p"}
	}
	for _, in := range b.inputs {
		if err := b.checkInput(in.source, stdin); err != nil {
			return err
		}
	}
	if err := b.entry.check(b.privacy.sealed); err != nil {
		return err
	}
	return b.checkSlate()
}

// config returns how an input is read.
func (b *broadcast) config(in string) ingest.Config {
	cfg := b.ingest
	cfg.Input = in
	if b.insists || ingest.Reconnects(in) {
		cfg.Reconnect = b.reconnect
	}
	if ingest.Reconnects(in) {
		cfg.Slate = b.makeSlate
	}
	return cfg
}

func (b *broadcast) checkInput(in string, stdin *os.File) error {
	switch {
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
	if origin.Is(in) {
		_, err := origin.New(originConfig(b.config(in)))
		return usageOf(err)
	}
	cfg := b.config(in)
	if cfg.StreamKey == "" {
		cfg.StreamKey = encoderKeyFile // made later, and known to be good
	}
	_, err := ingest.New(cfg)
	return usageOf(err)
}

// usageOf puts what is wrong with the settings of an input into a sentence, nil if nothing is.
func usageOf(err error) error {
	if err != nil {
		return &usageError{sentence: capital(err.Error()) + "."}
	}
	return nil
}

func (b *broadcast) run(ctx context.Context, set settings, scr *screen) (err error) {
	h, err := openHome(set.home, set.passphrase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	key, err := h.streamKey(b.key)
	if err != nil {
		return err
	}
	if key, err = h.under(key, b.by, stream.RoleBroadcast, time.Now()); err != nil {
		return err
	}
	if err := b.privacy.keepRevocations(h); err != nil {
		return err
	}
	release, err := h.claim(key.ID())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	epoch, err := h.nextEpochOf(key, time.Now())
	if err != nil {
		return err
	}
	b.ingest.Logger = newLogger(scr, set.level)
	b.ingest.Refused = tellRefused(b.ingest.Logger)
	encoders, err := b.encoders(h)
	if err != nil {
		return err
	}
	if err := b.openSlate(ctx); err != nil {
		return err
	}
	in, closeInputs, err := b.open(ctx, scr)
	defer func() { err = errors.Join(err, closeInputs()) }()
	if err != nil {
		return err
	}
	s, err := startSession(ctx, roleBroadcast, set, h, scr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.encoders = encoders
	b.delegation = key.Delegation()
	casts := &casts{node: s.node, key: key, epoch: epoch, list: make(map[string]*p2p.Broadcast)}
	via, err := b.privacy.link(key)
	if err != nil {
		return err
	}
	link, err := casts.begin(b.origins, via)
	if err != nil {
		return err
	}
	if err := b.seal(s, casts, h); err != nil {
		return err
	}
	if err := casts.survey(s); err != nil {
		return err
	}
	if len(b.privacy.relays) == 0 {
		link = s.reachable(set, link)
	}
	if err := h.keepLink(link); err != nil {
		return err
	}
	b.announce(s, set, link)
	return b.publish(s, in, casts)
}

// announce tells how to watch.
func (b *broadcast) announce(s *session, set settings, link stream.Link) {
	s.ready(link)
	s.screen.say("%s", s.screen.bold("Broadcasting from "+b.from()))
	s.screen.field("stream", link.Stream.String())
	if by := b.delegation; by != nil {
		s.screen.field("until", by.NotAfter.Local().Format(time.DateTime)+", when this machine's delegation ends")
	}
	s.screen.field("watch", "grapevine watch '"+link.String()+"'")
	s.showPrivate(b)
	s.screen.field("hls", s.hlsURL(link.Stream))
	s.screen.field("rewind", s.dvrURL(link.Stream))
	s.screen.field("page", s.pageURL())
	s.showNetwork()
	s.showGateway()
	s.showEncoders()
	s.showLimits(set)
	s.showRecording(set)
	s.showQR(b.qr, link)
}

// publish hands the input to the swarm until it ends, and tells figures meanwhile.
func (b *broadcast) publish(s *session, in source, casts *casts) error {
	meter := &inputMeter{in: in}
	input := make(chan error, 1)
	s.running.Go(func() {
		input <- in.run(s.ctx, casts)
	})
	var inputErr error
	inputEnded := false
	announced := b.entry.announce(s, casts.key)
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
	endErr := casts.end(endCtx)
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
	<-announced
	s.tellEnds()
	switch {
	case inputEnded && inputErr != nil:
		return inputErr
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
		source = "waiting for " + b.from()
	case in.Gone > 0:
		source = fmt.Sprintf("the encoder is gone, waiting for it %.0f s more", max(0, b.reconnect.Seconds()-in.Gone))
		if in.OnSlate {
			source += ", viewers see the slate"
		}
	}
	if in.Listen != "" && (in.Bytes == 0 || in.Gone > 0) {
		source += " (listening on " + in.Listen + ")"
	}
	var peers []p2p.PeerStats
	for _, sw := range s.node.Swarms() {
		peers = append(peers, sw.Stats().Peers...)
	}
	return joinFacts(
		clock(time.Since(s.started)),
		source,
		countPeers(peers),
		s.audienceFact(),
		s.gatewayFact(),
		"up "+formatRate(st.RateOut)+" ("+formatBytes(st.BytesOut)+")",
		inputLine(in),
	)
}

// from is how lines name all inputs.
func (b *broadcast) from() string {
	var names []string
	for _, in := range b.inputs {
		names = append(names, inputName(in.source))
	}
	return strings.Join(names, ", ")
}

// inputName is how lines name the input.
func inputName(input string) string {
	switch input {
	case "-":
		return "standard input"
	case sampleInput:
		return "the test card"
	}
	return shownInput(input)
}

// shownInput is an input without what is nobody's business.
func shownInput(input string) string {
	if origin.Is(input) {
		return origin.Redact(input)
	}
	return ingest.WithoutSecrets(input)
}

// clock writes a duration as h:mm:ss.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
