package stream

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// Bounds of a header. They keep what a peer can make a node allocate small, and a
// part's chunks within one bitmap of 64 bytes.
const (
	MinChunkSize       = 1 << 10                   // bytes of every chunk but a part's last
	MaxChunkSize       = 32 << 10                  // bytes of every chunk
	MaxChunks          = 512                       // chunks in a part
	MaxPartSize        = MaxChunks * MaxChunkSize  // bytes in a part: 16 MiB
	MaxPartsPerSegment = 1024                      // parts in a segment
	MaxPartDuration    = time.Minute               // a part is a slice of a segment
	MaxRenditionName   = 32                        // bytes
	maxProgramTime     = 253402300799999999        // microseconds: the end of the year 9999, ISO 8601's last
	maxCodecs          = 128                       // bytes of Media.Codecs
	maxLanguage        = 35                        // bytes of Media.Language (RFC 5646, section 4.4.1)
	maxMediaName       = 64                        // bytes of Media.Name
	maxDimension       = 1 << 16                   // pixels
	maxFrameRate       = 1000 * 1000               // thousandths of frames per second
	MaxHeaderSize      = MaxChunks*HashSize + 1024 // bytes of a serialised SignedHeader
)

// Position orders the parts of a rendition.
type Position struct {
	Epoch   uint64 // one run of the broadcaster
	Segment uint64 // from 0 in each epoch
	Part    uint32 // from 0 in each segment
}

// Compare orders by epoch, then segment, then part.
func (p Position) Compare(o Position) int {
	return cmp.Or(cmp.Compare(p.Epoch, o.Epoch), cmp.Compare(p.Segment, o.Segment), cmp.Compare(p.Part, o.Part))
}

// String writes epoch/segment/part.
func (p Position) String() string { return fmt.Sprintf("%d/%d/%d", p.Epoch, p.Segment, p.Part) }

// PartID names one part of one rendition of one stream. It is comparable.
type PartID struct {
	Stream    ID
	Rendition string
	Position
}

// Header describes one part.
type Header struct {
	Stream    ID
	Rendition string // [a-z0-9-]{1,32}
	Position

	Independent   bool // starts with a keyframe, or is audio only
	Last          bool // the last part of its segment
	Discontinuity bool // timestamps, codecs, size or tracks break before it; first parts only
	End           bool // the stream has ended: no chunks, and nothing follows in this epoch

	Duration    time.Duration // whole microseconds
	ProgramTime time.Time     // of the first frame, by the broadcaster's clock; whole microseconds
	Size        int           // bytes
	ChunkSize   int           // bytes of every chunk but the last, see [Header.ChunkLen]; 0 at the end
	Chunks      []Hash        // of each chunk, in order
	Media       *Media        // on the first part of each segment, else nil
	Period      uint64        // whose key opens it, if it is sealed; 0 if it is plain
}

// ID names the part that the header describes.
func (h *Header) ID() PartID { return PartID{h.Stream, h.Rendition, h.Position} }

// ChunkLen returns the bytes of chunk i, which must be one of the part's.
func (h *Header) ChunkLen(i int) int {
	if i == len(h.Chunks)-1 {
		return h.Size - i*h.ChunkSize
	}
	return h.ChunkSize
}

// Follows reports whether h is the part that comes directly after prev.
func (h *Header) Follows(prev *Header) bool {
	switch {
	case h.Epoch != prev.Epoch || prev.End:
		return false
	case prev.Last:
		return h.Segment == prev.Segment+1 && h.Part == 0
	default:
		return h.Segment == prev.Segment && h.Part == prev.Part+1
	}
}

// ErrMalformed is wrapped by errors about bytes that are no header.
var ErrMalformed = errors.New("malformed header")

