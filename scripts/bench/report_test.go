package bench

import (
	"encoding/json"
	"fmt"
	"time"
)

// summary is what is printed of a row. Its JSON is what the README promises; what is
// not a number there is null.
type summary struct {
	Scenario    string       `json:"scenario"`
	Way         string       `json:"way"`
	Nodes       int          `json:"nodes"`
	Seeds       []int64      `json:"seeds"`
	RX          float64      `json:"rx"`
	RXWire      float64      `json:"rx_wire"`
	Source      float64      `json:"src_upload"`
	SourceWire  float64      `json:"src_upload_wire"`
	UploadMax   float64      `json:"upload_max"`
	Delay       delays       `json:"delay_ms"`
	Undelivered int          `json:"undelivered"`
	DeadlineMS  int          `json:"deadline_ms"`
	Continuity  float64      `json:"continuity"`
	Stalls      stalls       `json:"stalls"`
	Offload     *float64     `json:"offload,omitempty"`
	Startup     *startup     `json:"startup_ms"`
	Utilisation float64      `json:"utilisation"`
	Joiners     *joinerStats `json:"joiners,omitempty"`
	Liars       *liarStats   `json:"liars,omitempty"`
	Attack      *attackStats `json:"attack,omitempty"`
	Memory      []memory     `json:"memory,omitempty"`
	Decisions   *decisions   `json:"decisions,omitempty"`
	Counts      chunkCounts  `json:"counts"`

	all times // of delays
}

// ms is a duration in milliseconds, or null for what never came.
type ms time.Duration

func (m ms) MarshalJSON() ([]byte, error) {
	if time.Duration(m) == never {
		return []byte("null"), nil
	}
	return json.Marshal(time.Duration(m).Milliseconds())
}

func (m ms) String() string {
	if time.Duration(m) == never {
		return "never"
	}
	return fmt.Sprintf("%dms", time.Duration(m).Milliseconds())
}

type delays struct {
	P50 ms `json:"p50"`
	P95 ms `json:"p95"`
	P99 ms `json:"p99"`
	Max ms `json:"max"`
}

type stalls struct {
	Count   int `json:"count"`
	Longest ms  `json:"longest_ms"`
}

type startup struct {
	P50 ms `json:"p50"`
	P99 ms `json:"p99"`
}

func startupOf(t times) *startup {
	if t.count() == 0 {
		return nil
	}
	return &startup{ms(t.percentile(.5)), ms(t.percentile(.99))}
}

type joinerStats struct {
	Count      int      `json:"count"`
	Picture    *startup `json:"picture_ms"`
	Continuity float64  `json:"continuity"`
}

type liarStats struct {
	Count  int `json:"count"`
	CutOff struct {
		P50 ms `json:"p50"`
		Max ms `json:"max"`
	} `json:"cut_off_ms"`
	Asked  int     `json:"asked"`
	InMesh float64 `json:"in_mesh"`
}

type attackStats struct {
	ForgedBytes int64 `json:"forged_bytes"`
	CutOff      struct {
		Count int `json:"count"`
		P50   ms  `json:"p50"`
		Max   ms  `json:"max"`
	} `json:"cut_off_ms"`
	Spared struct {
		Count int `json:"count"`
		Max   ms  `json:"max"`
	} `json:"spared_ms"`
	Back       int   `json:"back"`
	Identities int   `json:"identities"`
	HeapBefore int64 `json:"heap_before_bytes"`
	HeapMost   int64 `json:"heap_most_bytes"`
	HeapAfter  int64 `json:"heap_after_bytes"`
	Conns      int   `json:"conns_most"`
	Opened     int   `json:"opened"`
	Refused    int   `json:"refused"`
}

// add adds what became of one run's attack.
func (a *attackStats) add(r attackResult) {
	a.ForgedBytes += r.ForgedBytes
	a.Back += r.Back
	a.Identities += r.Identities
	a.HeapBefore, a.HeapMost, a.HeapAfter = max(a.HeapBefore, r.HeapBefore), max(a.HeapMost, r.HeapMost), max(a.HeapAfter, r.HeapAfter)
	a.Conns = max(a.Conns, r.Conns)
	a.Opened += r.Opened
	a.Refused += r.Refused
}

