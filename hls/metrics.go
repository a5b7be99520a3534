package hls

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// collector makes metrics of a server's figures each time that somebody asks for them. Names
// follow Prometheus: base units, which are seconds, bytes and ratios, and _total for what only
// grows (prometheus.io/docs/practices/naming). Figures in bits per second become bytes per second.
type collector struct{ figures func() Figures }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	out <- buildInfo
	out <- cutOffMetric
	describeAll(out, nodeMetrics)
	describeAll(out, diskMetrics)
	describeAll(out, gatewayMetrics)
	describeAll(out, inputMetrics)
	describeAll(out, encodingMetrics)
	describeAll(out, publishedMetrics)
	describeAll(out, streamMetrics)
	for _, m := range streamCounts {
		out <- m.desc
	}
	describeAll(out, renditionMetrics)
	describeAll(out, recordingMetrics)
	describeAudience(out)
	out <- peersMetric
	out <- roundTripMedian
	out <- roundTripMost
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	f := c.figures()
	out <- prometheus.MustNewConstMetric(buildInfo, prometheus.GaugeValue, 1, f.Version, f.Role, f.PeerID)
	collect(out, nodeMetrics, &f)
	for reason, n := range f.Misconduct.CutOffBy {
		out <- prometheus.MustNewConstMetric(cutOffMetric, prometheus.CounterValue, float64(n), reason)
	}
	if f.Store.Disk != nil {
		collect(out, diskMetrics, f.Store.Disk)
	}
	if f.Gateway != nil {
		collect(out, gatewayMetrics, f.Gateway)
	}
	if in := f.Input; in != nil {
		collect(out, inputMetrics, in)
		if in.Encoding != nil {
			collect(out, encodingMetrics, in.Encoding)
		}
		if in.Origin != nil {
			collect(out, publishedMetrics, in.Origin)
		}
	}
	for i := range f.Streams {
		st := &f.Streams[i]
		id := st.ID.String()
		collect(out, streamMetrics, st, id)
		for _, m := range streamCounts {
			m.collect(out, st, id)
		}
		collectPeers(out, st, id)
		collectAudience(out, st.Audience, id)
		for j := range st.Renditions {
			collect(out, renditionMetrics, &st.Renditions[j], id, st.Renditions[j].Name)
		}
	}
	for i := range f.Recordings {
		r := &f.Recordings[i]
		collect(out, recordingMetrics, r, r.Stream.String(), r.Rendition)
	}
}

// metric is how one figure of a T is told.
type metric[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*T) float64
}

func describeAll[T any](out chan<- *prometheus.Desc, metrics []metric[T]) {
	for _, m := range metrics {
		out <- m.desc
	}
}

// collect tells the figures of one T.
func collect[T any](out chan<- prometheus.Metric, metrics []metric[T], of *T, labels ...string) {
	for _, m := range metrics {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(of), labels...)
	}
}

// counts is how figures by reason of a stream are told.
type counts struct {
	desc *prometheus.Desc
	of   func(*StreamFigures) map[string]int64
}

func (c counts) collect(out chan<- prometheus.Metric, st *StreamFigures, id string) {
	for reason, n := range c.of(st) {
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(n), id, reason)
	}
}

// collectPeers tells how many peers there are by path. They have no series of their own: over
// weeks of a swarm those would be without end.
func collectPeers(out chan<- prometheus.Metric, st *StreamFigures, id string) {
	type path struct {
		transport         string
		direct, neighbour bool
	}
	peers := make(map[path]int)
	var trips []float64
	for _, p := range st.Peers {
		peers[path{p.Transport, p.Direct, p.Mesh}]++
		if p.RTTMillis > 0 {
			trips = append(trips, p.RTTMillis/1000)
		}
	}
	for p, n := range peers {
		out <- prometheus.MustNewConstMetric(peersMetric, prometheus.GaugeValue, float64(n), id, p.transport, fmt.Sprint(p.direct), fmt.Sprint(p.neighbour))
	}
	if len(trips) == 0 {
		return
	}
	slices.Sort(trips)
	out <- prometheus.MustNewConstMetric(roundTripMedian, prometheus.GaugeValue, trips[(len(trips)-1)/2], id)
	out <- prometheus.MustNewConstMetric(roundTripMost, prometheus.GaugeValue, trips[len(trips)-1], id)
}

func serveMetrics(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}
