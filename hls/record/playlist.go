package record

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/grafov/m3u8"

	"github.com/grapevine-live/grapevine/hls"
)

// PlaylistName is the file name of a recording's playlist.
const PlaylistName = "index.m3u8"

// ErrDamaged says that a file is no playlist of a recording.
var ErrDamaged = errors.New("this is no playlist of a recording")

// readPlaylist reads a recording's playlist. Errors wrap those of package os, or
// [ErrDamaged].
func readPlaylist(path string) (*hls.MediaPlaylist, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	parsed, kind, err := m3u8.DecodeFrom(f, true)
	if err != nil || kind != m3u8.MEDIA {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, path)
	}
	p := parsed.(*m3u8.MediaPlaylist)
	list := &hls.MediaPlaylist{
		Type:          hls.TypeEvent,
		Target:        int(math.Ceil(p.TargetDuration)),
		Sequence:      p.SeqNo,
		Discontinuity: p.DiscontinuitySeq,
		Ended:         p.Closed,
	}
	for _, s := range p.Segments {
		if s == nil {
			break // the library's list is longer than what it holds
		}
		if _, ok := hls.ParseSegmentName(s.URI); !ok || !(s.Duration >= 0 && s.Duration < maxEntry.Seconds()) {
			return nil, fmt.Errorf("%w: %s lists %q of %v s", ErrDamaged, path, s.URI, s.Duration)
		}
		list.Segments = append(list.Segments, hls.PlaylistSegment{
			Name:          s.URI,
			Duration:      time.Duration(math.Round(s.Duration*1e3)) * time.Millisecond,
			ProgramTime:   s.ProgramDateTime,
			Discontinuity: s.Discontinuity,
		})
	}
	return list, nil
}

// maxEntry bounds what a playlist may say that a segment lasts: 1024 parts of a minute.
const maxEntry = 1024 * time.Minute

// resumed returns the playlist that a directory has, without the segments whose files
// are gone or empty, and how many these are; a new one if there is none.
func resumed(dir string) (list *hls.MediaPlaylist, gone int, err error) {
	list, err = readPlaylist(filepath.Join(dir, PlaylistName))
	if errors.Is(err, fs.ErrNotExist) {
		return &hls.MediaPlaylist{Type: hls.TypeEvent}, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	kept := list.Segments[:0]
	broken := false
	for _, s := range list.Segments {
		info, err := os.Stat(filepath.Join(dir, s.Name))
		if err != nil || info.Size() == 0 {
			gone++
			if broken = true; len(kept) == 0 {
				// Numbers stay with their segments (RFC 8216, section 6.2.2).
				list.Sequence++
				if s.Discontinuity {
					list.Discontinuity++
				}
			}
			continue
		}
		s.Discontinuity = s.Discontinuity || broken && len(kept) > 0
		broken = false
		kept = append(kept, s)
	}
	list.Segments = kept
	return list, gone, nil
}

// length is how long a playlist plays.
func length(list *hls.MediaPlaylist) time.Duration {
	var d time.Duration
	for _, s := range list.Segments {
		d += s.Duration
	}
	return d
}
