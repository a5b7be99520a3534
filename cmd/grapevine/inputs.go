package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
	"github.com/grapevine-live/grapevine/stream/ingest/transcode"
)

// rendition is the name of what broadcast publishes of a single input.
const rendition = "main"

// maxInputs bounds what one stream is made of.
const maxInputs = 8

// namedInput is one --input.
type namedInput struct {
	name   string // of the rendition that it becomes; "" if its height names it
	source string
}

// readInputs reads what --input was given: SOURCE or NAME=SOURCE.
func readInputs(values []string) ([]namedInput, error) {
	var list []namedInput
	seen := make(map[string]bool)
	for _, value := range values {
		in := namedInput{source: value}
		if name, source, found := strings.Cut(value, "="); found && stream.ValidRendition(name) && !exists(value) {
			in = namedInput{name, source}
		}
		if seen[in.source] {
			return nil, &usageError{"The --input " + in.source + " is named twice.", "each is read once"}
		}
		if in.name != "" && seen[in.name+"="] {
			return nil, &usageError{"Two inputs are named " + in.name + ".", "each rendition has a name of its own"}
		}
		seen[in.source], seen[in.name+"="] = true, true
		list = append(list, in)
	}
	if len(list) > maxInputs {
		return nil, &usageError{fmt.Sprintf("%d inputs are more than %d.", len(list), maxInputs), "leave some out"}
	}
	if len(list) == 1 && list[0].name == "" {
		list[0].name = rendition
	}
	return list, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// inputs are published as they come, each as one rendition.
type inputs struct {
	list   []*oneInput
	screen *screen
}

type oneInput struct {
	namedInput
	in   *ingest.Ingest
	open furtherOpener
	log  *slog.Logger

	mu        sync.Mutex // guards all following
	published string     // the rendition that it has become
}

func openInputs(names []namedInput, configs []ingest.Config, scr *screen) (source, error) {
	s := &inputs{screen: scr}
	base := ingest.NewSharedBase(len(configs))
	for n, cfg := range configs {
		if len(configs) > 1 {
			cfg.Base = base
			cfg.Logger = cfg.Logger.With("input", names[n].source)
		}
		one := &oneInput{namedInput: names[n], log: cfg.Logger}
		cfg.Further = one.open.further
		var err error
		if one.in, err = ingest.New(cfg); err != nil {
			return nil, err
		}
		s.list = append(s.list, one)
	}
	return s, nil
}

func (s *inputs) run(ctx context.Context, casts *casts) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type end struct {
		of  *oneInput
		err error
	}
	ended := make(chan end, len(s.list))
	for _, i := range s.list {
		go func() { ended <- end{i, i.run(ctx, casts)} }()
	}
	var first error
	var ending sync.WaitGroup
	defer ending.Wait()
	for n := range s.list {
		e := <-ended
		switch {
		case e.err != nil && first == nil:
			first = e.err
			cancel()
		case e.err == nil && n < len(s.list)-1:
			s.screen.say("%s has ended, and with it rendition %s; the others go on.", capital(inputName(e.of.source)), e.of.rendition())
			ending.Go(func() { s.end(ctx, e.of, casts) })
		}
	}
	return first
}

// end tells viewers that an input's renditions have ended, so that they play another.
func (s *inputs) end(ctx context.Context, of *oneInput, casts *casts) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endGrace)
	defer cancel()
	if err := casts.endOf(ctx, append([]string{of.rendition()}, of.open.opened...)); err != nil {
		of.log.Warn("the end of an input is not published", "err", err)
	}
}

// rendition returns what the input has become, "" if nothing yet.
func (i *oneInput) rendition() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.published
}

// run publishes an input as the rendition of its name, or of its height.
func (i *oneInput) run(ctx context.Context, casts *casts) error {
	i.open.begin(ctx, casts)
	var publish func(stream.Part) error
	begin := func(name string) (err error) {
		i.mu.Lock()
		i.published = name
		i.mu.Unlock()
		publish, err = casts.publisher(ctx, name)
		return err
	}
	if i.name != "" {
		if err := begin(i.name); err != nil {
			return err
		}
	}
	err := i.in.Run(ctx, func(p stream.Part) error {
		switch {
		case publish != nil:
		case p.Media.Height == 0:
			return &unnamedError{i.source}
		default:
			if err := begin(transcode.Name(p.Media.Height)); err != nil {
				return err
			}
		}
		return publish(p)
	})
	var twice *sameRenditionError
	var unnamed *unnamedError
	if err == nil || errors.As(err, &twice) || errors.As(err, &unnamed) {
		return err
	}
	return &inputError{shownInput(i.source), err}
}

func (s *inputs) stats() *inputStats {
	out := new(inputStats)
	for _, i := range s.list {
		st := i.in.Stats()
		addInput(out, st)
		if len(s.list) > 1 {
			out.Inputs = append(out.Inputs, oneInputStats{Rendition: i.rendition(), Source: shownInput(i.source), Bytes: int64(st.Bytes), Listen: st.Listen, Misaligned: st.Misaligned})
		}
	}
	return out
}

// addInput adds the figures of an input.
func addInput(s *inputStats, st ingest.Stats) {
	s.Bytes += int64(st.Bytes)
	s.Breaks += st.Breaks
	s.Refused += st.Strangers
	s.LeftOut += st.LeftOut
	s.LostRTP += st.LostRTP
	for _, d := range st.Data {
		s.Messages += d.Messages
	}
	s.MessagesLost += st.DamagedMessages + st.LeftOutMessages
	s.AudioAbsent += st.AbsentSegments
	s.CuesLost += st.LostCues
	s.Slate += st.Slate.Seconds()
	s.OnSlate = s.OnSlate || st.OnSlate
	if !st.Gone.IsZero() {
		s.Gone = max(s.Gone, time.Since(st.Gone).Seconds())
	}
	if s.Listen != "" && st.Listen != "" {
		s.Listen += ", "
	}
	s.Listen += st.Listen
}

// inputLine is what there is to say of inputs that do not fit together, "" if all is well.
func inputLine(s *inputStats) string {
	var facts []string
	for _, i := range s.Inputs {
		switch {
		case i.Bytes == 0 && s.Bytes > 0: // else it is all that is said
			facts = append(facts, "waiting for "+inputName(i.Source))
		case i.Misaligned > 0:
			facts = append(facts, fmt.Sprintf("%s lacks %s of the others", i.Rendition, count(int(i.Misaligned), "keyframe")))
		}
	}
	if s.AudioAbsent > 0 {
		facts = append(facts, "further audio was silent for "+count(int(s.AudioAbsent), "segment"))
	}
	if s.CuesLost > 0 {
		facts = append(facts, count(int(s.CuesLost), "subtitle")+" came too late")
	}
	return joinFacts(append(facts, encodingLine(s.Encoding), originLine(s.Origin))...)
}
