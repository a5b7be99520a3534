package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"time"
)

// result is what a run measured. Times are in seconds.
type result struct {
	Nodes  int            `json:"nodes"` // that stay, the bootstrap node among them
	ByID   times          `json:"by_id"`
	ByLink times          `json:"by_link"`
	Found  map[string]int `json:"found"` // peers of viewers that know the ID, by what told of them first
}

// times are those of several viewers.
type times struct {
	Viewers int     `json:"viewers"`
	Median  float64 `json:"p50"`
	P95     float64 `json:"p95"`
	Max     float64 `json:"max"`
}

func measure(ctx context.Context, o options) (*result, error) {
	dir, err := os.MkdirTemp("", "grapevine-discovery-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s := &swarm{binary: o.binary, dir: dir}
	defer s.stop()

	boot, err := s.start(ctx, "relay", "--bootstrap-only")
	if err != nil {
		return nil, err
	}
	own := []string{"--bootstrap", boot.ready.Addrs[0]}
	source, err := s.start(ctx, append([]string{"broadcast", "--input", "sample:"}, own...)...)
	if err != nil {
		return nil, err
	}
	if _, err := s.start(ctx, append([]string{"watch", source.ready.Stream}, own...)...); err != nil {
		return nil, err
	}
	res := &result{Nodes: o.nodes, Found: make(map[string]int)}
	viewers, byID, err := s.join(ctx, o.nodes-len(s.nodes), append([]string{"watch", source.ready.Stream}, own...))
	if err != nil {
		return nil, err
	}
	res.ByID = byID
	if _, res.ByLink, err = s.join(ctx, o.linked, []string{"watch", source.ready.Link, "--no-dht"}); err != nil {
		return nil, err
	}
	for _, v := range viewers {
		for source, n := range v.foundBy() {
			res.Found[source] += n
		}
	}
	return res, nil
}

// join starts viewers one after the other.
func (s *swarm) join(ctx context.Context, n int, args []string) (viewers []*node, t times, err error) {
	var took []time.Duration
	for range n {
		v, err := s.start(ctx, args...)
		if err != nil {
			return nil, t, err
		}
		viewers, took = append(viewers, v), append(took, v.took)
	}
	return viewers, newTimes(took), nil
}

func newTimes(took []time.Duration) times {
	if len(took) == 0 {
		return times{}
	}
	slices.Sort(took)
	// The nearest rank: of so many, this is the smallest that so large a share does not exceed.
	at := func(share float64) float64 { return took[int(math.Ceil(share*float64(len(took))))-1].Seconds() }
	return times{len(took), at(0.5), at(0.95), at(1)}
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "%-22s %8s %8s %8s %8s\n", "from process to ready", "viewers", "p50, s", "p95, s", "max, s")
	for _, row := range []struct {
		name string
		t    times
	}{{"by the bare stream ID", r.ByID}, {"by the link", r.ByLink}} {
		fmt.Fprintf(w, "%-22s %8d %8.2f %8.2f %8.2f\n", row.name, row.t.Viewers, row.t.Median, row.t.P95, row.t.Max)
	}
	fmt.Fprintf(w, "\n%d nodes; peers of viewers by what told of them first:", r.Nodes)
	for _, source := range slices.Sorted(maps.Keys(r.Found)) {
		fmt.Fprintf(w, " %s %d", source, r.Found[source])
	}
	fmt.Fprintln(w)
}
