package bench

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// growth are the numbers of nodes between which delays are compared.
var growth = []int{20, 50, 100, 200}

// drawAll measures what the pictures show, prints it, and draws them into a directory.
func drawAll(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("make directory of pictures: %w", err)
	}
	even := scenarios[0]
	var rows []row
	add := func(w way, n int) {
		r := row{scenario: even, way: w}
		r.scenario.nodes = n
		for seed := range *seeds {
			r.jobs = append(r.jobs, job{Scenario: even.name, Way: w.name, Seed: int64(seed + 1), Nodes: n, Segments: *segments})
		}
		rows = append(rows, r)
	}
	for _, n := range growth {
		add(ways[0], n)
	}
	add(ways[1], even.nodes)
	out := printer{json: *asJSON}
	out.header()
	var all []summary
	var errs []error
	measure(rows, func(r row, runs []result, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		all = append(all, summarise(r, runs))
		out.print(all[len(all)-1])
	})
	out.legend()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for name, p := range map[string]*plot.Plot{"delay.svg": drawDelays(all, even.nodes), "growth.svg": drawGrowth(all)} {
		if err := save(p, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Colours that can be told apart without seeing red and green (Okabe and Ito).
var (
	blue      = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	vermilion = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
)

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding = vg.Points(8)
	p.Add(plotter.NewGrid())
	p.X.Scale, p.X.AutoRescale = plot.LogScale{}, false
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs, p.Legend.YOffs, p.Legend.Padding = vg.Points(8), -vg.Points(8), vg.Points(3)
	return p
}

// line adds a line, or nothing if there is nothing to draw.
func line(p *plot.Plot, name string, points plotter.XYs, c color.Color) {
	l, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return
	}
	l.Color, l.Width = c, vg.Points(2)
	p.Add(l)
	if len(points) <= len(growth) {
		dots.Color, dots.Radius, dots.Shape = c, vg.Points(3), draw.CircleGlyph{}
		p.Add(dots)
	}
	p.Legend.Add(name, l)
}

// ticks are at some values.
func ticks(label func(v float64) string, values ...float64) plot.ConstantTicks {
	var out plot.ConstantTicks
	for _, v := range values {
		out = append(out, plot.Tick{Value: v, Label: label(v)})
	}
	return out
}

func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func inTime(ms float64) string {
	if ms < 1000 {
		return plain(ms) + " ms"
	}
	return plain(ms/1000) + " s"
}

// drawDelays draws which share of all chunks came within which time.
func drawDelays(all []summary, nodes int) *plot.Plot {
	p := newPlot(fmt.Sprintf("Delay of chunks, %d nodes", nodes), "", "arrived within that time, %")
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs, p.Legend.YOffs = false, false, -vg.Points(8), vg.Points(8)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 30, 30_000, 0, 100
	p.X.Tick.Marker = ticks(inTime, 30, 100, 300, 1000, 3000, 10_000)
	p.Y.Tick.Marker = ticks(plain, 0, 25, 50, 75, 100)
	for _, s := range all {
		if s.Nodes != nodes {
			continue
		}
		var points plotter.XYs
		came, total := 0, float64(max(1, s.all.count()))
		for ms, n := range s.all.Bins {
			if came += n; n > 0 && float64(ms) >= p.X.Min {
				points = append(points, plotter.XY{X: float64(ms), Y: 100 * float64(came) / total})
			}
		}
		if len(points) > 0 { // what did not come by then did not come
			points = append(points, plotter.XY{X: p.X.Max, Y: points[len(points)-1].Y})
		}
		name, c := s.Way, blue
		if s.Way == "classic" {
			name, c = "ordinary gossipsub messages", vermilion
		}
		line(p, name, points, c)
	}
	return p
}

// drawGrowth draws how delays grow with the number of nodes.
func drawGrowth(all []summary) *plot.Plot {
	p := newPlot("Delay of chunks as the swarm grows", "nodes", "delay, ms")
	first, last := float64(growth[0]), float64(growth[len(growth)-1])
	p.X.Min, p.X.Max, p.Y.Min = first/1.1, last*1.1, 0
	var at []float64
	for _, n := range growth {
		at = append(at, float64(n))
	}
	p.X.Tick.Marker = ticks(plain, at...)
	for _, c := range []struct {
		name  string
		share float64
		color color.Color
	}{{"p99", .99, vermilion}, {"p50", .5, blue}} {
		var points plotter.XYs
		for _, s := range all {
			if d := s.all.percentile(c.share); s.Way == "grapevine" && d != never {
				points = append(points, plotter.XY{X: float64(s.Nodes), Y: float64(d / time.Millisecond)})
				p.Y.Max = max(p.Y.Max, 1.25*float64(d/time.Millisecond))
			}
		}
		line(p, c.name, points, c.color)
	}
	return p
}

// style lets a picture follow the reader's theme, in a font that every reader has.
const style = `<style>
text{font-family:system-ui,sans-serif!important}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}
[style*="fill:#FFFFFF"]{fill:#0d1117!important}
[style*="stroke:#000000"]{stroke:#e6edf3!important}
[style*="stroke:#808080"]{stroke:#484f58!important}
[style*="#0072B2"]{stroke:#56b4e9!important}
[style*="#D55E00"]{stroke:#ff8c42!important}
}
</style>
`

func save(p *plot.Plot, path string) error {
	w, err := p.WriterTo(17*vg.Centimeter, 9*vg.Centimeter, "svg")
	if err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	svg := strings.Replace(b.String(), "<g ", style+"<g ", 1)
	if err := os.WriteFile(path, []byte(svg), 0o666); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return nil
}

func TestPicturesShowEveryLine(t *testing.T) {
	var all []summary
	for _, n := range growth {
		var d times
		for i := range 1000 {
			d.add(time.Duration(50+i*n/100) * time.Millisecond)
		}
		all = append(all, summary{Way: "grapevine", Nodes: n, all: d})
		d.merge(times{Never: 100})
		all = append(all, summary{Way: "classic", Nodes: n, all: d})
	}
	dir := t.TempDir()
	for name, p := range map[string]*plot.Plot{"delay.svg": drawDelays(all, 50), "growth.svg": drawGrowth(all)} {
		path := filepath.Join(dir, name)
		if err := save(p, path); err != nil {
			t.Fatal(err)
		}
		svg, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []string{"stroke:#0072B2", "stroke:#D55E00", "<style>"} {
			if !strings.Contains(string(svg), c) {
				t.Errorf("%s lacks %s", name, c)
			}
		}
	}
}
