package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/stream/ingest"
	"github.com/grapevine-live/grapevine/stream/ingest/transcode"
)

// autoSlate is the --slate that nobody has to make.
const autoSlate = "auto"

func slateFlag() cli.Flag {
	return &cli.StringFlag{Name: "slate", Usage: "show the image or video `FILE`, or " + autoSlate + " for a line of text, while --reconnect waits for an encoder; made with ffmpeg"}
}

// checkSlate refuses a slate that would never be shown.
func (b *broadcast) checkSlate() error {
	const without = "leave --slate out"
	var names []string
	awaits := false
	for _, in := range b.inputs {
		names = append(names, shownInput(in.source))
		awaits = awaits || ingest.Reconnects(in.source)
	}
	switch {
	case b.slate == "":
		return nil
	case !awaits:
		return &usageError{"--slate is shown while an encoder is awaited, and --input " + strings.Join(names, ", ") + " awaits none.", without + ", or listen for an encoder, such as with --input rtmp://127.0.0.1:1935/live"}
	case b.reconnect == 0:
		return &usageError{"--slate is shown while an encoder is awaited, and with --reconnect 0 none is.", without + ", or give --reconnect a time"}
	}
	return nil
}

// openSlate finds what makes the slate, if there is to be one.
func (b *broadcast) openSlate(ctx context.Context) error {
	if b.slate == "" {
		return nil
	}
	cfg := transcode.SlateConfig{File: b.slate, Logger: b.ingest.Logger}
	if b.slate == autoSlate {
		cfg.File = ""
	}
	s, err := transcode.OpenSlate(ctx, cfg)
	if err != nil {
		return &slateError{b.slate, err}
	}
	b.makeSlate = s.Make
	return nil
}

// slateError is about --slate.
type slateError struct {
	file string
	err  error
}

func (e *slateError) Error() string { return fmt.Sprintf("slate %s: %v", e.file, e.err) }
func (e *slateError) Unwrap() error { return e.err }

func explainSlate(e *slateError) (sentence, hint string) {
	const (
		without = "leave --slate out"
		takes   = "--slate takes an image, a video, or " + autoSlate
	)
	var (
		version *transcode.VersionError
		encoder *transcode.EncoderError
	)
	switch {
	case errors.Is(e.err, fs.ErrNotExist):
		return fmt.Sprintf("There is no file %s for --slate.", e.file), takes
	case errors.Is(e.err, fs.ErrPermission):
		return fmt.Sprintf("You may not read %s, which --slate names.", e.file), "check who owns the file and its mode"
	case errors.Is(e.err, syscall.EISDIR):
		return fmt.Sprintf("%s, which --slate names, is a directory.", e.file), takes
	case errors.Is(e.err, transcode.ErrNoFFmpeg):
		return "--slate needs ffmpeg and ffprobe, which are not both installed here.", "install them (https://ffmpeg.org/download.html), or " + without
	case errors.As(e.err, &version):
		return fmt.Sprintf("The ffmpeg at %s is too old for --slate: it is %s.", version.Path, version.Version), "install 5.1 or newer, or " + without
	case errors.Is(e.err, transcode.ErrUnreadable):
		return fmt.Sprintf("The file %s is no picture that ffmpeg can show.", e.file), takes
	case errors.As(e.err, &encoder):
		return fmt.Sprintf("--slate needs ffmpeg's encoder %s, which does not work here: %v.", encoder.Name, encoder.Err), "install an ffmpeg with " + encoder.Name + ", or " + without
	}
	return fmt.Sprintf("The slate %s failed: %s.", e.file, system(e.err)), without
}
