package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"github.com/grapevine-live/grapevine/hls"
)

const (
	// graphed is how many answers' rates the graphs have.
	graphed = 60
	// leastWidth and leastHeight are what there is drawn for at least: smaller terminals see the
	// corner of it.
	leastWidth, leastHeight = 20, 4
)

// statusView draws a node's figures. No line is wider than its width, and there are no more of
// them than its height.
type statusView struct {
	figures       *hls.Figures
	at            time.Time // of the figures
	width, height int
	whole         bool // everything is drawn, whatever its height
	colour        bool
	lost          bool // the node did not answer any more

	chosen  int // of the streams
	scroll  int // peers that are above what is shown
	in, out []float64
	before  map[string]hls.PeerStatus // of the answer before, by stream and peer
	rates   map[string][2]float64     // bits per second from and to, likewise
}

// take notes an answer, of which it makes rates by what the one before it had.
func (v *statusView) take(f *hls.Figures, at time.Time) {
	seconds := 0.0
	if v.figures != nil {
		seconds = float64(f.Now-v.figures.Now) / 1000
	}
	before := v.before
	v.before, v.rates = make(map[string]hls.PeerStatus), make(map[string][2]float64)
	for _, st := range f.Streams {
		for _, p := range st.Peers {
			key := st.ID.String() + p.ID
			v.before[key] = p
			if old, ok := before[key]; ok && seconds > 0 {
				v.rates[key] = [2]float64{8 * float64(max(0, p.BytesIn-old.BytesIn)) / seconds, 8 * float64(max(0, p.BytesOut-old.BytesOut)) / seconds}
			}
		}
	}
	v.in, v.out = append(v.in, f.RateIn), append(v.out, f.RateOut)
	if len(v.in) > graphed {
		v.in, v.out = v.in[1:], v.out[1:]
	}
	v.figures, v.at = f, at
	v.chosen = max(0, min(v.chosen, len(f.Streams)-1))
}

// choose moves among the streams.
func (v *statusView) choose(by int) {
	if n := len(v.figures.Streams); n > 0 {
		v.chosen, v.scroll = (v.chosen+by+n)%n, 0
	}
}

// String draws the view.
func (v statusView) String() string { return strings.Join(v.lines(), "\n") }

// lines draws the view, each line as wide as it may be at most.
func (v statusView) lines() []string {
	v.width = max(v.width, leastWidth)
	if !v.whole {
		v.height = max(v.height, leastHeight)
	}
	lines := v.head()
	if v.whole {
		for i := range v.figures.Streams {
			v.chosen = i
			lines = append(lines, "", v.streamLine(i))
			lines = append(lines, v.audience()...)
			lines = append(lines, v.peers(-1)...)
		}
	} else {
		lines = append(lines, v.body(v.height-len(lines)-1)...)
		lines = lines[:min(len(lines), v.height-1)]
		lines = append(lines, v.dim("• neighbour  ←→ stream  ↑↓ peers  q end"))
	}
	for i, l := range lines {
		lines[i] = ansi.Truncate(l, v.width, "…")
	}
	return lines
}

// head says who the node is, what passes, and what is used.
func (v statusView) head() []string {
	f := v.figures
	title := v.bold("grapevine "+plain(f.Role)) + "  " + shortID(f.PeerID) + "  " + plain(f.Version) + "  up " + clock(time.Duration(f.Uptime*float64(time.Second)))
	lines := []string{title}
	if v.lost {
		lines = append(lines, v.paint("1;31", "The node does not answer any more; these figures are of "+v.at.Format("15:04:05")+"."))
	}
	if f.Limits.Closed != "" {
		until := ""
		if f.Limits.Until != "" {
			until = " until " + plain(f.Limits.Until)
		}
		lines = append(lines, v.paint("1;33", "The node takes no part: closed by its "+plain(f.Limits.Closed)+until+"."))
	}
	graph := min(graphed, max(0, v.width-44))
	most := slices.Max(append(slices.Concat(v.in, v.out), 1))
	lines = append(lines,
		fmt.Sprintf("down %11s  %s  %s in all", formatRate(f.RateIn), v.paint("35", sparks(v.in, most, graph)), formatBytes(f.BytesIn)),
		fmt.Sprintf("up   %11s  %s  %s in all", formatRate(f.RateOut), v.paint("32", sparks(v.out, most, graph)), formatBytes(f.BytesOut)),
	)
	facts := []string{
		count(f.Connections, "connection"),
		"cache " + formatBytes(f.Store.Bytes) + " of " + formatBytes(f.Store.Limit),
	}
	if b := f.Limits.Budget; b > 0 {
		facts = append(facts, "budget "+bar(float64(b-f.Limits.BudgetLeft)/float64(b), 10)+" "+formatBytes(f.Limits.BudgetLeft)+" left")
	}
	if f.UploadBound > 0 {
		facts = append(facts, "uplink "+formatRate(float64(f.UploadBound)))
	}
	if f.Gateway != nil {
		facts = append(facts, count(f.Gateway.Viewers, "viewer")+" by the gateway")
	}
	if f.Input != nil {
		facts = append(facts, "encoder "+formatRate(f.Input.Rate))
		if f.Input.Gone > 0 {
			facts = append(facts, v.paint("33", fmt.Sprintf("gone for %.0f s", f.Input.Gone)))
		}
	}
	return append(lines, joinFacts(facts...))
}

