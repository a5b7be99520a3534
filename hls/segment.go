package hls

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sort"
	"strconv"
	"strings"

	"github.com/grapevine-live/grapevine/stream"
)

// maxSegmentSize is the largest segment that is served, in bytes: ten seconds at
// 50 Mbit/s. Larger ones count as never whole, so that a broadcaster cannot make its
// viewers pin memory without bound.
const maxSegmentSize = 64 << 20

// body is a segment's bytes, in the chunks that they came in. It is immutable.
type body struct {
	chunks [][]byte
	starts []int64  // offset of each chunk in the segment
	size   int64    // bytes
	etag   string   // the same on every node
	shows  *showing // of a live playlist's pictures; else nil
}

// newBody joins the chunks of a segment's parts, without copying.
func newBody(headers []*stream.SignedHeader, parts [][][]byte) *body {
	b := &body{}
	h := sha256.New()
	for i, part := range parts {
		for _, hash := range headers[i].Chunks { // of what is sealed, those of the sealed bytes
			h.Write(hash[:])
		}
		for _, chunk := range part {
			b.starts = append(b.starts, b.size)
			b.chunks = append(b.chunks, chunk)
			b.size += int64(len(chunk))
		}
	}
	b.etag = `"` + hex.EncodeToString(h.Sum(nil)[:12]) + `"`
	return b
}

// bodyReader reads a body; it is an io.ReadSeeker for http.ServeContent.
type bodyReader struct {
	body *body
	at   int64
}

func (b *body) reader() *bodyReader { return &bodyReader{body: b} }

func (r *bodyReader) Read(p []byte) (int, error) {
	if r.at >= r.body.size {
		return 0, io.EOF
	}
	i := r.body.chunkAt(r.at)
	n := copy(p, r.body.chunks[i][r.at-r.body.starts[i]:])
	r.at += int64(n)
	return n, nil
}

// chunkAt returns the index of the chunk with the byte at an offset, which is within the
// body.
func (b *body) chunkAt(at int64) int {
	return sort.Search(len(b.starts), func(i int) bool { return b.starts[i] > at }) - 1
}

// writeTo writes at most n bytes from where the reader is. On a TCP connection it takes
// one system call for many chunks (writev).
func (r *bodyReader) writeTo(w io.Writer, n int64) (int64, error) {
	end := r.at + min(n, max(0, r.body.size-r.at))
	var buffers net.Buffers
	for at := r.at; at < end; {
		i := r.body.chunkAt(at)
		chunk := r.body.chunks[i][at-r.body.starts[i]:]
		chunk = chunk[:min(int64(len(chunk)), end-at)]
		buffers = append(buffers, chunk)
		at += int64(len(chunk))
	}
	written, err := buffers.WriteTo(w)
	r.at += written
	return written, err
}

var errSeek = errors.New("seek before the start of a segment")

func (r *bodyReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.body.size
	}
	if offset < 0 {
		return 0, errSeek
	}
	r.at = offset
	return offset, nil
}

// assembly gathers the parts of a segment as they become whole, and so pins them:
// a store smaller than a segment would have let the first go when the last comes.
type assembly struct {
	parts [][][]byte // by part number; nil where missing
	size  int64      // bytes gathered
	body  *body      // once whole

	segment stream.Segment // once whole: the timeline may let go of its headers
}

// gather takes what the store has of a segment, and reports whether it is whole.
func (a *assembly) gather(s stream.Segment, store Store) bool {
	if a.body != nil {
		return true
	}
	if s.Size() > maxSegmentSize {
		a.parts, a.size = nil, 0
		return false
	}
	whole := s.Complete
	for _, h := range s.Headers {
		for len(a.parts) <= int(h.Part) {
			a.parts = append(a.parts, nil)
		}
		if a.parts[h.Part] == nil {
			if a.parts[h.Part] = store.Part(h.ID()); a.parts[h.Part] == nil {
				whole = false
			} else {
				a.size += int64(h.Size)
			}
		}
	}
	if whole {
		a.body, a.segment = newBody(s.Headers, a.parts), s
	}
	return whole
}

// segmentName is a segment's file name. It ends in .ts because ffmpeg refuses others.
func segmentName(k key) string {
	return fmt.Sprintf("%d-%d.ts", k.epoch, k.number)
}

// Names of segments of subtitles end so, and of those on fragmented MP4's time line.
const (
	textSuffix   = ".vtt"
	llTextSuffix = ".ll.vtt"
)

// textName is the file name of a segment of subtitles.
func textName(k key) string { return fmt.Sprintf("%d-%d%s", k.epoch, k.number, textSuffix) }

// nameOf is the file name of a segment of a rendition of a kind.
func nameOf(k key, kind stream.Kind) string {
	if kind == stream.KindSubtitles {
		return textName(k)
	}
	return segmentName(k)
}

// parseSegmentName reads what segmentName and textName write, and nothing else: a segment
// has one name only.
func parseSegmentName(name string) (key, bool) {
	stem, ok := strings.CutSuffix(name, ".ts")
	if !ok {
		if stem, ok = strings.CutSuffix(name, textSuffix); !ok {
			return key{}, false
		}
	}
	epoch, number, ok := strings.Cut(stem, "-")
	if !ok {
		return key{}, false
	}
	var k key
	var err1, err2 error
	k.epoch, err1 = strconv.ParseUint(epoch, 10, 64)
	k.number, err2 = strconv.ParseUint(number, 10, 64)
	return k, err1 == nil && err2 == nil && (segmentName(k) == name || textName(k) == name)
}
