package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/grapevine-live/grapevine/stream/ingest"
	"github.com/grapevine-live/grapevine/stream/ingest/transcode"
)

// openFile has ffmpeg read the input if that is a file of another kind than MPEG-TS, and
// returns what is to be closed then; nil if ingest reads it itself.
func openFile(ctx context.Context, cfg *ingest.Config, encoder string, scr *screen) (*transcode.File, error) {
	if info, err := os.Stat(cfg.Input); cfg.Input == "-" || err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	known, err := isMPEGTS(cfg.Input)
	if err != nil {
		return nil, &inputError{cfg.Input, err}
	}
	if known {
		return nil, nil
	}
	file, err := transcode.OpenFile(ctx, transcode.FileConfig{
		Path:    cfg.Input,
		Loop:    cfg.Loop,
		Segment: cfg.Segment,
		Encoder: encoder,
		Logger:  cfg.Logger,
	})
	if err != nil {
		return nil, &inputError{cfg.Input, err}
	}
	var how []string
	if len(file.Copied) > 0 {
		how = append(how, strings.Join(file.Copied, " and ")+" as it is")
	}
	if len(file.Encoded) > 0 {
		how = append(how, strings.Join(file.Encoded, " and ")+" encoded anew")
	}
	if n := len(file.Subtitles); n > 0 {
		how = append(how, "with "+count(n, "subtitle track"))
	}
	scr.say("ffmpeg reads %s: %s.", cfg.Input, strings.Join(how, ", "))
	if file.LeftOut > 0 {
		scr.say("Left out: %s. Only text is published.", count(file.LeftOut, "subtitle track"))
	}
	cfg.Subtitles = file.Subtitles
	cfg.Input, cfg.Stdin, cfg.Loop = "-", file, false
	return file, nil
}

// isMPEGTS reports whether a file is what ingest reads.
func isMPEGTS(path string) (yes bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("open input: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return ingest.IsMPEGTS(f)
}
