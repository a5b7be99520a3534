package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/grapevine-live/grapevine/hls/fmp4"
)

// maxGap is the longest pause that one MP4 file holds. What comes later goes into the next:
// nobody wants to seek through the night between two shows.
const maxGap = time.Hour

// movie writes a recording's MP4 files, one after the other.
type movie struct {
	dir   string
	files files

	number int // of the last file
	name   string
	file   file // nil before the first segment of a file
	size   int64
	muxer  muxer
	broken bool // the next segment does not continue what was written
}

// movieName returns the name of the nth file, from 1.
func movieName(n int) string {
	if n == 1 {
		return "recording.mp4"
	}
	return fmt.Sprintf("recording-%d.mp4", n)
}

// openMovie goes on behind the files that a directory has. They are never written again:
// one that was cut off stays as it is.
func openMovie(dir string, fs files) *movie {
	m := &movie{dir: dir, files: fs}
	for {
		if _, err := os.Lstat(filepath.Join(dir, movieName(m.number+1))); err != nil {
			return m
		}
		m.number++
	}
}

// add appends a segment. An error that wraps [errRemux] is the segment's fault; others are
// the disk's, and leave the file as it was before.
func (m *movie) add(s shot) error {
	s.discontinuity = s.discontinuity || m.broken
	m.broken = true // unless all goes well
	f, err := m.muxer.add(s)
	if errors.Is(err, errParameters) || errors.Is(err, errGap) {
		if err := m.close(); err != nil {
			return err
		}
		f, err = m.muxer.add(s)
	}
	if err != nil {
		return err
	}
	if err := m.write(append(f.Init, f.Data...)); err != nil {
		return fmt.Errorf("write %s: %w", m.name, err)
	}
	m.broken = false
	return nil
}

// write appends to the file, all or nothing.
func (m *movie) write(data []byte) error {
	if m.file == nil {
		m.name = movieName(m.number + 1)
		f, err := m.files.Create(filepath.Join(m.dir, m.name))
		if err != nil {
			m.muxer = muxer{} // the init is to be written yet
			return err
		}
		m.file, m.size = f, 0
		m.number++
	}
	_, err := m.file.Write(data)
	if err == nil {
		m.size += int64(len(data))
		return nil
	}
	if m.size > 0 && m.file.Truncate(m.size) == nil {
		return err
	}
	// A file without its beginning, or whose end is in the way, is done with.
	_ = m.close()
	if m.size == 0 {
		_ = m.files.Remove(filepath.Join(m.dir, m.name))
		m.number--
	}
	return err
}

// close ends the file. The next segment begins another.
func (m *movie) close() error {
	m.muxer = muxer{}
	if m.file == nil {
		return nil
	}
	f := m.file
	m.file = nil
	return errors.Join(f.Sync(), f.Close())
}

// Reasons for which a segment cannot go into the same file, or into any.
var (
	errParameters = errors.New("codec parameters differ")
	errGap        = errors.New("too long a pause")
	errRemux      = errors.New("segment cannot be remuxed")
)

// shot is a segment to be remuxed.
type shot struct {
	data          []byte
	duration      time.Duration
	programTime   time.Time
	discontinuity bool // it does not continue the one before
}

// muxer makes one MP4 of segments: it begins at zero, and pauses stay as long as they
// were by the broadcaster's clock.
type muxer struct {
	remuxer fmp4.Remuxer
	begun   bool
	began   time.Time     // programme time of the position 0
	at      time.Duration // the end of what was added
}

// add makes the next segment's fragment. Errors wrap [errGap], [errParameters] or
// [errRemux]; after the first two, a new muxer takes the segment.
func (m *muxer) add(s shot) (fmp4.Fragment, error) {
	at := m.at
	if !m.begun {
		m.began = s.programTime
	} else if s.discontinuity {
		at = s.programTime.Sub(m.began)
		if at < m.at { // the clock was set back
			m.began, at = s.programTime.Add(-m.at), m.at
		}
		if at-m.at > maxGap {
			return fmp4.Fragment{}, errGap
		}
	}
	f, err := m.remuxer.Remux(fmp4.Part{
		Data:          s.data,
		Duration:      s.duration,
		StartsSegment: true,
		Independent:   true,
		Discontinuity: s.discontinuity,
		Placed:        true,
		At:            at,
	})
	switch {
	case err != nil:
		return f, fmt.Errorf("%w: %w", errRemux, err)
	case f.Data == nil:
		return f, fmt.Errorf("%w: it has no frames", errRemux)
	case f.Init != nil && m.begun:
		return f, errParameters
	}
	m.begun, m.at = true, at+s.duration
	return f, nil
}
