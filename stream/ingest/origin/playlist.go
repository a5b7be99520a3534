package origin

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/grafov/m3u8"
)

// ErrNoPlaylist says that what an address answers with is no playlist.
var ErrNoPlaylist = errors.New("not a playlist")

const (
	// maxPlaylist bounds a playlist's bytes: a day of segments of 2 s takes half of it.
	maxPlaylist = 8 << 20
	// maxLine bounds what is kept of one line: addresses with signatures are long.
	maxLine = 16 << 10
	// maxDuration bounds a segment, as a part's duration is bounded.
	maxDuration = time.Minute
	// maxTarget bounds what is waited for between two looks at a playlist.
	maxTarget = time.Minute
)

// byteOrder is a mark that some editors put in front of a text.
const byteOrder = "\ufeff"

// span is an address, or a range of its bytes.
type span struct {
	url    string
	offset int64
	length int64 // 0 means all from offset on
	secret secret
}

// playlist is a media playlist (RFC 8216, section 4.3.3).
type playlist struct {
	target   time.Duration
	sequence uint64 // of the first segment
	ended    bool
	blocks   bool // it can be asked for what is not there yet
	partial  bool // it lists parts
	segments []segment
}

// segment is what a playlist lists. The last may be under way: then it has parts only.
type segment struct {
	number        uint64
	media         span
	init          span // of fragmented MP4; no address for MPEG-TS
	duration      time.Duration
	discontinuity bool
	gap           bool
	encrypted     string    // METHOD of EXT-X-KEY that is not known, "" for none
	programTime   time.Time // zero if unknown
	parts         []piece
	whole         bool
}

// piece is a partial segment.
type piece struct {
	span
	gap bool
}

// end is the number after the last whole segment's.
func (p *playlist) end() uint64 {
	n := p.sequence + uint64(len(p.segments))
	if len(p.segments) > 0 && !p.segments[len(p.segments)-1].whole {
		n--
	}
	return n
}

// isMultivariant reports whether a playlist lists other playlists.
func isMultivariant(text string) bool {
	return strings.Contains(text, "#EXT-X-STREAM-INF")
}

// checkPlaylist returns what is wrong with text that should be a playlist.
func checkPlaylist(text string) error {
	if !strings.HasPrefix(strings.TrimPrefix(text, byteOrder), "#EXTM3U") {
		return fmt.Errorf("%w: it does not start with #EXTM3U", ErrNoPlaylist)
	}
	return nil
}

// side is what a line says that m3u8 does not know, or loses.
type side struct {
	gap, unplaced bool
	discontinuity bool
	programTime   time.Time
	init          span
	encrypted     string
	secret        secret
	parts         []piece
}

// reader prepares a media playlist's lines for m3u8, which takes empty lines for
// addresses and panics at some that come alone, and collects what it has no place for: gaps,
// ranges without an offset, partial segments, and what is told of a segment under way.
type reader struct {
	base  *url.URL
	lines strings.Builder
	info  string   // EXTINF that waits for its address
	held  []string // further tags that do
	now   side
	sides []side
	init  span // EXT-X-MAP in force

	keyed  string // METHOD in force that is not known
	secret secret // in force
	keying bool   // no segment came since the last EXT-X-KEY

	partEnd map[string]int64 // where the last range of an address ended
	list    playlist
	skipped bool
}

// parseMedia reads a media playlist that was found at base.
func parseMedia(text string, base *url.URL) (*playlist, error) {
	if err := checkPlaylist(text); err != nil {
		return nil, err
	}
	text = strings.TrimPrefix(text, byteOrder)
	r := &reader{base: base, partEnd: make(map[string]int64)}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || len(line) > maxLine {
			continue
		}
		if err := r.line(line); err != nil {
			return nil, err
		}
	}
	if r.skipped {
		return nil, fmt.Errorf("%w: it leaves segments out, which was not asked for", ErrNoPlaylist)
	}
	return r.finish()
}

