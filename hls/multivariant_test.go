package hls

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/grafov/m3u8"

	"github.com/grapevine-live/grapevine/stream"
)

const goldenAudio = `#EXTM3U
#EXT-X-VERSION:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Deutsch",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE="de"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="English",DEFAULT=NO,AUTOSELECT=YES,LANGUAGE="en",URI="audio-en/index.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="English 2",DEFAULT=NO,AUTOSELECT=YES,LANGUAGE="en",URI="audio-en-2/index.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="audio-x",DEFAULT=NO,AUTOSELECT=YES,URI="audio-x/index.m3u8"
#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=4390000,AVERAGE-BANDWIDTH=4080000,CODECS="avc1.64001f,mp4a.40.2,ac-3",RESOLUTION=1920x1080,AUDIO="audio",FRAME-RATE=25.000
1080p/index.m3u8
#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=1790000,AVERAGE-BANDWIDTH=1680000,CODECS="avc1.64001e,mp4a.40.2,ac-3",RESOLUTION=854x480,AUDIO="audio",FRAME-RATE=25.000
480p/index.m3u8
`

func TestRenderMultivariantWithAudio(t *testing.T) {
	audio := func(rendition, codec, language, name string, peak, average int) variant {
		return variant{rendition, stream.Media{Kind: stream.KindAudio, Codecs: codec, Language: language, Name: name}, peak, average}
	}
	got := renderMultivariant([]variant{
		{"480p", stream.Media{Codecs: "avc1.64001e,mp4a.40.2", Width: 854, Height: 480, FrameRate: 25, Language: "de", Name: "Deutsch"}, 1_600_000, 1_500_000},
		{"1080p", stream.Media{Codecs: "avc1.64001f,mp4a.40.2", Width: 1920, Height: 1080, FrameRate: 25, Language: "de", Name: "Deutsch"}, 4_200_000, 3_900_000},
		audio("audio-x", "mp4a.40.2", "", "", 70_000, 60_000),
		audio("audio-en", "mp4a.40.2", "en", "English", 130_000, 128_000),
		audio("audio-en-2", "ac-3", "en", "English", 190_000, 180_000),
		{"text-en", stream.Media{Kind: 200, Language: "en"}, 1, 1}, // of a later version
	}, "index.m3u8")
	if string(got) != goldenAudio {
		t.Errorf("%s\nwant\n%s", got, goldenAudio)
	}
	list, kind, err := m3u8.Decode(*bytes.NewBuffer(got), true)
	if err != nil || kind != m3u8.MASTER {
		t.Fatalf("kind %v, %v", kind, err)
	}
	for _, v := range list.(*m3u8.MasterPlaylist).Variants {
		if v.Audio != audioGroup {
			t.Errorf("%s has no audio to choose from", v.URI)
		}
	}
}

// further makes the second rendition one of audio.
func (p *picky) further() {
	p.low.media = stream.Media{Kind: stream.KindAudio, Codecs: "mp4a.40.2", Language: "en", Name: "English"}
}

// TestAudioIsCarriedOnDemand has a player choose further audio, and leave it again.
func TestAudioIsCarriedOnDemand(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPicky(t)
		p.further()
		_, h, stop := serve(t, p)
		for range 5 {
			p.air(false)
		}
		if got := p.carries(); !slices.Equal(got, []string{"high"}) {
			t.Errorf("carries %v before anybody asks", got)
		}
		list := do(h, "GET", p.high.multivariantPath()).Body.String()
		if !strings.Contains(list, `URI="low/index.m3u8"`) || strings.Contains(list, "\nlow/index.m3u8") {
			t.Errorf("multivariant playlist:\n%s", list)
		}
		if w := do(h, "GET", p.low.path("index.m3u8")); w.Code != http.StatusOK {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		// Whoever plays nothing but audio has the node carry video for who comes next.
		for range 35 {
			p.air(false)
			do(h, "GET", p.low.path("index.m3u8"))
		}
		if got := p.carries(); !slices.Equal(got, []string{"high", "low"}) && !slices.Equal(got, []string{"low", "high"}) {
			t.Errorf("carries %v while audio is played", got)
		}
		for range 35 {
			p.air(false)
			do(h, "GET", p.high.path("index.m3u8"))
		}
		if got := p.carries(); !slices.Equal(got, []string{"high"}) {
			t.Errorf("carries %v when nobody plays the audio any more", got)
		}
		for range 35 {
			p.air(false)
		}
		if got := p.carries(); !slices.Equal(got, []string{"high"}) {
			t.Errorf("carries %v when nobody plays", got)
		}
		stop()
	})
}
