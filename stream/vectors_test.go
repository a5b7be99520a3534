package stream

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

var update = flag.Bool("update", false, "write testdata/headers.json anew")

const vectorsFile = "testdata/headers.json"

// vectors are headers for other implementations to check themselves with.
type vectors struct {
	Comment []string        `json:"comment"`
	Seed    string          `json:"seed"`   // RFC 8032 private key, hex
	Stream  ID              `json:"stream"` // its public key
	Valid   []validVector   `json:"valid"`
	Invalid []invalidVector `json:"invalid"`
}

type validVector struct {
	Name    string       `json:"name"`
	Header  vectorHeader `json:"header"`
	Fill    byte         `json:"fill"`              // every byte of the part's content
	Unknown string       `json:"unknown,omitempty"` // hex of fields that follow those of the header
	Signed  string       `json:"signed"`            // hex of the SignedHeader
}

// vectorHeader is a header in the wire's units. Numbers of 64 bits are strings.
type vectorHeader struct {
	Epoch         uint64       `json:"epoch,string"`
	Rendition     string       `json:"rendition"`
	Segment       uint64       `json:"segment,string"`
	Part          uint32       `json:"part"`
	Independent   bool         `json:"independent"`
	Last          bool         `json:"last"`
	Discontinuity bool         `json:"discontinuity"`
	End           bool         `json:"end"`
	Duration      int64        `json:"duration,string"`
	ProgramTime   int64        `json:"program_time,string"`
	Size          int          `json:"size"`
	ChunkSize     int          `json:"chunk_size"`
	Chunks        []string     `json:"chunks"` // hex of the hashes
	Media         *vectorMedia `json:"media"`
	Period        uint64       `json:"period,string,omitempty"` // of a sealed part
}

type vectorMedia struct {
	Codecs    string `json:"codecs"`
	Width     int    `json:"width"`
	Height    int    `json:"height"`
	FrameRate int    `json:"frame_rate"`
	Kind      uint8  `json:"kind"`
	Language  string `json:"language"`
	Name      string `json:"name"`
	Default   bool   `json:"default"`
}

type invalidVector struct {
	Name   string `json:"name"`
	Reason string `json:"reason"` // malformed or forged
	Signed string `json:"signed"`
}

var vectorReasons = map[string]error{"malformed": ErrMalformed, "forged": ErrForged}

func asVector(h *Header) vectorHeader {
	v := vectorHeader{
		Epoch: h.Epoch, Rendition: h.Rendition, Segment: h.Segment, Part: h.Part,
		Independent: h.Independent, Last: h.Last, Discontinuity: h.Discontinuity, End: h.End,
		Duration: h.Duration.Microseconds(), ProgramTime: h.ProgramTime.UnixMicro(),
		Size: h.Size, ChunkSize: h.ChunkSize, Chunks: []string{}, Period: h.Period,
	}
	for _, c := range h.Chunks {
		v.Chunks = append(v.Chunks, hex.EncodeToString(c[:]))
	}
	if m := h.Media; m != nil {
		v.Media = &vectorMedia{m.Codecs, m.Width, m.Height, int(math.Round(m.FrameRate * 1000)), uint8(m.Kind), m.Language, m.Name, m.Default}
	}
	return v
}

func TestVectorsAreWhatThisImplementationWrites(t *testing.T) {
	want, err := json.MarshalIndent(makeVectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(vectorsFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(vectorsFile); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s (%v) is not what this implementation writes. If the wire format was to change, "+
			"change doc.go as well and run: go test ./stream -run Vectors -update", vectorsFile, err)
	}
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	raw, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestValidVectorsOpen(t *testing.T) {
	file := readVectors(t)
	for _, v := range file.Valid {
		t.Run(v.Name, func(t *testing.T) {
			h, err := OpenHeader(file.Stream, unhex(t, v.Signed))
			if err != nil {
				t.Fatal(err)
			}
			if got := asVector(&h.Header); !reflect.DeepEqual(got, v.Header) {
				t.Errorf("header is\n%+v, want\n%+v", got, v.Header)
			}
			data := bytes.Repeat([]byte{v.Fill}, v.Header.Size)
			for i := range h.Chunks {
				n := h.ChunkLen(i)
				if _, err := OpenChunk(h, i, data[:n]); err != nil {
					t.Error(err)
				}
				data = data[n:]
			}
			if len(data) > 0 {
				t.Errorf("chunks leave %d bytes of the part", len(data))
			}
		})
	}
}

func TestInvalidVectorsAreRefusedForTheirReason(t *testing.T) {
	file := readVectors(t)
	for _, v := range file.Invalid {
		want := vectorReasons[v.Reason]
		if _, err := OpenHeader(file.Stream, unhex(t, v.Signed)); want == nil || !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %s", v.Name, err, v.Reason)
		}
	}
}

