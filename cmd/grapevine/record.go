package main

import (
	"context"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/hls/record"
)

func recordFlag() cli.Flag {
	return &cli.StringFlag{Name: "record", Usage: "write what plays into `DIR`: a playlist with its segments, and MP4"}
}

// openRecorder opens the directory of --record; without the flag there is no recorder.
func openRecorder(dir string, scr *screen, log *slog.Logger) (*record.Recorder, error) {
	if dir == "" {
		return nil, nil
	}
	r, err := record.Open(record.Config{
		Dir: dir,
		Changed: func(st hls.RecordingStatus) {
			scr.event(recordingEvent{"recording", st.Stream.String(), st.Rendition, st.Dir, st.State, st.Error})
		},
		Logger: log,
	})
	if err != nil {
		return nil, &recordError{dir, err}
	}
	return r, nil
}

// closeRecorder lets other nodes into the directory.
func closeRecorder(r *record.Recorder) error {
	if r == nil {
		return nil
	}
	return r.Close()
}

// recordNode records what a node carries until ctx ends.
func recordNode(ctx context.Context, r *record.Recorder, node record.Node) error {
	if r == nil {
		return nil
	}
	return r.Run(ctx, node)
}

// showRecording says where recordings go.
func (s *session) showRecording(set settings) {
	if set.record != "" {
		s.screen.field("record", set.record)
	}
}
