package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// movie writes a recording's MP4 files, one after the other.
type movie struct {
	dir   string
	files files

	number int // of the last file
	name   string
	file   file // nil before the first segment of a file
	size   int64
	before int64 // size before the last segment was added
	muxer  muxer
	lost   int  // frames that were left out: damaged, or overlapping at a break
	broken bool // the next segment does not continue what was written
}

// movieName returns the name of the nth file, from 1.
func movieName(n int) string {
	if n == 1 {
		return "recording.mp4"
	}
	return fmt.Sprintf("recording-%d.mp4", n)
}

// movieNumber reads what movieName writes; 0 is no file of a recording.
func movieNumber(name string) int {
	if name == movieName(1) {
		return 1
	}
	var n int
	if _, err := fmt.Sscanf(name, "recording-%d.mp4", &n); err != nil || movieName(n) != name {
		return 0
	}
	return n
}

// openMovie goes on behind the last of the files that a directory has, which may not have
// all. They are never written again: one that was cut off stays as it is.
func openMovie(dir string, fs files) (*movie, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	m := &movie{dir: dir, files: fs}
	for _, e := range entries {
		m.number = max(m.number, movieNumber(e.Name()))
	}
	return m, nil
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
	if err := m.write(slices.Concat(f.Init, f.Events, f.Data)); err != nil {
		return err // it names the file
	}
	m.lost += f.Lost
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
	m.before = m.size
	_, err := m.file.Write(data)
	if err != nil {
		m.undo()
		return err
	}
	m.size += int64(len(data))
	return nil
}

// undo takes back what was added last, as far as the disk lets it.
func (m *movie) undo() {
	m.broken = true
	if m.file == nil {
		return
	}
	if m.before > 0 && m.file.Truncate(m.before) == nil {
		m.size = m.before
		return
	}
	// A file without its beginning, or whose end is in the way, is done with.
	_ = m.close()
	if m.before == 0 && m.files.Remove(filepath.Join(m.dir, m.name)) == nil {
		m.number--
	}
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
