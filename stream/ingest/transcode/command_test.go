package transcode

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

// The bits of a rendition are for a time, whatever frame rate the input's headers tell:
// those of WebRTC have none, for which ffmpeg takes the clock's.
func TestBitsOfAnInputWithoutFrameRate(t *testing.T) {
	needFFmpeg(t)
	const seconds, rate = 8, 20
	in := stream.Media{Width: 640, Height: 360, FrameRate: rate}
	// Times that ffmpeg cannot guess a rate from.
	source := fmt.Sprintf("testsrc2=size=640x360:rate=90000,setpts='trunc(N*%d+mod(N*7919,4499))',noise=alls=30:allf=t", 90000/rate)
	c := command{
		encoder: encoderOf(software, ""), input: []string{"-f", "lavfi", "-i", source},
		renditions: []Rendition{renditionOf(in, 360)}, segment: 2 * time.Second, rate: rateOf(in),
	}
	args := append([]string{"-nostdin", "-loglevel", "error"}, c.encode()...)
	out, err := exec.CommandContext(t.Context(), "ffmpeg", append(args, "-frames:v", fmt.Sprint(seconds*rate), "-f", "mpegts", "-")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	i, err := ingest.New(ingest.Config{Input: "-", Stdin: bytes.NewReader(out)})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Run(t.Context(), func(stream.Part) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if bits, want := len(out)*8/seconds, c.renditions[0].Bits; bits < want*3/4 || bits > want*5/4 {
		t.Errorf("%d bits a second, want %d", bits, want)
	}
	if got := i.Stats().Media.Codecs; got != "avc1.640016" { // level 2.2: 640x360 up to 20 a second
		t.Errorf("codecs are %s", got)
	}
}

// All sound is encoded, and goes where it is published: the first with each picture, the
// rest with the first picture only.
func TestCommandForLanguages(t *testing.T) {
	c := command{input: fromIngest, renditions: []Rendition{{Name: "720p"}, {Name: "360p"}}, segment: 2 * time.Second, audio: []string{"deu", "eng", ""}}
	args := strings.Join(c.live(), " ")
	for _, want := range []string{
		";[0:a:0]aresample=async=1[a0];[0:a:1]aresample=async=1[a1];[0:a:2]aresample=async=1[a2]",
		"-map [a1] -c:a:1 aac",
		"-metadata:s:a:0 language=deu", "-metadata:s:a:1 language=eng",
		`select=\'v:0,a\'`, `select=\'v:1,a:0\'`,
	} {
		if !strings.Contains(args, want) {
			t.Errorf("ffmpeg %s, without %s", args, want)
		}
	}
	if strings.Contains(args, "s:a:2") {
		t.Errorf("ffmpeg %s: a language that is not known", args)
	}
	c.audio = nil
	if args := strings.Join(c.live(), " "); strings.Contains(args, "a:") || strings.Contains(args, "[a") {
		t.Errorf("ffmpeg %s, of an input without sound", args)
	}
}
