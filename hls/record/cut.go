package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/grapevine-live/grapevine/hls"
)

var (
	// ErrNoRecording says that a directory has no recording in it.
	ErrNoRecording = errors.New("there is no recording")
	// ErrRange wraps a range that a recording does not have.
	ErrRange = errors.New("out of range")
)

// SeveralError says that a directory has more than one recording in it.
type SeveralError struct{ Dirs []string }

func (e *SeveralError) Error() string {
	return fmt.Sprintf("%d recordings, of which %s is the first", len(e.Dirs), e.Dirs[0])
}

// FindPlaylist returns the playlist of the recording at path: a playlist, its directory,
// or one above that has one recording in it. Errors wrap [ErrNoRecording], *[SeveralError]
// or those of package os.
func FindPlaylist(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return path, nil
	}
	for _, below := range []string{"", "*", "*/*"} {
		// Names have no meta characters but those of path itself.
		found, err := fs.Glob(os.DirFS(path), filepath.ToSlash(filepath.Join(below, PlaylistName)))
		if err != nil {
			return "", err
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return filepath.Join(path, filepath.FromSlash(found[0])), nil
		}
		several := &SeveralError{}
		for _, f := range found {
			several.Dirs = append(several.Dirs, filepath.Join(path, filepath.Dir(filepath.FromSlash(f))))
		}
		return "", several
	}
	return "", fmt.Errorf("%w in %s", ErrNoRecording, path)
}

// Moment is a place in a recording.
type Moment struct {
	Set    bool          // else it is the recording's beginning or end
	Offset time.Duration // in what the playlist plays: pauses do not count
	Clock  time.Time     // by the broadcaster's clock; takes the place of Offset unless zero
}

// Range is consecutive segments of a recording.
type Range struct {
	From, To   time.Duration // in what the playlist plays
	Start, End time.Time     // by the broadcaster's clock
	Segments   []hls.PlaylistSegment
}

// Breaks returns how many discontinuities are within the range.
func (r *Range) Breaks() int {
	n := 0
	for i, s := range r.Segments {
		if i > 0 && s.Discontinuity {
			n++
		}
	}
	return n
}

// RangeError is a range that a recording does not have. It wraps [ErrRange].
type RangeError struct {
	Reason RangeReason
	Length time.Duration // of the recording
	Start  time.Time     // of it, by the broadcaster's clock
	End    time.Time
}

// RangeReason is what is wrong with a range.
type RangeReason int

const (
	RangeEmpty    RangeReason = iota // the recording has no segments
	RangeReversed                    // it does not end after its beginning
	RangeFrom                        // it begins outside of the recording
	RangeTo                          // it ends outside of the recording
	RangePause                       // it holds nothing: a pause, or an end before the beginning
)

func (e *RangeError) Error() string { return fmt.Sprintf("%v: reason %d", ErrRange, e.Reason) }
func (e *RangeError) Unwrap() error { return ErrRange }

// selectRange returns the segments that play from one moment to another. It begins with
// the segment, and so the keyframe, that holds the first, and ends with the one that
// holds the second. Errors are *[RangeError].
func selectRange(list *hls.MediaPlaylist, from, to Moment) (*Range, error) {
	n := len(list.Segments)
	if n == 0 {
		return nil, &RangeError{Reason: RangeEmpty}
	}
	starts := make([]time.Duration, n+1)
	for i, s := range list.Segments {
		starts[i+1] = starts[i] + s.Duration
	}
	last := list.Segments[n-1]
	bad := func(r RangeReason) (*Range, error) {
		return nil, &RangeError{
			Reason: r, Length: starts[n],
			Start: list.Segments[0].ProgramTime, End: last.ProgramTime.Add(last.Duration),
		}
	}
	if from.Set && to.Set && from.Clock.IsZero() == to.Clock.IsZero() && !from.before(to.Offset, to.Clock) {
		return bad(RangeReversed)
	}
	i, j := 0, n // [i, j)
	if from.Set {
		for i < n && !from.before(starts[i+1], list.Segments[i].ProgramTime.Add(list.Segments[i].Duration)) {
			i++
		}
		if i == n || from.before(0, list.Segments[0].ProgramTime) {
			return bad(RangeFrom)
		}
	}
	if to.Set {
		for j > 0 && !to.after(starts[j-1], list.Segments[j-1].ProgramTime) {
			j--
		}
		if j == 0 || to.after(starts[n], last.ProgramTime.Add(last.Duration)) {
			return bad(RangeTo)
		}
	}
	if i >= j {
		return bad(RangePause)
	}
	segments := list.Segments[i:j]
	end := segments[len(segments)-1]
	return &Range{
		From: starts[i], To: starts[j],
		Start: segments[0].ProgramTime, End: end.ProgramTime.Add(end.Duration),
		Segments: segments,
	}, nil
}

// before and after compare a moment with a place in the recording.
func (m Moment) before(offset time.Duration, clock time.Time) bool {
	if !m.Clock.IsZero() {
		return m.Clock.Before(clock)
	}
	return m.Offset < offset
}

func (m Moment) after(offset time.Duration, clock time.Time) bool {
	if !m.Clock.IsZero() {
		return m.Clock.After(clock)
	}
	return m.Offset > offset
}
