package origin

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/grafov/m3u8"
)

const (
	// single is the name of the one rendition of a media playlist.
	single = "main"
	// maxRenditions bounds what is published of a multivariant playlist.
	maxRenditions = 12
	// maxVariants bounds the lines of it that are read.
	maxVariants = 200
)

// variant is a rendition that a multivariant playlist lists.
type variant struct {
	name      string
	url       string
	bandwidth uint32
	height    int
	sounds    []beside // to choose from, the default first
	texts     []beside // subtitles, likewise
}

// beside is a rendition that an EXT-X-MEDIA tag lists.
type beside struct {
	url      string // "" for what comes with the pictures
	language string
	name     string
	chosen   bool // it is the default
}

// multivariant is a playlist of playlists (RFC 8216, section 4.3.4).
type multivariant struct {
	variants []variant // the best first
	leftOut  []string
}

// parseMultivariant reads a multivariant playlist that was found at base.
func parseMultivariant(text string, base *url.URL) (*multivariant, error) {
	if err := checkPlaylist(text); err != nil {
		return nil, err
	}
	read := m3u8.NewMasterPlaylist()
	if err := read.DecodeFrom(strings.NewReader(variantLines(text)), true); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPlaylist, err)
	}
	m := &multivariant{}
	apart := make(map[string]bool)
	for _, v := range read.Variants {
		for _, a := range v.Alternatives {
			if a.URI != "" && a.Type != "AUDIO" && a.Type != "SUBTITLES" {
				m.leaveOut(apart, a)
			}
		}
		if err := m.add(v, base); err != nil {
			return nil, err
		}
	}
	if len(m.variants) == 0 {
		return nil, fmt.Errorf("%w: it lists none", ErrNoPlaylist)
	}
	m.choose()
	return m, nil
}

// variantLines keeps the lines that m3u8 is needed for, each variant with its address.
func variantLines(text string) string {
	var out strings.Builder
	out.WriteString("#EXTM3U\n")
	waiting := ""
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || len(line) > maxLine || n == maxVariants:
		case strings.HasPrefix(line, "#EXT-X-MEDIA:"):
			n++
			out.WriteString(line + "\n")
		case strings.HasPrefix(line, "#EXT-X-STREAM-INF:"):
			waiting = line
		case !strings.HasPrefix(line, "#") && waiting != "":
			n++
			out.WriteString(waiting + "\n" + line + "\n")
			waiting = ""
		}
	}
	return out.String()
}

// add adds a variant, unless it is there already from another server.
func (m *multivariant) add(v *m3u8.Variant, base *url.URL) error {
	at, err := resolve(base, v.URI)
	if err != nil {
		return err
	}
	out := variant{url: at, bandwidth: v.Bandwidth}
	if out.sounds, err = listed(v.Alternatives, "AUDIO", base); err != nil {
		return err
	}
	if out.texts, err = listed(v.Alternatives, "SUBTITLES", base); err != nil {
		return err
	}
	if _, height, ok := strings.Cut(v.Resolution, "x"); ok {
		if n, err := strconv.Atoi(height); err == nil && n > 0 && n < 1<<16 {
			out.height = n
		}
	}
	same := func(o variant) bool { return o.bandwidth == out.bandwidth && o.height == out.height || o.url == at }
	if !slices.ContainsFunc(m.variants, same) {
		m.variants = append(m.variants, out)
	}
	return nil
}

// listed returns the renditions of a kind, the default first (RFC 8216, section 4.3.4.1).
func listed(all []*m3u8.Alternative, kind string, base *url.URL) (list []beside, err error) {
	chosen := -1
	rank := 0
	for _, a := range all {
		if a.Type != kind {
			continue
		}
		b := beside{language: a.Language, name: a.Name, chosen: a.Default}
		if a.URI != "" {
			if b.url, err = resolve(base, a.URI); err != nil {
				return nil, err
			}
		}
		r := 1
		switch {
		case a.Default:
			r = 3
		case a.Autoselect == "YES":
			r = 2
		}
		if r > rank {
			rank, chosen = r, len(list)
		}
		list = append(list, b)
	}
	if chosen > 0 {
		first := list[chosen]
		list = slices.Insert(slices.Delete(list, chosen, chosen+1), 0, first)
	}
	return list, nil
}

// leaveOut notes a rendition that has a playlist of its own, and no place.
func (m *multivariant) leaveOut(noted map[string]bool, a *m3u8.Alternative) {
	what := map[string]string{"VIDEO": "another angle", "CLOSED-CAPTIONS": "captions"}[a.Type]
	text := strings.TrimSpace(what + " " + a.Name)
	if a.Name == "" {
		text = strings.TrimSpace(what + " " + a.Language)
	}
	if !noted[text] {
		noted[text] = true
		m.leftOut = append(m.leftOut, text+", which has a playlist of its own")
	}
}

// choose puts the best first, names all, and leaves out what is too much.
func (m *multivariant) choose() {
	slices.SortStableFunc(m.variants, func(a, b variant) int { return cmp.Compare(b.bandwidth, a.bandwidth) })
	if more := len(m.variants) - maxRenditions; more > 0 {
		m.leftOut = append(m.leftOut, fmt.Sprintf("%d variants of the lowest bandwidth", more))
		m.variants = m.variants[:maxRenditions]
	}
	heights, names := make(map[int]int), make(map[string]int)
	for _, v := range m.variants {
		heights[v.height]++
	}
	for i := range m.variants {
		v := &m.variants[i]
		rate := fmt.Sprintf("%dk", v.bandwidth/1000)
		switch {
		case v.height == 0:
			v.name = rate
		case heights[v.height] == 1:
			v.name = fmt.Sprintf("%dp", v.height)
		default:
			v.name = fmt.Sprintf("%dp-%s", v.height, rate)
		}
		if names[v.name]++; names[v.name] > 1 {
			v.name = fmt.Sprintf("%s-%d", v.name, names[v.name])
		}
	}
}