// summarise puts the runs of a row together: bytes are means of the runs, delays and
// continuity are of all of them, and what is a maximum is the greatest.
func summarise(r row, runs []result) summary {
	s := summary{
		Scenario: r.scenario.name, Way: r.way.name, Nodes: r.scenario.nodes,
		DeadlineMS: int(r.scenario.deadline.Milliseconds()),
	}
	for _, j := range r.jobs {
		s.Seeds = append(s.Seeds, j.Seed)
	}
	var sum result
	var attacks attackStats
	var attackCutOff, attackSpared times
	n := float64(len(runs))
	for _, r := range runs {
		s.RX += r.RX / n
		s.RXWire += r.RXWire / n
		s.Source += r.Source / n
		s.SourceWire += r.SourceWire / n
		s.UploadMax = max(s.UploadMax, r.UploadMax)
		s.Utilisation += r.Utilisation / n
		sum.Delays.merge(r.Delays)
		sum.Pairs += r.Pairs
		sum.InTime += r.InTime
		sum.Stalls.merge(r.Stalls)
		sum.Startup.merge(r.Startup)
		sum.Picture.merge(r.Picture)
		sum.JoinerPairs += r.JoinerPairs
		sum.JoinerInTime += r.JoinerInTime
		sum.CutOff.merge(r.CutOff)
		sum.LiarsAsked += r.LiarsAsked
		sum.LiarsInMesh += r.LiarsInMesh
		s.Memory = append(s.Memory, r.Memory...)
		attackCutOff.merge(r.Attack.CutOff)
		attackSpared.merge(r.Attack.Spared)
		attacks.add(r.Attack)
		s.Counts.add(r.Counts, 1)
		s.Decisions = r.Decisions // one run each
	}
	if r.scenario.attack != "" {
		c := &attacks.CutOff
		c.Count, c.P50, c.Max = attackCutOff.count(), ms(attackCutOff.percentile(.5)), ms(attackCutOff.percentile(1))
		attacks.Spared.Count, attacks.Spared.Max = attackSpared.count(), ms(attackSpared.percentile(1))
		s.Attack = &attacks
	}
	d := sum.Delays
	s.Delay = delays{ms(d.percentile(.5)), ms(d.percentile(.95)), ms(d.percentile(.99)), ms(d.percentile(1))}
	s.all = d
	s.Undelivered = d.Never
	s.Continuity = float64(sum.InTime) / float64(max(1, sum.Pairs))
	s.Stalls = stalls{sum.Stalls.count(), ms(sum.Stalls.percentile(1))}
	if r.scenario.origin {
		share := s.Counts.offload()
		s.Offload = &share
	}
	s.Startup = startupOf(sum.Startup)
	if k := sum.Startup.count(); k > 0 {
		s.Joiners = &joinerStats{k, startupOf(sum.Picture), float64(sum.JoinerInTime) / float64(max(1, sum.JoinerPairs))}
	}
	if k := sum.CutOff.count(); k > 0 {
		s.Liars = &liarStats{Count: k, Asked: sum.LiarsAsked, InMesh: float64(sum.LiarsInMesh) / float64(k)}
		s.Liars.CutOff.P50, s.Liars.CutOff.Max = ms(sum.CutOff.percentile(.5)), ms(sum.CutOff.percentile(1))
	}
	return s
}

// printer prints results as a table for eyes or as JSON, a line each.
type printer struct{ json bool }

func (p printer) header() {
	if !p.json {
		fmt.Fprintf(stdout, "%-13s %-9s %5s %6s %7s %5s %6s %8s %8s %8s %8s %8s %8s %8s %5s\n", "scenario", "way", "nodes",
			"rx", "rx wire", "src", "up max", "p50", "p95", "p99", "max", "in time", "startup", "p99", "util")
	}
}