// line takes one line. Only what m3u8 is needed for goes on to it.
func (r *reader) line(line string) error {
	tag, value, _ := strings.Cut(line, ":")
	switch tag {
	case "#EXTINF":
		r.info = line
	case "#EXT-X-GAP":
		r.now.gap = true
	case "#EXT-X-KEY":
		return r.key(m3u8.DecodeAttributeList(value))
	case "#EXT-X-BYTERANGE":
		r.now.unplaced = !strings.Contains(value, "@")
		r.held = append(r.held, line)
	case "#EXT-X-DISCONTINUITY":
		r.now.discontinuity = true
	case "#EXT-X-PROGRAM-DATE-TIME":
		// One that cannot be read is as good as none.
		r.now.programTime, _ = m3u8.FullTimeParse(value)
	case "#EXT-X-MAP":
		return r.section(m3u8.DecodeAttributeList(value))
	case "#EXT-X-PART":
		return r.part(m3u8.DecodeAttributeList(value))
	case "#EXT-X-SERVER-CONTROL":
		r.list.blocks = m3u8.DecodeAttributeList(value)["CAN-BLOCK-RELOAD"] == "YES"
	case "#EXT-X-PART-INF":
		r.list.partial = true
	case "#EXT-X-SKIP":
		r.skipped = true
	case "#EXTM3U", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-ENDLIST":
		r.pass(line)
	default:
		if !strings.HasPrefix(line, "#") && r.info != "" {
			for _, tag := range append(r.held, r.info, line) {
				r.pass(tag)
			}
			r.now.encrypted, r.now.secret, r.now.init, r.keying = r.keyed, r.secret, r.init, false
			if r.secret.url != "" {
				r.now.parts = nil // they are decrypted as a whole
			}
			r.sides, r.now, r.info, r.held = append(r.sides, r.now), side{}, "", nil
		}
	}
	return nil
}

func (r *reader) pass(line string) {
	r.lines.WriteString(line)
	r.lines.WriteByte('\n')
}

// part takes the attributes of a partial segment.
func (r *reader) part(attributes map[string]string) error {
	at, err := r.resolve(attributes["URI"])
	if err != nil {
		return err
	}
	p := piece{span: span{url: at}, gap: attributes["GAP"] == "YES"}
	if text := attributes["BYTERANGE"]; text != "" {
		if err := p.within(text, r.partEnd[at]); err != nil {
			return err
		}
		r.partEnd[at] = p.offset + p.length
	}
	r.now.parts = append(r.now.parts, p)
	return nil
}

// section takes the attributes of an initialisation section.
func (r *reader) section(attributes map[string]string) error {
	at, err := r.resolve(attributes["URI"])
	if err != nil {
		return err
	}
	r.init = span{url: at}
	if r.secret.told { // it must be, for this (RFC 8216, section 4.3.2.5)
		r.init.secret = r.secret
	}
	if text := attributes["BYTERANGE"]; text != "" {
		return r.init.within(text, 0)
	}
	return nil
}

// within narrows a span to a byte range as an attribute tells it, which begins at next
// unless it says.
func (s *span) within(text string, next int64) (err error) {
	length, offset, placed := strings.Cut(text, "@")
	s.length, err = strconv.ParseInt(length, 10, 64)
	s.offset = next
	if err == nil && placed {
		s.offset, err = strconv.ParseInt(offset, 10, 64)
	}
	if err != nil || s.length == 0 || !s.valid() {
		return fmt.Errorf("%w: the byte range %q", ErrNoPlaylist, text)
	}
	return nil
}

func (s span) valid() bool {
	return s.offset >= 0 && s.length >= 0 && s.offset <= math.MaxInt64-s.length
}

// resolve returns the absolute form of an address that the playlist names.
func (r *reader) resolve(ref string) (string, error) { return resolve(r.base, ref) }

func resolve(base *url.URL, ref string) (string, error) {
	u, err := url.Parse(ref)
	if err != nil || ref == "" {
		return "", fmt.Errorf("%w: it names the address %q", ErrNoPlaylist, ref)
	}
	u = base.ResolveReference(u)
	if err := checkURL(u); err != nil {
		return "", err
	}
	if base.Scheme == "https" && u.Scheme != "https" {
		return "", fmt.Errorf("%w: a playlist from https names %s", ErrInsecure, u.Redacted())
	}
	return u.String(), nil
}

