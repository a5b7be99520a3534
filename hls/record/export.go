package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/hls/fmp4"
)

// ErrSuffix says that an export's file name tells no format.
var ErrSuffix = errors.New("the name ends in neither .mp4 nor .ts")

// ErrSubtitles says that a recording is of text, which an export cannot hold.
var ErrSubtitles = errors.New("a recording of subtitles")

// CodecsError says that a range cannot be one file, because codecs or their parameters
// change in it.
type CodecsError struct {
	At    time.Duration // in what the playlist plays
	Clock time.Time     // by the broadcaster's clock
}

func (e *CodecsError) Error() string { return fmt.Sprintf("the codecs change at %v", e.At) }

// ExportConfig says what to cut out of a recording.
type ExportConfig struct {
	Playlist string // see [FindPlaylist]
	From, To Moment
	Out      string // ends in .mp4 or .ts
	Force    bool   // replace Out if it is there
}

// Export is what was cut.
type Export struct {
	Range
	Bytes int64 // of the file
	Lost  int   // frames that are left out, damaged or overlapping
}

// Cut writes a range of a recording into one file, without encoding anything. On failure
// there is no file, or still the one from before. Errors wrap [ErrDamaged], [ErrSuffix],
// [ErrSubtitles], *[RangeError], *[CodecsError], fs.ErrExist, others of package os, or ctx's.
func Cut(ctx context.Context, cfg ExportConfig) (*Export, error) {
	var join joint
	switch strings.ToLower(filepath.Ext(cfg.Out)) {
	case ".mp4":
		join = &mp4Joint{}
	case ".ts":
		join = &tsJoint{}
	default:
		return nil, fmt.Errorf("%w: %s", ErrSuffix, cfg.Out)
	}
	list, err := readPlaylist(cfg.Playlist)
	if err != nil {
		return nil, err
	}
	if len(list.Segments) > 0 && strings.HasSuffix(list.Segments[0].Name, ".vtt") {
		return nil, fmt.Errorf("%w: %s", ErrSubtitles, cfg.Playlist)
	}
	cut, err := selectRange(list, cfg.From, cfg.To)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(cfg.Out); err == nil && !cfg.Force {
		return nil, &fs.PathError{Op: "create", Path: cfg.Out, Err: fs.ErrExist}
	}
	out := &Export{Range: *cut}
	err = writeExport(cfg.Out, func(w io.Writer) error {
		return out.join(ctx, filepath.Dir(cfg.Playlist), join, w)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// writeExport writes a file by way of a temporary one beside it.
func writeExport(path string, write func(io.Writer) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".export-*")
	if err != nil {
		var why *fs.PathError
		if errors.As(err, &why) {
			err = &fs.PathError{Op: "create a file in", Path: dir, Err: why.Err}
		}
		return err
	}
	defer os.Remove(f.Name()) // gone already if it was renamed
	err = write(f)
	if err == nil {
		err = f.Chmod(fileMode)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// join writes the range's segments one after the other.
func (e *Export) join(ctx context.Context, dir string, join joint, w io.Writer) error {
	at := e.From
	for i, s := range e.Segments {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, s.Name))
		if err != nil {
			return err
		}
		out, lost, err := join.add(shot{data, s.Duration, s.ProgramTime, i > 0 && s.Discontinuity})
		if errors.Is(err, errParameters) {
			return &CodecsError{at, s.ProgramTime}
		}
		if err != nil {
			return fmt.Errorf("segment %s: %w", s.Name, err)
		}
		if _, err := w.Write(out); err != nil {
			return err
		}
		e.Bytes += int64(len(out))
		e.Lost += lost
		at += s.Duration
	}
	return nil
}

// joint makes one file of segments, in one of the formats.
type joint interface {
	// add returns the bytes to append for s, and how many frames are left out. Errors
	// wrap errParameters where s does not fit in.
	add(s shot) (data []byte, lost int, err error)
}

type mp4Joint struct{ muxer muxer }

func (j *mp4Joint) add(s shot) ([]byte, int, error) {
	f, err := j.muxer.add(s)
	if errors.Is(err, errGap) {
		j.muxer.clock.closeGap(s)
		f, err = j.muxer.add(s)
	}
	return slices.Concat(f.Init, f.Events, f.Data), f.Lost, err
}

type tsJoint struct {
	joiner joiner
	init   []byte // of the first segment: MPEG-TS needs none, but it tells what decoders will meet
}

func (j *tsJoint) add(s shot) ([]byte, int, error) {
	if j.init == nil || s.discontinuity {
		var r fmp4.Remuxer
		f, err := r.Remux(fmp4.Part{Data: s.data, StartsSegment: true, Independent: true})
		if err != nil {
			return nil, 0, err
		}
		if j.init != nil && !bytes.Equal(f.Init, j.init) {
			return nil, 0, errParameters
		}
		j.init = f.Init
	}
	data, err := j.joiner.add(s)
	if errors.Is(err, errGap) {
		j.joiner.clock.closeGap(s)
		data, err = j.joiner.add(s)
	}
	return data, 0, err
}