func (p printer) print(s summary) {
	if p.json {
		// It holds nothing that cannot be encoded.
		_ = json.NewEncoder(stdout).Encode(s)
		return
	}
	start := [2]string{"-", "-"}
	if s.Startup != nil {
		start = [2]string{s.Startup.P50.String(), s.Startup.P99.String()}
	}
	fmt.Fprintf(stdout, "%-13s %-9s %5d %6.3f %7.3f %5.2f %6.2f %8v %8v %8v %8v %7.2f%% %8s %8s %5.2f\n", s.Scenario, s.Way, s.Nodes,
		s.RX, s.RXWire, s.Source, s.UploadMax, s.Delay.P50, s.Delay.P95, s.Delay.P99, s.Delay.Max, 100*s.Continuity, start[0], start[1], s.Utilisation)
	if s.Undelivered > 0 {
		fmt.Fprintf(stdout, "  %d of %d chunks did not come\n", s.Undelivered, s.all.count())
	}
	if j := s.Joiners; j != nil {
		fmt.Fprintf(stdout, "  %d joiners: first picture p50 %v, p99 %v; then %.2f%% of their parts in time\n", j.Count, j.Picture.P50, j.Picture.P99, 100*j.Continuity)
	}
	if l := s.Liars; l != nil {
		fmt.Fprintf(stdout, "  %d liars: cut off after p50 %v, max %v; asked for %d chunks; at the end in %.1f meshes each\n", l.Count, l.CutOff.P50, l.CutOff.Max, l.Asked, l.InMesh)
	}
	if a := s.Attack; a != nil {
		fmt.Fprintf(stdout, "  %d bytes of forged content held, served or passed on\n", a.ForgedBytes)
		if c, still := a.CutOff, a.Spared; c.Count+still.Count > 0 {
			fmt.Fprintf(stdout, "  %d of %d attacked nodes cut the attacker off, after p50 %v, max %v; %d were let in again; %d identities\n", c.Count, c.Count+still.Count, c.P50, c.Max, a.Back, a.Identities)
			if still.Count > 0 {
				fmt.Fprintf(stdout, "  the others had been attacked for %v at most when it ended\n", still.Max)
			}
		}
		if a.Opened+a.Refused > 0 {
			fmt.Fprintf(stdout, "  %d connections were opened, %d refused\n", a.Opened, a.Refused)
		}
		fmt.Fprintf(stdout, "  beside stores, all hold %.1f MB before, %.1f MB at most, %.1f MB at the end; %d connections at one node at most\n", float64(a.HeapBefore)/1e6, float64(a.HeapMost)/1e6, float64(a.HeapAfter)/1e6, a.Conns)
	}
	if t := s.Counts; t.Received > 0 && (t.Twice > 0 || t.Expired > 0) {
		of := func(n int64) float64 { return 100 * float64(n) / float64(t.Received) }
		fmt.Fprintf(stdout, "  of the chunks received: %.2f%% came twice, %.2f%% by fetch; %.2f%% of the wants were not met in time\n", of(t.Twice), of(t.Fetched), of(t.Expired))
		fmt.Fprintf(stdout, "  %d promises taken back, %d chunks too late to be sent, %d messages lost by full queues\n", t.Revoked, t.Overdue, t.Dropped)
	}
	if s.Offload != nil {
		fmt.Fprintf(stdout, "  offload: %.2f%% of the payload came from peers, %.1f MB from the origin\n", 100**s.Offload, float64(s.Counts.OriginBytes)/1e6)
	}
	if s.Way != "schedule" { // which has no players
		fmt.Fprintf(stdout, "  players stalled %d times, for %v at most\n", s.Stalls.Count, s.Stalls.Longest)
	}
	if d := s.Decisions; d != nil {
		fmt.Fprintf(stdout, "  hops mean %.2f, max %d; %.0f events for a node each second, %.1f us each\n", d.HopsMean, d.HopsMax, d.PerNode, d.Microseconds)
	}
	for _, m := range s.Memory {
		fmt.Fprintf(stdout, "  after %v: heap %.1f MB, %d goroutines\n", time.Duration(m.At)*time.Second, float64(m.Heap)/1e6, m.Goroutines)
	}
}

func (p printer) legend() {
	if !p.json {
		fmt.Fprint(stdout, legend)
	}
}

const legend = `
rx        bytes that a viewer receives for each byte of the stream, mean; in libp2p's streams
rx wire   the same in packets, with QUIC's, UDP's and IP's own bytes
src       bytes that the broadcaster sends for each byte of the stream; up max: whoever sends most
p50 …     delay from a chunk's publication to its arrival at a viewer; "never" if it did not come
in time   share of (viewer, part) pairs that are whole by the deadline (3 s, edge: 5 s)
startup   of joiners: from Join until index.m3u8 answers, which is three whole segments
util      the stream's rate over what the swarm could carry at best
Viewers are those that are honest and there from before the measured time until its end.
`
