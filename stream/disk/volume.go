package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	partsSuffix = ".parts"
	indexSuffix = ".index"
	// maxIndex is how large an index may become before the next volume begins, in bytes. It
	// is read at once when the store is opened.
	maxIndex = 4 << 20
)

// volume is some of a stream's parts, in the order in which they came: the smallest thing
// that is let go. Store.mu guards its sizes.
type volume struct {
	path   string // without a suffix
	number uint64 // the stream's later volumes have larger ones
	parts  int64  // bytes in its files
	index  int64
}

func (v *volume) bytes() int64 { return v.parts + v.index }

func volumeAt(dir string, number uint64) *volume {
	return &volume{path: filepath.Join(dir, fmt.Sprintf("%08d", number)), number: number}
}

// remove removes its files, the index first: parts without an index are found to be of no use.
func (v *volume) remove(fsys files) error {
	for _, suffix := range []string{indexSuffix, partsSuffix} {
		if err := fsys.Remove(v.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// numbers returns the numbers of the volumes in a directory, whole or not. What else is there
// is left alone.
func numbers(dir string) (map[uint64]struct{}, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := make(map[uint64]struct{})
	for _, e := range entries {
		for _, suffix := range []string{partsSuffix, indexSuffix} {
			name, ok := strings.CutSuffix(e.Name(), suffix)
			n, err := strconv.ParseUint(name, 10, 64)
			if ok && err == nil && filepath.Base(volumeAt(dir, n).path) == name {
				out[n] = struct{}{}
			}
		}
	}
	return out, nil
}

// read reads what a volume has; false if it is of no use.
func (v *volume) read() (records []record, damaged int, usable bool, err error) {
	parts, err := os.Stat(v.path + partsSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, false, nil
	} else if err != nil {
		return nil, 0, false, err
	}
	index, err := os.Stat(v.path + indexSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, false, nil
	} else if err != nil {
		return nil, 0, false, err
	}
	v.parts, v.index = parts.Size(), index.Size()
	if v.index > maxIndex+maxRecord {
		return nil, 1, false, nil // nobody wrote that
	}
	raw, err := os.ReadFile(v.path + indexSuffix)
	if err != nil {
		return nil, 0, false, err
	}
	all, damaged := parseIndex(raw)
	for _, r := range all {
		if r.offset+int64(r.size) > v.parts {
			damaged++ // written, and lost with the power
			continue
		}
		records = append(records, r)
	}
	return records, damaged, len(records) > 0, nil
}

// growing is the volume that a stream's parts are written to. Only the writer uses it.
type growing struct {
	*volume
	partsFile, indexFile file
	written              time.Time // last
}

func (v *volume) grow(fsys files) (*growing, error) {
	parts, err := fsys.Create(v.path + partsSuffix)
	if err != nil {
		return nil, err
	}
	index, err := fsys.Create(v.path + indexSuffix)
	if err != nil {
		_ = parts.Close()
		_ = fsys.Remove(v.path + partsSuffix)
		return nil, err
	}
	return &growing{v, parts, index, time.Now()}, nil
}

// add writes a part behind the others, its chunks before its record, so that a record never
// is of what was not written. It changes r, but none of the volume's figures.
func (g *growing) add(r *record, chunks, scratch []byte) error {
	r.offset = g.parts
	if len(chunks) > 0 {
		if _, err := g.partsFile.WriteAt(chunks, g.parts); err != nil {
			return errors.Join(err, g.cut())
		}
	}
	raw := r.append(scratch[:0])
	r.headerAt = g.index + int64(len(raw)-len(r.header))
	if _, err := g.indexFile.WriteAt(raw, g.index); err != nil {
		return errors.Join(err, g.cut())
	}
	return nil
}

// cut removes what a failed write left, which would keep room from others.
func (g *growing) cut() error {
	return errors.Join(g.partsFile.Truncate(g.parts), g.indexFile.Truncate(g.index))
}

// close ends a volume. What it holds outlives a power cut from then on.
func (g *growing) close() error {
	return errors.Join(g.partsFile.Sync(), g.indexFile.Sync(), g.partsFile.Close(), g.indexFile.Close())
}

func recordOf(h *stream.SignedHeader) *record {
	return &record{
		rendition: h.Rendition,
		position:  h.Position,
		last:      h.Last,
		end:       h.End,
		size:      h.Size,
		chunkSize: h.ChunkSize,
		header:    h.Bytes(),
	}
}
