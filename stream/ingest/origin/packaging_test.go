package origin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
)

// packaging is what an origin's segments are.
type packaging struct {
	name     string
	pictures func(n int, shift time.Duration) []byte
	sound    func(label string, n, channels int, shift time.Duration) []byte
	suffix   string        // of sound
	begins   time.Duration // timestamps
	init     bool          // there are initialisation sections

}

var packagings = []packaging{
	{"fragmented MP4", pictureSegment, func(label string, n, _ int, shift time.Duration) []byte { return soundSegment(label, n, shift) }, "m4s", 0, true},
	{"MPEG-TS", transportPictures, transportSound, "ts", 10 * time.Second, false},
	{"packed audio", transportPictures, packedSound, "aac", 10 * time.Second, false},
}

// timestamp returns a time of the made-up stream in MPEG-TS.
func timestamp(at, shift time.Duration) int64 {
	return (int64((10*time.Second+shift)/time.Second)*second + int64(at/time.Microsecond)*9/100) & (wrap - 1)
}

// transportPictures is two seconds of pictures in MPEG-TS.
func transportPictures(n int, shift time.Duration) []byte {
	video := &mpegts.Track{Codec: &codecs.H264{}}
	var buf bytes.Buffer
	w := &mpegts.Writer{W: &buf, Tracks: []*mpegts.Track{video}}
	must(w.Initialize())
	_, err := w.WriteTables()
	must(err)
	for i := range 50 {
		at := timestamp(time.Duration(n)*segmentLength+time.Duration(i)*40*time.Millisecond, shift)
		au := [][]byte{fmt.Appendf([]byte{0x41}, "picture %d of %d", i, n)}
		if i == 0 {
			au = [][]byte{testSPS, testPPS, fmt.Appendf([]byte{0x65}, "picture 0 of %d", n)}
		}
		must(w.WriteH264(video, at, at, au))
	}
	return buf.Bytes()
}

// soundFrames are those of soundSegment, and when the first is heard.
func soundFrames(label string, n int, shift time.Duration) (frames [][]byte, pts int64) {
	from, to := (n*96000+1023)/1024, ((n+1)*96000+1023)/1024
	for k := from; k < to; k++ {
		frames = append(frames, fmt.Appendf(nil, "%s %d", label, k))
	}
	return frames, timestamp(time.Duration(from)*1024*time.Second/48000, shift)
}

func aac(channels int) mpeg4audio.AudioSpecificConfig {
	return mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: uint8(channels)}
}

// transportSound is segment n of a language in MPEG-TS.
func transportSound(label string, n, channels int, shift time.Duration) []byte {
	audio := &mpegts.Track{Codec: &codecs.MPEG4Audio{Config: aac(channels)}}
	var buf bytes.Buffer
	w := &mpegts.Writer{W: &buf, Tracks: []*mpegts.Track{audio}}
	must(w.Initialize())
	_, err := w.WriteTables()
	must(err)
	frames, pts := soundFrames(label, n, shift)
	heard := 0
	for some := range slices.Chunk(frames, 5) {
		must(w.WriteMPEG4Audio(audio, (pts+int64(heard)*1024*second/48000)&(wrap-1), some))
		heard += len(some)
	}
	return buf.Bytes()
}

// packedSound is segment n of a language as packed audio: an ID3 tag with the timestamp, and
// ADTS.
func packedSound(label string, n, channels int, shift time.Duration) []byte {
	frames, pts := soundFrames(label, n, shift)
	var packets mpeg4audio.ADTSPackets
	for _, f := range frames {
		packets = append(packets, &mpeg4audio.ADTSPacket{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: uint8(channels), AU: f})
	}
	b, err := packets.Marshal()
	must(err)
	return append(timestampTag(pts), b...)
}

// timestampTag is the ID3 tag that packed audio begins with.
func timestampTag(pts int64) []byte {
	content := binary.BigEndian.AppendUint64([]byte("com.apple.streaming.transportStreamTimestamp\x00"), uint64(pts))
	frame := append([]byte{'P', 'R', 'I', 'V', 0, 0, 0, byte(len(content)), 0, 0}, content...)
	return append([]byte{'I', 'D', '3', 4, 0, 0, 0, 0, 0, byte(len(frame))}, frame...)
}
