package stream

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestHeaderBounds(t *testing.T) {
	const µs = time.Microsecond
	cut := func(size, chunkSize int) func(*Header) {
		return func(h *Header) {
			h.Size, h.ChunkSize, h.Chunks = size, chunkSize, make([]Hash, (size+chunkSize-1)/chunkSize)
		}
	}
	sized := func(n int) func(*Header) { return cut(n, MaxChunkSize) }
	inside := func(change func(*Header)) func(*Header) {
		return func(h *Header) { h.Media, h.Part = nil, 1; change(h) }
	}
	ending := func(change func(*Header)) func(*Header) {
		return func(h *Header) {
			h.Media, h.End, h.Independent = nil, true, false
			h.Size, h.ChunkSize, h.Chunks = 0, 0, nil
			change(h)
		}
	}
	nothing := func(*Header) {}

	for _, c := range []struct {
		name   string
		change func(*Header)
		reason string // in the error; "" if valid
	}{
		{"as it is", nothing, ""},
		{"rendition of no bytes", func(h *Header) { h.Rendition = "" }, "rendition"},
		{"rendition of 1 byte", func(h *Header) { h.Rendition = "a" }, ""},
		{"rendition of 32 bytes", func(h *Header) { h.Rendition = strings.Repeat("a", 32) }, ""},
		{"rendition of 33 bytes", func(h *Header) { h.Rendition = strings.Repeat("a", 33) }, "rendition"},

		{"epoch 0", func(h *Header) { h.Epoch = 0 }, ""},
		{"the last epoch", func(h *Header) { h.Epoch = math.MaxUint64 }, ""},
		{"segment 2^63-1", func(h *Header) { h.Segment = 1<<63 - 1 }, ""},
		{"segment 2^63", func(h *Header) { h.Segment = 1 << 63 }, "segment"},
		{"part 1023", inside(func(h *Header) { h.Part = 1023 }), ""},
		{"part 1024", inside(func(h *Header) { h.Part = 1024 }), "part 1024"},

		{"duration -1 µs", func(h *Header) { h.Duration = -µs }, "duration"},
		{"duration 0", func(h *Header) { h.Duration = 0 }, ""},
		{"a minute", func(h *Header) { h.Duration = time.Minute }, ""},
		{"a minute and a microsecond", func(h *Header) { h.Duration = time.Minute + µs }, "duration"},

		{"a microsecond before 1970", func(h *Header) { h.ProgramTime = time.UnixMicro(-1) }, "programme time"},
		{"1970", func(h *Header) { h.ProgramTime = time.UnixMicro(0) }, ""},
		{"the end of 9999", func(h *Header) { h.ProgramTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Add(-µs) }, ""},
		{"10000", func(h *Header) { h.ProgramTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "programme time"},
		{"no programme time", func(h *Header) { h.ProgramTime = time.Time{} }, "programme time"},

		{"size -1", func(h *Header) { h.Size, h.Chunks = -1, nil }, "size"},
		{"size 0", sized(0), "no content"},
		{"size 1", sized(1), ""},
		{"a chunk less a byte", sized(MaxChunkSize - 1), ""},
		{"a chunk", sized(MaxChunkSize), ""},
		{"a chunk and a byte", sized(MaxChunkSize + 1), ""},
		{"512 chunks", sized(MaxPartSize), ""},
		{"512 chunks and a byte", sized(MaxPartSize + 1), "size"},
		{"a chunk too few", func(h *Header) { sized(2 * MaxChunkSize)(h); h.Chunks = h.Chunks[1:] }, "1 chunks"},
		{"a chunk too many", func(h *Header) { sized(2 * MaxChunkSize)(h); h.Chunks = append(h.Chunks, Hash{}) }, "3 chunks"},
		{"no chunks", func(h *Header) { h.Chunks = nil }, "0 chunks"},

		{"chunks of 1 KiB", cut(100_000, 1<<10), ""},
		{"chunks of 2 KiB", cut(100_000, 2<<10), ""},
		{"chunks of 4 KiB", cut(100_000, 4<<10), ""},
		{"chunks of 8 KiB", cut(100_000, 8<<10), ""},
		{"chunks of 16 KiB", cut(100_000, 16<<10), ""},
		{"chunks of 32 KiB", cut(100_000, 32<<10), ""},
		{"chunks of 64 KiB", cut(100_000, 64<<10), "chunks of 65536"},
		{"chunks of 512 bytes", cut(100_000, 512), "chunks of 512"},
		{"chunks of 1025 bytes", cut(100_000, 1025), "chunks of 1025"},
		{"chunks of 24 KiB", cut(100_000, 24<<10), "chunks of 24576"},
		{"chunks of 32 KiB less a byte", cut(100_000, 32<<10-1), "chunks of 32767"},
		{"chunks of -4 KiB", func(h *Header) { h.ChunkSize = -4 << 10 }, "chunks of -4096"},
		{"no chunk size", func(h *Header) { h.ChunkSize = 0 }, "chunks of 0"},
		{"another chunk size than was counted", func(h *Header) { cut(100_000, 4<<10)(h); h.ChunkSize = 8 << 10 }, "25 chunks of 8192"},
		{"512 chunks of 1 KiB", cut(512<<10, 1<<10), ""},
		{"513 chunks of 1 KiB", cut(512<<10+1, 1<<10), "513 chunks"},

		{"a first part without media", func(h *Header) { h.Media = nil }, "description"},
		{"a first part after a discontinuity", func(h *Header) { h.Discontinuity = true }, ""},
		{"a first part that is the last", func(h *Header) { h.Last = true }, ""},
		{"a second part", inside(nothing), ""},
		{"a second part that is the last", inside(func(h *Header) { h.Last = true }), ""},
		{"a second part with media", inside(func(h *Header) { h.Media = &Media{} }), "description"},
		{"a second part after a discontinuity", inside(func(h *Header) { h.Discontinuity = true }), "description"},

		{"an end", ending(nothing), ""},
		{"an end at segment 0", ending(func(h *Header) { h.Segment = 0 }), ""},
		{"an end with a byte", ending(sized(1)), "end"},
		{"an end with a chunk size", ending(func(h *Header) { h.ChunkSize = 4 << 10 }), "end"},
		{"an end with a hash", ending(func(h *Header) { h.Chunks = make([]Hash, 1) }), "end"},
		{"an end on part 1", ending(func(h *Header) { h.Part = 1 }), "end"},
		{"an end that is the last part", ending(func(h *Header) { h.Last = true }), "end"},
		{"an end with media", ending(func(h *Header) { h.Media = &Media{} }), "end"},

		{"codecs unknown", func(h *Header) { h.Media.Codecs = "" }, ""},
		{"codecs of 128 bytes", func(h *Header) { h.Media.Codecs = strings.Repeat("a", 128) }, ""},
		{"codecs of 129 bytes", func(h *Header) { h.Media.Codecs = strings.Repeat("a", 129) }, "codecs"},
		{"codecs from ! to ~", func(h *Header) { h.Media.Codecs = "!~" }, ""},
		{"codecs with a space", func(h *Header) { h.Media.Codecs = "a b" }, "codecs"},
		{"codecs with a quote", func(h *Header) { h.Media.Codecs = `a"` }, "codecs"},
		{"codecs with a backslash", func(h *Header) { h.Media.Codecs = `a\` }, "codecs"},
		{"codecs with a line feed", func(h *Header) { h.Media.Codecs = "a\n#EXT" }, "codecs"},
		{"codecs with DEL", func(h *Header) { h.Media.Codecs = "a\x7f" }, "codecs"},
		{"codecs beyond ASCII", func(h *Header) { h.Media.Codecs = "ä" }, "codecs"},
		{"width -1", func(h *Header) { h.Media.Width = -1 }, "picture"},
		{"width 0", func(h *Header) { h.Media.Width = 0 }, ""},
		{"width 65536", func(h *Header) { h.Media.Width = 65536 }, ""},
		{"width 65537", func(h *Header) { h.Media.Width = 65537 }, "picture"},
		{"height -1", func(h *Header) { h.Media.Height = -1 }, "picture"},
		{"height 65536", func(h *Header) { h.Media.Height = 65536 }, ""},
		{"height 65537", func(h *Header) { h.Media.Height = 65537 }, "picture"},
		{"language of 35 bytes", func(h *Header) { h.Media.Language = strings.Repeat("z", 35) }, ""},
		{"language of 36 bytes", func(h *Header) { h.Media.Language = strings.Repeat("z", 36) }, "language"},
		{"language with region", func(h *Header) { h.Media.Language = "pt-BR" }, ""},
		{"language with a quote", func(h *Header) { h.Media.Language = `en"` }, "language"},
		{"name of 64 bytes", func(h *Header) { h.Media.Name = strings.Repeat("é", 32) }, ""},
		{"name of 65 bytes", func(h *Header) { h.Media.Name = strings.Repeat("z", 65) }, "name"},
		{"name with a space", func(h *Header) { h.Media.Name = "English (US)" }, ""},
		{"name with a quote", func(h *Header) { h.Media.Name = `English"` }, "name"},
		{"name with a backslash", func(h *Header) { h.Media.Name = `English\` }, "name"},
		{"name with a line feed", func(h *Header) { h.Media.Name = "English\n" }, "name"},
		{"name that turns the writing", func(h *Header) { h.Media.Name = "\u202e" }, "name"},
		{"name that is not UTF-8", func(h *Header) { h.Media.Name = "\xff" }, "name"},
		{"the last kind", func(h *Header) { h.Media.Kind = math.MaxUint8 }, ""},
		{"frame rate -0.001", func(h *Header) { h.Media.FrameRate = -0.001 }, "picture"},
		{"frame rate 0", func(h *Header) { h.Media.FrameRate = 0 }, ""},
		{"frame rate 1000", func(h *Header) { h.Media.FrameRate = 1000 }, ""},
		{"frame rate 1000.001", func(h *Header) { h.Media.FrameRate = 1000.001 }, "picture"},
		{"frame rate NaN", func(h *Header) { h.Media.FrameRate = math.NaN() }, "picture"},
		{"frame rate infinite", func(h *Header) { h.Media.FrameRate = math.Inf(1) }, "picture"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := firstPart()
			c.change(&h)
			_, err := testKey.sign(h)
			if c.reason == "" && err != nil || c.reason != "" && (!errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.reason)) {
				t.Errorf("sign: error %v, want %q", err, c.reason)
			}
			if math.IsNaN(mediaOf(h).FrameRate) {
				return // has no encoding
			}
			// What is not signed here, others might sign.
			_, err = OpenHeader(testKey.ID(), signBody(testKey, h.marshal()))
			if c.reason == "" && err != nil || c.reason != "" && !errors.Is(err, ErrMalformed) {
				t.Errorf("open: error %v, want %q", err, c.reason)
			}
		})
	}
}

func mediaOf(h Header) Media {
	if h.Media == nil {
		return Media{}
	}
	return *h.Media
}

func TestRenditionNamesAreLowerCaseDigitsAndDashes(t *testing.T) {
	allowed := "abcdefghijklmnopqrstuvwxyz0123456789-"
	for c := range 256 {
		name := string([]byte{byte(c)})
		if got, want := ValidRendition(name), strings.Contains(allowed, name); got != want {
			t.Errorf("ValidRendition(%q) = %t, want %t", name, got, want)
		}
	}
}

func TestPositionsOrderByEpochThenSegmentThenPart(t *testing.T) {
	ordered := []Position{{0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 9, 9}, {1, 0, 0}, {1, 0, 2}, {1, 2, 0}, {math.MaxUint64, 0, 0}}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v compared with %v = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestFollows(t *testing.T) {
	at := func(epoch, segment uint64, part uint32) *Header {
		return &Header{Position: Position{epoch, segment, part}}
	}
	last := func(h *Header) *Header { h.Last = true; return h }
	end := func(h *Header) *Header { h.End = true; return h }
	for _, c := range []struct {
		name    string
		prev, h *Header
		want    bool
	}{
		{"the next part", at(1, 5, 0), at(1, 5, 1), true},
		{"the same part", at(1, 5, 1), at(1, 5, 1), false},
		{"the part before", at(1, 5, 1), at(1, 5, 0), false},
		{"one part left out", at(1, 5, 0), at(1, 5, 2), false},
		{"the next segment after the last part", last(at(1, 5, 3)), at(1, 6, 0), true},
		{"the next segment after another part", at(1, 5, 3), at(1, 6, 0), false},
		{"a part after the last", last(at(1, 5, 3)), at(1, 5, 4), false},
		{"the next segment's second part", last(at(1, 5, 3)), at(1, 6, 1), false},
		{"one segment left out", last(at(1, 5, 3)), at(1, 7, 0), false},
		{"the end after the last part", last(at(1, 5, 3)), end(at(1, 6, 0)), true},
		{"the end after a segment that was cut short", at(1, 5, 3), end(at(1, 6, 0)), false},
		{"anything after the end", end(at(1, 6, 0)), at(1, 6, 1), false},
		{"the next epoch", last(at(1, 5, 3)), at(2, 6, 0), false},
		{"the next epoch's first part", last(at(1, 5, 3)), at(2, 0, 0), false},
	} {
		if got := c.h.Follows(c.prev); got != c.want {
			t.Errorf("%s: %v follows %v is %t, want %t", c.name, c.h.Position, c.prev.Position, got, c.want)
		}
	}
}
