package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/hls/record"
)

const (
	exportName = "export"
	defaultOut = "export.mp4"
)

func exportCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      exportName,
		Usage:     "cut a range out of a recording, without encoding anything",
		ArgsUsage: "DIR|PLAYLIST",
		Description: "A recording is cut between its segments, outwards: the file begins with the keyframe at or before\n" +
			"--from. TIME is h:mm:ss, mm:ss or 90s in what the playlist plays, or a date and time as in\n" +
			"2030-01-31T20:15:00+01:00, by the broadcaster's clock.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "cut from `TIME` on", DefaultText: "the beginning"},
			&cli.StringFlag{Name: "to", Usage: "cut until `TIME`", DefaultText: "the end"},
			&cli.StringFlag{Name: "out", Usage: "write `FILE`, whose name ends in .mp4 or .ts", Value: defaultOut},
			&cli.BoolFlag{Name: "force", Usage: "replace the file if it is there"},
			&cli.BoolFlag{Name: "json", Usage: "write one JSON object a line, for programs"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return &usageError{"export needs one recording.", "grapevine export DIR --from 00:10:00 --to 00:20:00 --out talk.mp4; DIR is what --record was given"}
			}
			cfg := record.ExportConfig{Out: c.String("out"), Force: c.Bool("force")}
			var err error
			if cfg.From, err = readMoment(c, "from"); err != nil {
				return err
			}
			if cfg.To, err = readMoment(c, "to"); err != nil {
				return err
			}
			return env.do(c, job{run: func(ctx context.Context, _ settings) error {
				return export(ctx, c.Args().First(), cfg, newScreen(env, c.Bool("json")))
			}})
		},
	}
}

func export(ctx context.Context, path string, cfg record.ExportConfig, scr *screen) error {
	var err error
	if cfg.Playlist, err = record.FindPlaylist(path); err != nil {
		return &exportError{path, cfg, err}
	}
	cut, err := record.Cut(ctx, cfg)
	if err != nil {
		return &exportError{path, cfg, err}
	}
	scr.event(exportEvent{
		"export", cfg.Out, cfg.Playlist, cut.From.Seconds(), cut.To.Seconds(),
		moment(cut.Start), moment(cut.End), len(cut.Segments), cut.Breaks(), cut.Bytes, cut.Lost,
	})
	scr.say("Cut %s to %s, %s in %s, into %s (%s).", offset(cut.From), offset(cut.To), offset(cut.To-cut.From), count(len(cut.Segments), "segment"), cfg.Out, formatBytes(cut.Bytes))
	scr.field("clock", moment(cut.Start)+" to "+moment(cut.End))
	if n := cut.Breaks(); n > 0 {
		scr.field("breaks", fmt.Sprintf("%d; pauses of up to an hour stay as long as they were", n))
	}
	if cut.Lost > 0 {
		scr.field("lost", count(cut.Lost, "frame")+" that were damaged, or overlapped at a break")
	}
	return nil
}

// readMoment reads a flag with a TIME.
func readMoment(c *cli.Context, flag string) (record.Moment, error) {
	text := c.String(flag)
	if text == "" && !c.IsSet(flag) {
		return record.Moment{}, nil
	}
	m, ok := parseMoment(text)
	if !ok {
		return m, badFlag(flag, text, "a time looks like 00:10:00, 10:00 or 90s, or like 2030-01-31T20:15:00+01:00")
	}
	return m, nil
}

// maxOffset bounds offsets: more than a year is a typo.
const maxOffset = 10000 * time.Hour

