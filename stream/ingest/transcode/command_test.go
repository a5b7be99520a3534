package transcode

import (
	"strings"
	"testing"
	"time"
)

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
