package record

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/stream"
)

// directory is the files of one rendition's recording.
type directory struct {
	dir   string
	files files
	list  *hls.MediaPlaylist
	total time.Duration // of list
	movie *movie
}

// openDirectory makes the directory or goes on with what it has, and returns how many
// listed segments are gone from it.
func openDirectory(dir string, fs files) (d *directory, gone int, err error) {
	if err := fs.MkdirAll(dir); err != nil {
		return nil, 0, err
	}
	list, gone, err := resumed(dir)
	if err != nil {
		return nil, 0, err
	}
	m, err := openMovie(dir, fs)
	if err != nil {
		return nil, 0, err
	}
	return &directory{dir: dir, files: fs, list: list, total: length(list), movie: m}, gone, nil
}

// last returns the segment that was listed last.
func (d *directory) last() (hls.SegmentID, bool) {
	n := len(d.list.Segments)
	if n == 0 {
		return hls.SegmentID{}, false
	}
	return hls.ParseSegmentName(d.list.Segments[n-1].Name)
}

// add writes a segment: its file, then its fragment, then the playlist, so that whatever
// is listed is there. An error that wraps [errRemux] says that all but the fragment is
// written; after others the segment is not listed.
func (d *directory) add(s hls.Segment) error {
	data := s.Bytes()
	path := filepath.Join(d.dir, s.Name)
	if err := replace(d.files, path, data); err != nil {
		return err
	}
	var movieErr error
	if s.Media.Kind != stream.KindSubtitles { // text is in the playlist alone
		movieErr = d.movie.add(shot{data, s.Duration, s.ProgramTime, s.Discontinuity})
	}
	if movieErr != nil && !errors.Is(movieErr, errRemux) {
		_ = d.files.Remove(path) // not listed, it would only take room
		return movieErr
	}
	before := *d.list
	entry := s.PlaylistSegment
	if len(before.Segments) == 0 {
		entry.Discontinuity = false // nothing is before it
	}
	d.list.Segments = append(d.list.Segments, entry)
	d.list.Target = max(before.Target, s.Target)
	d.list.Type, d.list.Ended = hls.TypeEvent, false
	if err := d.writeList(); err != nil {
		*d.list = before
		if movieErr == nil {
			d.movie.undo()
		}
		_ = d.files.Remove(path)
		return err
	}
	d.total += s.Duration
	return movieErr
}

// end closes the playlist, until a segment follows.
func (d *directory) end() error {
	if len(d.list.Segments) == 0 {
		return nil
	}
	d.list.Type, d.list.Ended = hls.TypeVOD, true
	return d.writeList()
}

// close ends the recording.
func (d *directory) close() error { return errors.Join(d.movie.close(), d.end()) }

func (d *directory) writeList() error {
	text, err := d.list.Render()
	if err != nil {
		return fmt.Errorf("render playlist: %w", err)
	}
	return replace(d.files, filepath.Join(d.dir, PlaylistName), text)
}