// body lists the streams, as many as fit in a third of the height, and the chosen one's peers.
func (v statusView) body(height int) (lines []string) {
	n := len(v.figures.Streams)
	if n == 0 {
		return []string{"", "This node has joined no stream."}
	}
	shown := max(1, min(n, height/3))
	first := max(0, min(v.chosen-shown/2, n-shown))
	heading := "Streams"
	if shown < n {
		heading = fmt.Sprintf("Streams %d to %d of %d", first+1, first+shown, n)
	}
	lines = append(lines, "", v.dim(heading))
	for i := first; i < first+shown; i++ {
		lines = append(lines, v.streamLine(i))
	}
	if told := v.audience(); height-len(lines) > len(told) {
		lines = append(lines, told...)
	}
	if room := height - len(lines); room > 1 {
		lines = append(lines, v.peers(room)...)
	}
	return lines
}

// streamLine is one line of truth about a stream.
func (v statusView) streamLine(i int) string {
	st := &v.figures.Streams[i]
	name := shortID(st.ID.String())
	if title := plain(st.Title); title != "" {
		name = ansi.Truncate(title, max(12, v.width/3), "…") + " " + v.dim(name)
	}
	marker := "  "
	if i == v.chosen && !v.whole {
		marker, name = "› ", v.bold(name)
	}
	state := "waiting"
	switch {
	case st.Ended:
		state = "ended"
	case st.Playable:
		state = fmt.Sprintf("%.0f s ready", st.Buffer)
	}
	facts := []string{state, count(len(st.Peers), "peer")}
	if st.Players > 0 {
		facts = append(facts, count(st.Players, "player"))
	}
	if d, ok := delay(st); ok && !st.Ended {
		facts = append(facts, fmt.Sprintf("%.1f s behind", d))
	}
	if st.OriginBytes > 0 {
		facts = append(facts, fmt.Sprintf("%.0f%% from peers", 100*st.Offload))
	}
	if skipped := skippedSegments(st); skipped > 0 {
		facts = append(facts, v.paint("33", count(int(skipped), "segment")+" lost"))
	}
	return marker + name + "  " + joinFacts(facts...)
}

// audience says how the chosen stream fares at nodes that tell its broadcaster.
func (v statusView) audience() []string {
	a := v.figures.Streams[v.chosen].Audience
	if a == nil || a.At == 0 {
		return nil
	}
	facts := []string{estimate(a.Viewers, a.ViewersError) + plural(" viewer", a.Viewers) + " of " + estimate(a.Nodes, a.NodesError) + " " + tellers(a.Nodes)}
	if a.Viewers > 0 {
		facts = append(facts, fmt.Sprintf("%.1f s behind (p95 %.1f s)", a.DelayP50, a.DelayP95))
		stalls := fmt.Sprintf("%.0f%% stalled (p95 %.1f s)", 100*a.Stalling, a.StalledP95)
		if a.Stalling > 0 {
			stalls = v.paint("33", stalls)
		}
		facts = append(facts, stalls)
	}
	lines := []string{"    " + joinFacts(facts...)}
	if a.Nodes > 0 {
		lines = append(lines, fmt.Sprintf("    %.0f%% from each other · %.0f%% of nodes fed by one · %.0f%% without spare upload", 100*a.FromPeers, 100*a.OneFeeder, 100*a.NoSpare))
	}
	return lines
}