// ValidRendition reports whether name may name a rendition: [a-z0-9-]{1,32}.
func ValidRendition(name string) bool {
	if len(name) == 0 || len(name) > MaxRenditionName {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// validate checks what every header must obey, whether read or about to be signed.
func (h *Header) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
	switch {
	case !ValidRendition(h.Rendition):
		return bad("rendition %q", h.Rendition)
	case h.Part >= MaxPartsPerSegment:
		return bad("part %d of a segment", h.Part)
	case h.Segment > math.MaxInt64:
		return bad("segment %d", h.Segment)
	case h.Duration < 0 || h.Duration > MaxPartDuration:
		return bad("duration %v", h.Duration)
	case h.ProgramTime.Unix() < 0 || h.ProgramTime.Unix() > maxProgramTime/1_000_000:
		return bad("programme time %v", h.ProgramTime)
	case h.Size < 0 || h.Size > MaxPartSize:
		return bad("size %d", h.Size)
	case h.End && (h.Size != 0 || h.ChunkSize != 0 || len(h.Chunks) != 0 || h.Part != 0 || h.Last || h.Media != nil):
		return bad("an end with content")
	case !h.End && h.Size == 0:
		return bad("no content")
	case h.Period != 0 && h.Size < SealOverhead:
		return bad("%d bytes of a sealed part", h.Size)
	case !h.End && !validChunkSize(h.ChunkSize):
		return bad("chunks of %d bytes", h.ChunkSize)
	case !h.End && len(h.Chunks) != (h.Size+h.ChunkSize-1)/h.ChunkSize:
		return bad("%d chunks of %d bytes for %d bytes", len(h.Chunks), h.ChunkSize, h.Size)
	case len(h.Chunks) > MaxChunks:
		return bad("%d chunks", len(h.Chunks))
	case h.Part != 0 && (h.Discontinuity || h.Media != nil):
		return bad("a segment's description on part %d", h.Part)
	case h.Part == 0 && !h.End && h.Media == nil:
		return bad("a segment without its description")
	}
	if m := h.Media; m != nil {
		if len(m.Codecs) > maxCodecs || !printable(m.Codecs) {
			return bad("codecs %q", m.Codecs)
		}
		if m.Width < 0 || m.Width > maxDimension || m.Height < 0 || m.Height > maxDimension ||
			m.FrameRate < 0 || m.FrameRate > maxFrameRate/1000 || math.IsNaN(m.FrameRate) {
			return bad("picture of %dx%d at %v", m.Width, m.Height, m.FrameRate)
		}
		if !validLanguage(m.Language) {
			return bad("language %q", m.Language)
		}
		if !validMediaName(m.Name) {
			return bad("name %q", m.Name)
		}
	}
	return nil
}

// validChunkSize reports whether n is a power of two within the bounds.
func validChunkSize(n int) bool {
	return n >= MinChunkSize && n <= MaxChunkSize && n&(n-1) == 0
}

// printable keeps what goes into a playlist's quoted string within what one allows
// (RFC 8216, section 4.2), and players' parsers out of trouble.
func printable(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// validLanguage reports whether s could be a language tag: subtags are not looked up.
func validLanguage(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(s) <= maxLanguage
}

// validMediaName reports whether a name can be shown, and quoted in a playlist as it is.
func validMediaName(s string) bool {
	for _, c := range s {
		if !unicode.IsPrint(c) || c == '"' || c == '\\' {
			return false
		}
	}
	return len(s) <= maxMediaName && utf8.ValidString(s)
}

const (
	flagIndependent = 1 << iota
	flagLast
	flagDiscontinuity
	flagEnd
)

// Field numbers of message Header and message Media, see the package's documentation.
const (
	fieldEpoch = iota + 1
	fieldRendition
	fieldSegment
	fieldPart
	fieldFlags
	fieldDuration
	fieldProgramTime
	fieldSize
	fieldChunkSize
	fieldChunks
	fieldMedia
	fieldPeriod

	fieldCodecs    = 1
	fieldWidth     = 2
	fieldHeight    = 3
	fieldFrameRate = 4
	fieldKind      = 5
	fieldLanguage  = 6
	fieldName      = 7
	fieldDefault   = 8
)

// marshal serialises a valid header, without its stream.
func (h *Header) marshal() []byte {
	var flags uint64
	for i, set := range []bool{h.Independent, h.Last, h.Discontinuity, h.End} {
		if set {
			flags |= 1 << i
		}
	}
	hashes := make([]byte, 0, len(h.Chunks)*HashSize)
	for _, c := range h.Chunks {
		hashes = append(hashes, c[:]...)
	}
	b := make([]byte, 0, len(hashes)+160)
	b = wire.AppendUint(b, fieldEpoch, h.Epoch)
	b = wire.AppendBytes(b, fieldRendition, []byte(h.Rendition))
	b = wire.AppendUint(b, fieldSegment, h.Segment)
	b = wire.AppendUint(b, fieldPart, uint64(h.Part))
	b = wire.AppendUint(b, fieldFlags, flags)
	b = wire.AppendUint(b, fieldDuration, uint64(h.Duration.Microseconds()))
	b = wire.AppendUint(b, fieldProgramTime, uint64(h.ProgramTime.UnixMicro()))
	b = wire.AppendUint(b, fieldSize, uint64(h.Size))
	b = wire.AppendUint(b, fieldChunkSize, uint64(h.ChunkSize))
	b = wire.AppendBytes(b, fieldChunks, hashes)
	if m := h.Media; m != nil {
		var mb []byte
		mb = wire.AppendBytes(mb, fieldCodecs, []byte(m.Codecs))
		mb = wire.AppendUint(mb, fieldWidth, uint64(m.Width))
		mb = wire.AppendUint(mb, fieldHeight, uint64(m.Height))
		mb = wire.AppendUint(mb, fieldFrameRate, uint64(math.Round(m.FrameRate*1000)))
		mb = wire.AppendUint(mb, fieldKind, uint64(m.Kind))
		mb = wire.AppendBytes(mb, fieldLanguage, []byte(m.Language))
		mb = wire.AppendBytes(mb, fieldName, []byte(m.Name))
		if m.Default {
			mb = wire.AppendUint(mb, fieldDefault, 1)
		}
		b = wire.AppendMessage(b, fieldMedia, mb)
	}
	return wire.AppendUint(b, fieldPeriod, h.Period)
}

// parseHeader reads what marshal writes.
func parseHeader(id ID, b []byte) (*Header, error) {
	h := &Header{Stream: id}
	var duration, programTime, size, chunkSize, flags, part uint64
	var media, hashes []byte
	hasMedia := false
	err := wire.Fields(b, func(field int, v uint64, raw []byte) {
		switch field {
		case fieldEpoch:
			h.Epoch = v
		case fieldRendition:
			h.Rendition = string(raw)
		case fieldSegment:
			h.Segment = v
		case fieldPart:
			part = v
		case fieldFlags:
			flags = v
		case fieldDuration:
			duration = v
		case fieldProgramTime:
			programTime = v
		case fieldSize:
			size = v
		case fieldChunkSize:
			chunkSize = v
		case fieldChunks:
			hashes = raw
		case fieldMedia:
			media, hasMedia = raw, true
		case fieldPeriod:
			h.Period = v
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	// Checked before any conversion could wrap.
	if part >= MaxPartsPerSegment || size > MaxPartSize || chunkSize > MaxChunkSize ||
		duration > uint64(MaxPartDuration.Microseconds()) || programTime > maxProgramTime ||
		len(hashes)%HashSize != 0 || len(hashes) > MaxChunks*HashSize {
		return nil, fmt.Errorf("%w: a number is out of bounds", ErrMalformed)
	}
	h.Part = uint32(part)
	h.Size = int(size)
	h.ChunkSize = int(chunkSize)
	h.Duration = time.Duration(duration) * time.Microsecond
	h.ProgramTime = time.UnixMicro(int64(programTime))
	h.Independent = flags&flagIndependent != 0
	h.Last = flags&flagLast != 0
	h.Discontinuity = flags&flagDiscontinuity != 0
	h.End = flags&flagEnd != 0
	h.Chunks = make([]Hash, len(hashes)/HashSize)
	for i := range h.Chunks {
		copy(h.Chunks[i][:], hashes[i*HashSize:])
	}
	if hasMedia {
		if h.Media, err = parseMedia(media); err != nil {
			return nil, err
		}
	}
	if err := h.validate(); err != nil {
		return nil, err
	}
	return h, nil
}

func parseMedia(b []byte) (*Media, error) {
	m := &Media{}
	var kind uint64
	err := wire.Fields(b, func(field int, v uint64, raw []byte) {
		switch field {
		case fieldCodecs:
			m.Codecs = string(raw)
		case fieldWidth:
			m.Width = int(min(v, maxDimension+1)) // too large stays too large
		case fieldHeight:
			m.Height = int(min(v, maxDimension+1))
		case fieldFrameRate:
			m.FrameRate = float64(min(v, maxFrameRate+1)) / 1000
		case fieldKind:
			kind = v
		case fieldLanguage:
			m.Language = string(raw)
		case fieldName:
			m.Name = string(raw)
		case fieldDefault:
			m.Default = v != 0
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if kind > math.MaxUint8 {
		return nil, fmt.Errorf("%w: kind %d", ErrMalformed, kind)
	}
	m.Kind = Kind(kind)
	return m, nil
}
