package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/stream"
)

// crowded returns figures of a node with so many streams, of so many peers each.
func crowded(streams, peers int, title string) *hls.Figures {
	f := &hls.Figures{Now: 1_900_000_000_000}
	f.Role, f.PeerID, f.Version, f.Uptime = "relay", "12D3KooWDgSJ3cHEjyhsU1KLnu5xSkFgCZ6asT9VmUms5PJyDDTQ", "v1.2.3", 3723
	f.RateIn, f.RateOut, f.BytesIn, f.BytesOut, f.Connections = 4.2e6, 8.4e6, 5e8, 1e9, peers
	f.Store = hls.StoreFigures{Bytes: 120e6, Limit: 256e6}
	f.Limits.Budget, f.Limits.BudgetLeft = 500e9, 125e9
	for i := range streams {
		st := hls.StreamFigures{Playable: true, Players: 2, Buffer: 6, Renditions: []hls.RenditionFigures{{Playable: true, Latency: 2.1, Skipped: 2}}}
		st.ID, st.Title = stream.NewKey().ID(), title
		for j := range peers {
			st.Peers = append(st.Peers, hls.PeerStatus{
				ID: fmt.Sprintf("%s12D3KooWpeer%03d%03d", title, i, j), Addr: "/ip4/192.0.2.1/udp/4747/quic-v1", Transport: "QUIC",
				RTTMillis: 25, BytesIn: int64(1000 * (peers - j)), BytesOut: 2000, Direct: j%3 > 0, Mesh: j%2 > 0,
			})
		}
		if i%2 == 0 {
			st.Audience = &hls.AudienceStatus{At: f.Now, Viewers: 812, ViewersError: 40.4, Nodes: 700, NodesError: 30, DelayP50: 1.94, DelayP95: 6.6, Stalling: 0.03, StalledP95: 1.25, FromPeers: 0.97, OneFeeder: 0.1, NoSpare: 0.25}
		}
		f.Streams = append(f.Streams, st)
	}
	return f
}

