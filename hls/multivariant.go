package hls

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/grafov/m3u8"

	"github.com/grapevine-live/grapevine/stream"
)

// GROUP-IDs of the renditions of audio and of subtitles (RFC 8216, section 4.3.4.1).
const (
	audioGroup = "audio"
	textGroup  = "text"
)

// variant is one rendition in the multivariant playlist.
type variant struct {
	rendition string
	media     stream.Media
	peak      int // bits per second of the densest segment
	average   int // bits per second of what is listed
}

// renderMultivariant writes the multivariant playlist of the media playlists called
// name, its addresses relative to /<stream-id>/. The best comes first: some players
// begin with that, and it is the one that a node carries before anybody asks.
func renderMultivariant(variants []variant, name string) []byte {
	p := m3u8.NewMasterPlaylist()
	p.SetIndependentSegments(true)
	best := slices.SortedFunc(ofKind(variants, stream.KindMain), func(a, b variant) int { return better(b, a) })
	audio := slices.SortedFunc(ofKind(variants, stream.KindAudio), byRendition)
	text := slices.SortedFunc(ofKind(variants, stream.KindSubtitles), byRendition)
	var alternatives []*m3u8.Alternative
	if len(best) > 0 {
		alternatives = append(audioAlternatives(best[0].media, audio, name), textAlternatives(text, name)...)
	}
	for _, v := range best {
		// "The BANDWIDTH value MUST be an upper bound" of any combination of renditions (RFC
		// 8216, section 4.3.4.2), and the default audio comes with the video in any case.
		peak, average := v.peak, v.average
		for _, group := range [][]variant{audio, text} {
			peak += most(group, func(o variant) int { return o.peak })
			average += most(group, func(o variant) int { return o.average })
		}
		params := m3u8.VariantParams{
			Bandwidth:        uint32(min(peak, 1<<31-1)),
			AverageBandwidth: uint32(min(average, 1<<31-1)),
			Codecs:           joinCodecs(v, audio),
			FrameRate:        v.media.FrameRate,
			Alternatives:     alternatives,
		}
		if v.media.Width > 0 && v.media.Height > 0 {
			params.Resolution = fmt.Sprintf("%dx%d", v.media.Width, v.media.Height)
		}
		if len(audio) > 0 {
			params.Audio = audioGroup
		}
		if len(text) > 0 {
			params.Subtitles = textGroup
		}
		p.Append(v.rendition+"/"+name, nil, params)
	}
	return p.Encode().Bytes()
}

// ofKind yields those variants that are of a kind.
func ofKind(variants []variant, kind stream.Kind) func(func(variant) bool) {
	return func(yield func(variant) bool) {
		for _, v := range variants {
			if v.media.Kind == kind && !yield(v) {
				return
			}
		}
	}
}

func byRendition(a, b variant) int { return cmp.Compare(a.rendition, b.rendition) }

// audioAlternatives describes the audio that there is to choose from, if there is a choice:
// what comes with the video, which has no address, and further audio.
func audioAlternatives(main stream.Media, audio []variant, name string) []*m3u8.Alternative {
	if len(audio) == 0 {
		return nil
	}
	used := make(map[string]bool)
	list := []*m3u8.Alternative{{
		Type: "AUDIO", GroupId: audioGroup, Default: true, Autoselect: "YES",
		Name: alternativeName(used, main, "Default"), Language: main.Language,
	}}
	for _, a := range audio {
		list = append(list, &m3u8.Alternative{
			Type: "AUDIO", GroupId: audioGroup, Autoselect: "YES",
			Name: alternativeName(used, a.media, a.rendition), Language: a.media.Language,
			URI: a.rendition + "/" + name,
		})
	}
	return list
}

// textAlternatives describes subtitles. One of them at most is the default, as a group has
// one.
func textAlternatives(text []variant, name string) (list []*m3u8.Alternative) {
	used := make(map[string]bool)
	chosen := false
	for _, t := range text {
		list = append(list, &m3u8.Alternative{
			Type: "SUBTITLES", GroupId: textGroup, Default: t.media.Default && !chosen, Autoselect: "YES",
			Name: alternativeName(used, t.media, t.rendition), Language: t.media.Language,
			URI: t.rendition + "/" + name,
		})
		chosen = chosen || t.media.Default
	}
	return list
}

// alternativeName returns a name that no other rendition of the group has, as RFC 8216,
// section 4.3.4.1.1 wants it: whoever broadcasts may have signed anything.
func alternativeName(used map[string]bool, m stream.Media, otherwise string) string {
	base := cmp.Or(m.Name, m.Language, otherwise)
	name := base
	for n := 2; used[name]; n++ {
		name = fmt.Sprintf("%s %d", base, n)
	}
	used[name] = true
	return name
}

// most returns the largest value of any variant, 0 if there is none.
func most(variants []variant, of func(variant) int) int {
	n := 0
	for _, v := range variants {
		n = max(n, of(v))
	}
	return n
}

// joinCodecs names all codecs that are played with a variant, each once.
func joinCodecs(v variant, with []variant) string {
	var names []string
	for _, o := range append([]variant{v}, with...) {
		for name := range strings.SplitSeq(o.media.Codecs, ",") {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, ",")
}
