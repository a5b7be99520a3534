package p2p

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// A neighbour may pass back peerReports at once and so many a second from then on, which is
	// more than the broadcaster asks for of all, who may be behind one. All together may pass back
	// twice as much.
	peerReports     = 64
	peerReportsRate = 16
	allReports      = 2 * peerReports
	allReportsRate  = 2 * peerReportsRate
	// maxQueuedReports bounds the reports that wait to be sent on.
	maxQueuedReports = 256
	// batchFor is how long a report waits for others to go with it.
	batchFor = 100 * time.Millisecond
	// reportTimeout bounds sending a message of reports, and reading one.
	reportTimeout = 5 * time.Second
	// maxReportStreams bounds the messages of reports that are read at a time.
	maxReportStreams = 32
)

// What keeps a report from being passed back.
var (
	errReportsDropped = errors.New("too many reports")
	errReportRound    = errors.New("a report of another round")
	errReportReplayed = errors.New("a report that was here before")
)

// reportServer takes what peers report, or pass on.
type reportServer struct {
	node    *Node
	reading atomic.Int64
}

func (r *reportServer) handle(s network.Stream) {
	defer s.Close()
	if r.reading.Add(1); r.reading.Load() > maxReportStreams {
		r.reading.Add(-1)
		_ = s.ResetWithError(network.StreamRateLimited)
		return
	}
	defer r.reading.Add(-1)
	if err := s.SetDeadline(time.Now().Add(reportTimeout)); err != nil {
		_ = s.Reset()
		return
	}
	raw, err := readFrame(bufio.NewReader(s), maxReportsSize)
	if err != nil {
		_ = s.Reset()
		return
	}
	from := s.Conn().RemotePeer()
	id, reports, err := parseReports(raw)
	swarm := r.node.swarm(id)
	switch {
	case swarm == nil:
		_ = s.Reset() // an honest peer may not know that this node left
	case err != nil:
		swarm.refuseReport(from, err)
		_ = s.Reset()
	default:
		for _, raw := range reports {
			swarm.takeReport(from, raw)
		}
	}
}

// refuseReport counts what no honest peer sends.
func (s *Swarm) refuseReport(from peer.ID, err error) {
	s.count(func(c *counters) { c.stats.ReportsRefused++; c.peer(from).Refused++ })
	s.log.Debug("report refused", "peer", from, "err", err)
	s.penalise(from, Malformed)
}

// takeReport passes a report back, or opens it if this node is the broadcaster.
func (s *Swarm) takeReport(from peer.ID, raw []byte) {
	switch report, err := s.surveys.admit(from, raw, time.Now()); {
	case errors.Is(err, errReportsDropped):
		s.count(func(c *counters) { c.stats.ReportsDropped++ })
	case errors.Is(err, stream.ErrBadReport):
		s.refuseReport(from, err)
	case err != nil: // an honest peer may be late, or have had it from two
		s.count(func(c *counters) { c.stats.ReportsRefused++ })
		s.log.Debug("report refused", "peer", from, "err", err)
	default:
		s.count(func(c *counters) { c.stats.ReportsPassed++ })
		if v := s.surveying.Load(); v != nil {
			v.take(report)
		}
	}
}

// admit checks a report of a neighbour as far as that goes without opening it, and queues it
// unless this node is the broadcaster.
func (v *surveys) admit(from peer.ID, raw []byte, now time.Time) (*stream.SealedReport, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !limiterOf(v.peers, from, peerReportsRate, peerReports).AllowN(now, 1) || !v.all.AllowN(now, 1) {
		return nil, errReportsDropped
	}
	report, err := stream.ParseSealedReport(raw)
	if err != nil {
		return nil, err
	}
	var of *round
	for _, r := range v.rounds {
		if r.survey.Epoch == report.Epoch && r.survey.Round == report.Round {
			of = r
		}
	}
	if of == nil {
		return nil, fmt.Errorf("%w: %d of epoch %d", errReportRound, report.Round, report.Epoch)
	}
	sum := sha256.Sum256(raw)
	if _, known := of.seen[sum]; known {
		return nil, errReportReplayed
	}
	if len(of.seen) >= maxSeenReports {
		return nil, errReportsDropped
	}
	of.seen[sum] = struct{}{}
	if !v.swarm.source && !v.enqueueLocked(raw, now) {
		return nil, errReportsDropped
	}
	return report, nil
}

// enqueueLocked has a report sent on soon, if there is room for it.
func (v *surveys) enqueueLocked(raw []byte, now time.Time) bool {
	if len(v.queue) >= maxQueuedReports {
		return false
	}
	if len(v.queue) == 0 {
		v.queued = now
	}
	v.queue = append(v.queue, raw)
	v.wakeUp()
	return true
}

// batch takes the reports that are to be sent now, and whereto.
func (v *surveys) batch(now time.Time) (to peer.ID, batch [][]byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.queue) == 0 || len(v.queue) < maxReportBatch && now.Sub(v.queued) < batchFor {
		return "", nil
	}
	n := min(len(v.queue), maxReportBatch)
	batch, v.queue = v.queue[:n:n], v.queue[n:]
	// The last survey's way, also for reports of the one before: who brought that may be gone.
	return v.rounds[len(v.rounds)-1].from, batch
}

// send sends reports one hop towards the broadcaster. Where that fails they are lost: the next
// survey finds another way.
func (v *surveys) send(to peer.ID, batch [][]byte) {
	s := v.swarm
	err := func() error {
		ctx, cancel := context.WithTimeout(network.WithNoDial(s.ctx, "report"), reportTimeout)
		defer cancel()
		out, err := s.node.host.NewStream(ctx, to, reportProtocol)
		if err != nil {
			return err
		}
		defer out.Close()
		if err := out.SetDeadline(time.Now().Add(reportTimeout)); err != nil {
			return errors.Join(err, out.Reset())
		}
		if err := send(bufio.NewWriter(out), marshalReports(s.id, batch)); err != nil {
			return errors.Join(err, out.Reset())
		}
		return nil
	}()
	if err != nil && s.ctx.Err() == nil {
		s.count(func(c *counters) { c.stats.ReportsLost += int64(len(batch)) })
		s.log.Debug("reports lost", "peer", to, "reports", len(batch), "err", err)
	}
}