func TestStatusSaysHowTheAudienceFares(t *testing.T) {
	v := statusView{width: plainWidth, height: 24}
	v.take(crowded(1, 3, ""), time.Now())
	wants := []string{
		"    812±40 viewers of 700±30 nodes that tell · 1.9 s behind (p95 6.6 s) · 3% stalled (p95 1.2 s)\n",
		"    97% from each other · 10% of nodes fed by one · 25% without spare upload\n",
	}
	for _, whole := range []bool{false, true} {
		v.whole = whole
		for _, want := range wants {
			if text := ansi.Strip(v.String()); !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
	}
	v.figures.Streams[0].Audience.At = 0
	if text := v.String(); strings.Contains(text, "viewers") {
		t.Errorf("before the first survey is over:\n%s", text)
	}
}

// TestStatusFits draws many figures at many sizes: nothing is wider or higher than the terminal.
func TestStatusFits(t *testing.T) {
	titles := []string{"", "Keynote", "東京から生中継:基調講演と質疑応答の時間", "👩‍👩‍👧‍👦 family 🇩🇪 e\u0301\u0301\u0301", "a\x1b[2Jb\x07\u202e\nc", strings.Repeat("long ", 60)}
	for _, title := range titles {
		for _, size := range [][2]int{{20, 4}, {40, 8}, {80, 24}, {81, 25}, {200, 60}, {500, 3}, {1, 1}} {
			for _, streams := range []int{0, 1, 3, 200} {
				v := statusView{width: size[0], height: size[1], colour: true}
				f := crowded(streams, 30, title)
				v.take(f, time.Now())
				f.Now += 1000
				v.take(f, time.Now())
				v.lost = streams == 3
				for range 2 * streams {
					v.choose(1)
					v.scroll += 7
				}
				lines := strings.Split(v.String(), "\n")
				if len(lines) > max(size[1], leastHeight) {
					t.Errorf("%d lines in a terminal of %v", len(lines), size)
				}
				for _, l := range lines {
					if w := ansi.StringWidth(l); w > max(size[0], leastWidth) {
						t.Errorf("a line of %d cells in a terminal of %v: %q", w, size, l)
					}
					if strings.ContainsAny(ansi.Strip(l), "\x1b\x07\u202e") || strings.Contains(l, "\x1b[2J") {
						t.Errorf("a title gives orders to the terminal: %q", l)
					}
				}
			}
		}
	}
}

func TestStatusSaysWhatItIs(t *testing.T) {
	f := crowded(2, 3, "")
	for i := range f.Streams {
		f.Streams[i].Title = "基調講演"
	}
	v := statusView{width: 100, height: 24}
	v.take(f, time.Now())
	next := *f
	next.Now += 2000
	next.Streams = []hls.StreamFigures{f.Streams[0], f.Streams[1]}
	peers := make([]hls.PeerStatus, 3)
	copy(peers, f.Streams[0].Peers)
	peers[0].BytesIn += 250_000 // in two seconds
	next.Streams[0].Peers = peers
	v.take(&next, time.Now())
	text := v.String()
	for _, want := range []string{
		"grapevine relay", "12D3Ko…JyDDTQ", "v1.2.3", "up 1:02:03", "down  4.2 Mbit/s", "up    8.4 Mbit/s", "500 MB in all",
		"cache 120 MB of 256 MB", "budget ████████░░ 125 GB left", "› 基調講演", "6 s ready · 3 peers · 2 players · 2.1 s behind · 2 segments lost",
		"QUIC, relayed", "QUIC, direct", "25 ms", "1 Mbit/s", "253 kB", "▅", "█", "q end",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	v.choose(-1) // the last one
	if text := v.String(); !strings.Contains(text, "001002") || strings.Contains(text, "000002") {
		t.Errorf("the other stream's peers are not shown:\n%s", v.String())
	}
	next.Limits.Closed, next.Limits.Until, v.lost = "budget", "2030-02-01T00:00:00Z", true
	if text := v.String(); !strings.Contains(text, "closed by its budget until 2030-02-01") || !strings.Contains(text, "does not answer any more") {
		t.Errorf("it does not say that the node is closed, or lost:\n%s", text)
	}
}

// TestStatusScrolls sees each of many peers, and each of many streams, come into view.
func TestStatusScrolls(t *testing.T) {
	f := crowded(50, 40, "")
	v := statusView{width: 80, height: 20}
	v.take(f, time.Now())
	seen := make(map[string]bool)
	for range f.Streams {
		for range f.Streams[0].Peers {
			text := v.String()
			for _, p := range f.Streams[v.chosen].Peers {
				if strings.Contains(text, shortID(p.ID)) {
					seen[p.ID] = true
				}
			}
			if !strings.Contains(text, "› "+shortID(f.Streams[v.chosen].ID.String())) {
				t.Fatalf("the chosen stream is not shown:\n%s", text)
			}
			v.scroll++
		}
		v.choose(1)
	}
	if v.chosen != 0 {
		t.Errorf("after all streams comes number %d", v.chosen)
	}
	if len(seen) != 50*40 {
		t.Errorf("%d of %d peers came into view", len(seen), 50*40)
	}
}

func TestSparks(t *testing.T) {
	for _, test := range []struct {
		values []float64
		most   float64
		width  int
		want   string
	}{
		{nil, 1, 3, "   "},
		{[]float64{0, 1, 2, 4, 8}, 8, 5, "▁▂▃▅█"},
		{[]float64{0, 1, 2, 4, 8}, 8, 2, "▅█"},
		{[]float64{8}, 8, 3, "  █"},
		{[]float64{8, 8}, 8, 0, ""},
	} {
		if got := sparks(test.values, test.most, test.width); got != test.want {
			t.Errorf("%v: %q, want %q", test.values, got, test.want)
		}
	}
}