// finish has m3u8 read what it is for, and puts the rest beside it.
func (r *reader) finish() (*playlist, error) {
	read, err := m3u8.NewMediaPlaylist(0, uint(max(1, len(r.sides))))
	if err != nil {
		return nil, fmt.Errorf("read playlist: %w", err)
	}
	if err := read.DecodeFrom(strings.NewReader(r.lines.String()), true); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPlaylist, err)
	}
	if int(read.Count()) != len(r.sides) || read.SeqNo > math.MaxInt64/2 {
		return nil, fmt.Errorf("%w: its segments cannot be counted", ErrNoPlaylist)
	}
	l := &r.list
	l.sequence, l.ended = read.SeqNo, read.Closed
	for i, s := range read.Segments[:read.Count()] {
		if err := r.add(i, s); err != nil {
			return nil, err
		}
	}
	l.partial = l.partial && r.secret.url == ""
	if len(r.now.parts) > 0 && !l.ended && r.secret.url == "" {
		l.segments = append(l.segments, segment{
			number: l.sequence + uint64(len(l.segments)), init: r.init, encrypted: r.keyed,
			discontinuity: r.now.discontinuity, gap: r.now.gap, programTime: r.now.programTime, parts: r.now.parts,
		})
	}
	if err := l.time(read.TargetDuration); err != nil {
		return nil, err
	}
	l.date()
	return l, nil
}

// add appends a segment.
func (r *reader) add(i int, s *m3u8.MediaSegment) error {
	at, err := r.resolve(s.URI)
	if err != nil {
		return err
	}
	side := r.sides[i]
	out := segment{
		number: r.list.sequence + uint64(i),
		media:  span{at, s.Offset, s.Limit, side.secret.of(r.list.sequence + uint64(i))},
		init:   side.init, duration: time.Duration(s.Duration * float64(time.Second)), discontinuity: side.discontinuity,
		gap: side.gap, encrypted: side.encrypted, programTime: side.programTime, parts: side.parts, whole: true,
	}
	if side.unplaced && i > 0 {
		// It begins where the one before ends (RFC 8216, section 4.3.2.2).
		if before := r.list.segments[i-1].media; before.url == at {
			out.media.offset = before.offset + before.length
		}
	}
	if !(s.Duration >= 0 && s.Duration <= maxDuration.Seconds()) {
		return fmt.Errorf("%w: a segment of %v s; %v is the longest", ErrNoPlaylist, s.Duration, maxDuration)
	}
	if !out.media.valid() {
		return fmt.Errorf("%w: an impossible byte range", ErrNoPlaylist)
	}
	r.list.segments = append(r.list.segments, out)
	return nil
}

// time sets the target duration, which some packagers set too low or leave out.
func (l *playlist) time(seconds float64) error {
	if !(seconds >= 0 && seconds <= 1e6) {
		return fmt.Errorf("%w: a target duration of %v s", ErrNoPlaylist, seconds)
	}
	l.target = min(time.Duration(seconds*float64(time.Second)), maxTarget)
	for _, s := range l.segments {
		l.target = max(l.target, s.duration)
	}
	l.target = max(l.target, minTarget)
	return nil
}

// date gives all segments the programme times that follow from those of some, until the
// next discontinuity (RFC 8216, section 4.3.2.6).
func (l *playlist) date() {
	for i := 1; i < len(l.segments); i++ {
		s, before := &l.segments[i], &l.segments[i-1]
		if s.programTime.IsZero() && !s.discontinuity && !before.programTime.IsZero() {
			s.programTime = before.programTime.Add(before.duration)
		}
	}
	for i := len(l.segments) - 2; i >= 0; i-- {
		s, after := &l.segments[i], &l.segments[i+1]
		if s.programTime.IsZero() && !after.discontinuity && !after.programTime.IsZero() {
			s.programTime = after.programTime.Add(-s.duration)
		}
	}
}