func makeVectors(t testing.TB) vectors {
	key := testKey
	v := vectors{
		Comment: []string{
			"Signed headers of grapevine streams; the package documentation of stream describes the format.",
			"Each of valid opens with stream as the key and holds these fields; the part is size times the byte fill, cut into chunks of chunk_size.",
			"Each of invalid must be refused: malformed without or forged with a look at the signature.",
		},
		Seed:   hex.EncodeToString(key.private.Seed()),
		Stream: key.ID(),
	}
	valid := func(name string, fill byte, unknown []byte, size int, change func(h *Header)) {
		h := firstPart()
		h = describe(h, bytes.Repeat([]byte{fill}, size))
		change(&h)
		if err := h.validate(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		signed := signBody(key, append(h.marshal(), unknown...))
		v.Valid = append(v.Valid, validVector{name, asVector(&h), fill, hex.EncodeToString(unknown), hex.EncodeToString(signed)})
	}
	later := func(h *Header) { h.Media, h.Segment, h.Part = nil, 3, 5 }
	cut := func(chunkSize int, fill byte) func(h *Header) {
		return func(h *Header) {
			later(h)
			*h = describeCut(*h, bytes.Repeat([]byte{fill}, h.Size), chunkSize)
		}
	}

	valid("the first part of a stream", 'g', nil, 1000, func(h *Header) {})
	valid("a part inside a segment", 'r', nil, 1, later)
	valid("the last part of a segment", 'a', nil, 20000, func(h *Header) { later(h); h.Last, h.Independent = true, false })
	valid("a part of one whole chunk", 'p', nil, 4<<10, cut(4<<10, 'p'))
	valid("a part of two chunks", 'e', nil, 4<<10+1, cut(4<<10, 'e'))
	valid("chunks of 1 KiB", 'g', nil, 5000, cut(MinChunkSize, 'g'))
	valid("chunks of 8 KiB", 'r', nil, 20000, cut(8<<10, 'r'))
	valid("chunks of 32 KiB", 'a', nil, 3*MaxChunkSize, cut(MaxChunkSize, 'a'))
	valid("a part of less than a chunk of 32 KiB", 'p', nil, 1, cut(MaxChunkSize, 'p'))
	valid("512 chunks", 'e', nil, MaxChunks*MinChunkSize, cut(MinChunkSize, 'e'))
	valid("a discontinuity", 'v', nil, 7, func(h *Header) { h.Discontinuity, h.Segment = true, 12 })
	valid("a segment of one part", 'i', nil, 7, func(h *Header) { h.Last = true })
	valid("audio only", 'n', nil, 7, func(h *Header) { h.Rendition, h.Media = "audio-de", &Media{Codecs: "mp4a.40.2"} })
	valid("media unknown", 'e', nil, 7, func(h *Header) { h.Media = &Media{} })
	valid("every number at its largest", 'x', nil, 7, func(h *Header) {
		h.Rendition = strings.Repeat("z", MaxRenditionName)
		h.Position = Position{math.MaxUint64, math.MaxInt64, MaxPartsPerSegment - 1}
		h.Media, h.Duration = nil, MaxPartDuration
		h.ProgramTime = time.UnixMicro(maxProgramTime)
	})
	valid("every number at its smallest", 'x', nil, 1, func(h *Header) {
		h.Rendition, h.Epoch, h.Independent, h.Duration = "0", 0, false, 0
		h.ProgramTime, h.Media = time.UnixMicro(0), &Media{}
	})
	valid("media at its largest", 'x', nil, 7, func(h *Header) {
		h.Media = &Media{
			Codecs: strings.Repeat("~", maxCodecs), Width: maxDimension, Height: maxDimension, FrameRate: maxFrameRate / 1000,
			Kind: math.MaxUint8, Language: strings.Repeat("z", maxLanguage), Name: strings.Repeat("~", maxMediaName), Default: true,
		}
	})
	valid("further audio", 'n', nil, 7, func(h *Header) {
		h.Rendition, h.Media = "audio-pt-br", &Media{Kind: KindAudio, Codecs: "mp4a.40.2", Language: "pt-BR", Name: "Português (Brasil)"}
	})
	valid("subtitles", 'e', nil, 7, func(h *Header) {
		h.Rendition, h.Media = "text-en", &Media{Kind: KindSubtitles, Codecs: "wvtt", Language: "en", Name: "English", Default: true}
	})
	valid("the end of an epoch", 0, nil, 0, func(h *Header) {
		*h = Header{Rendition: "main", Position: Position{7, 99, 0}, End: true, ProgramTime: began}
	})
	valid("fields of a later version", 'y', wire.AppendUint(wire.AppendBytes(nil, 20, []byte("new")), 21, 1), 7, later)

	valid("a sealed part", 's', nil, 1016, func(h *Header) { later(h); h.Period = 3 })

	invalid := func(name, reason string, signed []byte) {
		v.Invalid = append(v.Invalid, invalidVector{name, reason, hex.EncodeToString(signed)})
	}
	malformed := func(name string, change func(h *Header)) {
		h := firstPart()
		change(&h)
		invalid(name, "malformed", signBody(key, h.marshal()))
	}
	malformed("no rendition", func(h *Header) { h.Rendition = "" })
	malformed("a rendition in capitals", func(h *Header) { h.Rendition = "Main" })
	malformed("a rendition of 33 bytes", func(h *Header) { h.Rendition = strings.Repeat("z", MaxRenditionName+1) })
	malformed("part 1024", func(h *Header) { h.Media, h.Part = nil, MaxPartsPerSegment })
	malformed("segment 2^63", func(h *Header) { h.Segment = 1 << 63 })
	malformed("a microsecond above a minute", func(h *Header) { h.Duration = MaxPartDuration + time.Microsecond })
	malformed("before 1970", func(h *Header) { h.ProgramTime = time.UnixMicro(-1) })
	malformed("the year 10000", func(h *Header) { h.ProgramTime = time.UnixMicro(maxProgramTime + 1) })
	empty := func(h *Header) { h.Size, h.ChunkSize, h.Chunks = 0, 0, nil }
	malformed("no content", empty)
	malformed("a size without chunks", func(h *Header) { h.Chunks = nil })
	malformed("chunks without a size", func(h *Header) { h.Size = 0 })
	malformed("a chunk too few", func(h *Header) { h.Size = h.ChunkSize + 1 })
	malformed("a chunk too many", func(h *Header) { h.Chunks = append(h.Chunks, h.Chunks[0]) })
	recut := func(size, chunkSize int) func(h *Header) {
		return func(h *Header) { *h = describeCut(*h, make([]byte, size), chunkSize) }
	}
	malformed("no chunk size", func(h *Header) { h.ChunkSize = 0 })
	malformed("chunks of 1 byte", recut(6, 1))
	malformed("chunks of 512 bytes", recut(1000, 512))
	malformed("chunks of 1023 bytes", recut(1000, 1023))
	malformed("chunks of 24 KiB", recut(30000, 24<<10))
	malformed("chunks of 64 KiB", recut(70000, 64<<10))
	malformed("a count for chunks of 4 KiB, and chunks of 8 KiB", func(h *Header) { recut(20000, 4<<10)(h); h.ChunkSize = 8 << 10 })
	malformed("513 chunks", recut(MaxChunks*MinChunkSize+1, MinChunkSize))
	malformed("more than 16 MiB", func(h *Header) { recut(6, MaxChunkSize)(h); h.Size = MaxPartSize + 1 })
	malformed("a first part without media", func(h *Header) { h.Media = nil })
	malformed("a second part with media", func(h *Header) { h.Part = 1 })
	malformed("a discontinuity inside a segment", func(h *Header) { h.Media, h.Part, h.Discontinuity = nil, 1, true })
	malformed("an end with content", func(h *Header) { h.Media, h.End = nil, true })
	malformed("an end with media", func(h *Header) { empty(h); h.End = true })
	malformed("an end with a chunk size", func(h *Header) { empty(h); h.End, h.Media, h.ChunkSize = true, nil, MinChunkSize })
	malformed("an end inside a segment", func(h *Header) { empty(h); h.End, h.Media, h.Part = true, nil, 1 })
	malformed("an end that is the last part", func(h *Header) { empty(h); h.End, h.Media, h.Last = true, nil, true })
	malformed("a quote in codecs", func(h *Header) { h.Media.Codecs = `avc1",X="` })
	malformed("a line feed in codecs", func(h *Header) { h.Media.Codecs = "avc1\n#EXT" })
	malformed("codecs of 129 bytes", func(h *Header) { h.Media.Codecs = strings.Repeat("a", maxCodecs+1) })
	malformed("a width of 65537", func(h *Header) { h.Media.Width = maxDimension + 1 })
	malformed("a height of 65537", func(h *Header) { h.Media.Height = maxDimension + 1 })
	malformed("a line feed in a language", func(h *Header) { h.Media.Language = "en\n" })
	malformed("a language of 36 bytes", func(h *Header) { h.Media.Language = strings.Repeat("z", maxLanguage+1) })
	malformed("a quote in a name", func(h *Header) { h.Media.Name = `English",URI="` })
	malformed("a line feed in a name", func(h *Header) { h.Media.Name = "English\n#EXT" })
	malformed("a name that is not UTF-8", func(h *Header) { h.Media.Name = "Portugu\xeas" })
	malformed("a name of 65 bytes", func(h *Header) { h.Media.Name = strings.Repeat("z", maxMediaName+1) })
	malformed("a frame rate of 1000.001", func(h *Header) { h.Media.FrameRate = 1000.001 })

	malformed("a sealed part of less than its seal", func(h *Header) { recut(SealOverhead-1, MinChunkSize)(h); h.Period = 1 })
	malformed("an end that is sealed", func(h *Header) { empty(h); h.End, h.Media, h.Period = true, nil, 1 })

	good := firstPart()
	body := good.marshal()
	signed := signBody(key, body)
	both := fields(t, signed)
	signature := signed[len(signed)-ed25519.SignatureSize:]
	invalid("nothing", "malformed", nil)
	invalid("no header", "malformed", signBody(key, nil))
	invalid("a hash of 15 bytes", "malformed", signBody(key, shortenHash(t, body)))
	invalid("a header cut short", "malformed", signBody(key, body[:len(body)-1]))
	invalid("cut short", "malformed", signed[:len(signed)-1])
	invalid("a field more", "malformed", wire.AppendUint(slices.Clone(signed), 3, 1))
	invalid("a field twice", "malformed", slices.Concat(signed, both[1]))
	invalid("the signature first", "malformed", slices.Concat(both[1], both[0]))
	// The length of 64 bytes, 0x40, written as 0xc0 0x00.
	invalid("a length written at length", "malformed", slices.Concat(both[0], both[1][:1], []byte{0xc0, 0}, signature))

	forged := func(name string, body, signature []byte) {
		invalid(name, "forged", marshalSigned(body, signature, nil))
	}
	flipped := func(b []byte, i int) []byte { b = slices.Clone(b); b[i] ^= 1; return b }
	longer := firstPart()
	longer.Duration += time.Microsecond
	forged("another header", longer.marshal(), signature)
	forged("a bit of the signature's R", body, flipped(signature, 0))
	forged("a bit of the signature's S", body, flipped(signature, 32))
	forged("no signature", body, nil)
	forged("a signature of 63 bytes", body, signature[:63])
	forged("signed by another key", body, ed25519.Sign(seededKey(2).private, signedMessage(key.ID(), body)))
	forged("signed for another stream", body, ed25519.Sign(key.private, signedMessage(seededKey(2).ID(), body)))
	forged("signed without context", body, ed25519.Sign(key.private, body))
	forged("S not below the group's order", body, malleate(signature)) // RFC 8032, section 5.1.7
	return v
}

// shortenHash cuts a byte off the chunks' hashes of a header.
func shortenHash(t testing.TB, body []byte) (out []byte) {
	t.Helper()
	err := wire.Fields(body, func(n int, v uint64, raw []byte) {
		if n == fieldChunks {
			raw = raw[1:]
		}
		if raw != nil {
			out = wire.AppendMessage(out, n, raw)
		} else {
			out = wire.AppendUint(out, n, v)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// malleate adds the order of Ed25519's group to S, which leaves the equation true.
func malleate(signature []byte) []byte {
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	out := slices.Clone(signature)
	s := out[32:]
	slices.Reverse(s)
	new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(s)
	slices.Reverse(s)
	return out
}