// parseMoment reads a TIME.
func parseMoment(text string) (m record.Moment, ok bool) {
	m.Set = true
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		m.Clock = at
		return m, true
	}
	if d, err := time.ParseDuration(text); err == nil {
		m.Offset = d
		return m, d >= 0 && d <= maxOffset
	}
	var seconds float64
	fields := strings.Split(text, ":")
	if len(fields) > 3 {
		return m, false
	}
	for i, f := range fields {
		v, err := strconv.ParseFloat(f, 64)
		whole := v == math.Trunc(v) || i == len(fields)-1
		if err != nil || !whole || !(v >= 0) || i > 0 && v >= 60 || strings.Trim(f, "0123456789.") != "" {
			return m, false
		}
		seconds = seconds*60 + v
	}
	if seconds > maxOffset.Seconds() {
		return m, false
	}
	m.Offset = time.Duration(math.Round(seconds*1e3)) * time.Millisecond
	return m, true
}

// offset writes a place in a recording as h:mm:ss.mmm.
func offset(d time.Duration) string {
	return fmt.Sprintf("%s.%03d", clock(d), d.Milliseconds()%1000)
}

// moment writes a time for people and programs.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// exportError is about a recording that could not be cut.
type exportError struct {
	path string // as given
	cfg  record.ExportConfig
	err  error
}

func (e *exportError) Error() string { return fmt.Sprintf("export %s: %v", e.path, e.err) }
func (e *exportError) Unwrap() error { return e.err }

func explainExport(e *exportError) (sentence, hint string) {
	var (
		several *record.SeveralError
		bad     *record.RangeError
		codecs  *record.CodecsError
		file    *fs.PathError
	)
	switch {
	case errors.Is(e.err, record.ErrNoRecording):
		return fmt.Sprintf("There is no recording in %s.", e.path), "name the directory that --record was given, or a playlist in it"
	case errors.As(e.err, &several):
		return fmt.Sprintf("There are %d recordings in %s.", len(several.Dirs), e.path), "name one: " + strings.Join(several.Dirs, ", ")
	case errors.Is(e.err, record.ErrDamaged):
		return fmt.Sprintf("%s is no playlist of a recording.", e.cfg.Playlist), "name the directory that --record was given, or the " + record.PlaylistName + " in it"
	case errors.Is(e.err, record.ErrSubtitles):
		return fmt.Sprintf("%s are subtitles, which cannot be cut.", e.cfg.Playlist), "name a recording of video or audio"
	case errors.Is(e.err, record.ErrSuffix):
		return fmt.Sprintf("--out cannot be %q.", e.cfg.Out), "its end tells the format: .mp4 or .ts"
	case errors.As(e.err, &bad):
		return explainRange(bad)
	case errors.As(e.err, &codecs):
		return fmt.Sprintf("The codecs or their parameters change at %s, so this cannot be one file.", offset(codecs.At)),
			"cut what is before and what is after: --to " + offset(codecs.At) + ", and --from " + offset(codecs.At)
	case errors.Is(e.err, fs.ErrExist):
		return fmt.Sprintf("The file %s is there already.", e.cfg.Out), "choose another with --out, or replace it with --force"
	case errors.As(e.err, &file) && errors.Is(e.err, fs.ErrNotExist):
		return fmt.Sprintf("There is no %s.", file.Path), "name the directory that --record was given, or a playlist in it; --out goes into a directory that is there"
	case errors.As(e.err, &file):
		return fmt.Sprintf("The file or directory %s cannot be used: %s.", file.Path, system(file)), ""
	}
	return fmt.Sprintf("The recording %s cannot be cut into %s: %v.", e.path, e.cfg.Out, e.err), ""
}

func explainRange(e *record.RangeError) (sentence, hint string) {
	if e.Reason == record.RangeEmpty {
		return "The recording is empty.", ""
	}
	hint = fmt.Sprintf("the recording plays %s, from %s to %s by the broadcaster's clock", offset(e.Length), moment(e.Start), moment(e.End))
	switch e.Reason {
	case record.RangeReversed:
		return "--to must be after --from.", hint
	case record.RangeFrom:
		return "--from is outside of the recording.", hint
	case record.RangeTo:
		return "--to is outside of the recording.", hint
	}
	return "Nothing was recorded from --from to --to.", hint
}