func tellers(nodes float64) string {
	if nodes == 1 {
		return "node that tells"
	}
	return "nodes that tell"
}

// delay returns how far the best rendition's newest segment is behind, in seconds.
func delay(st *hls.StreamFigures) (seconds float64, ok bool) {
	for _, r := range st.Renditions {
		if r.Playable && (!ok || r.Latency < seconds) {
			seconds, ok = r.Latency, true
		}
	}
	return seconds, ok
}

func skippedSegments(st *hls.StreamFigures) (n uint64) {
	for _, r := range st.Renditions {
		n += r.Skipped
	}
	return n
}

// peers is a table of the chosen stream's, the busiest first, of at most so many lines; below 0
// of all. On narrow terminals it has fewer columns.
func (v statusView) peers(height int) (lines []string) {
	st := &v.figures.Streams[v.chosen]
	if len(st.Peers) == 0 {
		return []string{v.dim("  No peers are connected for this stream.")}
	}
	peers := slices.Clone(st.Peers)
	key := func(p hls.PeerStatus) string { return st.ID.String() + p.ID }
	slices.SortStableFunc(peers, func(a, b hls.PeerStatus) int {
		return cmp.Or(cmp.Compare(b.BytesIn+b.BytesOut, a.BytesIn+a.BytesOut), cmp.Compare(a.ID, b.ID))
	})
	heading := v.dim("  " + row(v.width-2, "peer", "path", "round trip", "from it", "", "to it", ""))
	if height < 0 {
		height = len(peers) + 1
	}
	first := max(0, min(v.scroll, len(peers)-(height-1)))
	lines = append(lines, heading)
	for _, p := range peers[first:min(len(peers), first+height-1)] {
		r := v.rates[key(p)]
		mark := "  "
		if p.Mesh {
			mark = v.paint("32", "• ")
		}
		trip := "–"
		if p.RTTMillis > 0 {
			trip = fmt.Sprintf("%.0f ms", p.RTTMillis)
		}
		lines = append(lines, mark+row(v.width-2, shortID(p.ID), path(p), trip, formatRate(r[0]), formatBytes(p.BytesIn), formatRate(r[1]), formatBytes(p.BytesOut)))
	}
	return lines
}

// row puts cells into columns, of which a narrow terminal gets the first.
func row(width int, cells ...string) string {
	widths := []int{-14, -16, 10, 11, 8, 11, 8} // those below 0 begin at the left
	var b strings.Builder
	for i, c := range cells {
		w := max(widths[i], -widths[i])
		if used := ansi.StringWidth(b.String()); i > 0 && used+1+w > width {
			break
		} else if i > 0 {
			b.WriteByte(' ')
		}
		c = ansi.Truncate(plain(c), w, "…")
		pad := strings.Repeat(" ", w-ansi.StringWidth(c))
		if widths[i] < 0 {
			b.WriteString(c + pad)
		} else {
			b.WriteString(pad + c)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// path says how a peer is connected.
func path(p hls.PeerStatus) string {
	way := "direct"
	if !p.Direct {
		way = "relayed"
	}
	if p.Transport == "" {
		return "gone"
	}
	return p.Transport + ", " + way
}

// sparks draws the last values as a graph of one line, on a scale that reaches to most.
func sparks(values []float64, most float64, width int) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	values = values[max(0, len(values)-width):]
	out := []rune(strings.Repeat(" ", max(0, width-len(values))))
	for _, x := range values {
		i := int(x / most * float64(len(levels)))
		out = append(out, levels[max(0, min(i, len(levels)-1))])
	}
	return string(out)
}

// bar draws a share of 0 to 1.
func bar(share float64, width int) string {
	n := max(0, min(width, int(share*float64(width)+0.5)))
	return strings.Repeat("█", n) + strings.Repeat("░", width-n)
}

// shortID shortens an ID as the page does.
func shortID(id string) string {
	id = plain(id)
	if r := []rune(id); len(r) > 16 {
		return string(r[:6]) + "…" + string(r[len(r)-6:])
	}
	return id
}

// plain leaves out of others' words what terminals take as orders.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
}

func (v statusView) bold(text string) string { return v.paint("1", text) }
func (v statusView) dim(text string) string  { return v.paint("2", text) }

func (v statusView) paint(code, text string) string {
	if !v.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
