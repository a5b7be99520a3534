package main

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/hls/record"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// hlsNode shows a p2p node to the HLS server in the server's own terms: the two
// packages do not know each other.
type hlsNode struct {
	node     *p2p.Node
	role     string
	recorder *record.Recorder // nil unless the node records
	keeper   *keeper          // nil in a demo
	started  time.Time
	input    atomic.Pointer[func() *inputStats] // of a broadcaster, once it has one
	opened   *openedStreams                     // the private ones of which it has keys
	reporter *reporter                          // nil in a demo
}

// Streams implements hls.Node.
func (n *hlsNode) Streams() []hls.Stream {
	swarms := n.node.Swarms()
	out := make([]hls.Stream, len(swarms))
	for i, s := range swarms {
		out[i] = n.shown(s)
	}
	return out
}

// listingsOf returns what the server lists as on air.
func listingsOf(node *p2p.Node) func() []hls.Listing {
	return func() []hls.Listing {
		entries := node.Directory()
		out := make([]hls.Listing, len(entries))
		for i, e := range entries {
			out[i] = newListing(e)
		}
		return out
	}
}

func newListing(e stream.Entry) hls.Listing {
	return hls.Listing{
		Stream:      e.Stream,
		Title:       e.Title,
		Description: e.Description,
		Link:        e.Link().String(),
		Issued:      e.Issued,
		Expires:     e.Expires(),
	}
}

// swarmPast is what a swarm's peers hold, as the HLS server asks for it.
type swarmPast struct{ swarm *p2p.Swarm }

// Learn implements hls.Past.
func (p swarmPast) Learn(ctx context.Context, rendition string, since time.Time, bytes int64) error {
	return p.swarm.LearnPast(ctx, rendition, since, bytes)
}

// Fetch implements hls.Past.
func (p swarmPast) Fetch(ctx context.Context, rendition string, epoch, segment uint64) ([][][]byte, error) {
	return p.swarm.FetchPast(ctx, rendition, epoch, segment)
}

// Held implements hls.Past.
func (p swarmPast) Held(rendition string) []stream.Span { return p.swarm.HeldPast(rendition) }

// Status implements hls.Node.
func (n *hlsNode) Status() hls.Status {
	st := n.node.Stats()
	out := hls.Status{
		PeerID:   n.node.ID().String(),
		Role:     n.role,
		Version:  version(),
		Addrs:    n.node.Addrs(),
		Uptime:   time.Since(n.started).Seconds(),
		BytesIn:  st.BytesIn,
		BytesOut: st.BytesOut,
		RateIn:   st.RateIn,
		RateOut:  st.RateOut,
		Store:    n.node.Store().Stats(),
		DHTPeers: st.DHTPeers,

		Connections:       st.Connections,
		ConnectionsSilent: st.ConnectionsSilent,
		MessagesDropped:   st.DroppedRPCs,
		MDNSPeers:         st.MDNSPeers,

		UploadBound:    st.UploadBound,
		UploadKnown:    st.UploadKnown,
		BytesFetched:   st.BytesFetched,
		FetchesRefused: st.FetchesRefused,
		FetchesAgain:   st.FetchesAgain,

		Directory: hls.DirectoryStatus(n.node.DirectoryStats()),
		Limits:    limitsStatus(n.node, n.keeper),

		Misconduct: misconductStatus(n.node.Stats()),
	}
	out.Reports = n.reporter != nil && n.reporter.agreed.Load()
	if input := n.input.Load(); input != nil {
		out.Input = (*input)()
	}
	if n.recorder != nil {
		out.Recordings = n.recorder.Status()
	}
	for _, s := range n.node.Swarms() {
		st := streamStatus(s)
		st.Title = n.node.Title(s.ID())
		out.Streams = append(out.Streams, st)
	}
	return out
}

func streamStatus(s *p2p.Swarm) hls.StreamStatus {
	st := s.Stats()
	out := hls.StreamStatus{
		ID:              s.ID(),
		Link:            s.Link().String(),
		ChunksReceived:  st.ChunksReceived,
		ChunksDuplicate: st.ChunksDuplicate,
		ChunksRefused:   st.ChunksRefused,
		ChunksLate:      st.ChunksLate,
		ChunksLost:      st.ChunksLost,
		ChunksPast:      st.PastChunks,
		PastClaims:      st.PastClaims,
		ChunksSent:      st.ChunksSent,
		HeadersReceived: st.HeadersReceived,
		PayloadIn:       st.BytesReceived,
		PayloadOut:      st.BytesSent,
		Published:       st.BytesPublished,

		HeadersRefusedBy: st.HeadersRefused,
		HeadersPast:      st.PastHeaders,
		ChunksFetched:    st.ChunksFetched,
		ChunksOverdue:    st.ChunksOverdue,
		Wanted:           st.Wanted,
		WantsExpired:     st.WantsExpired,
		EventsDropped:    st.EventsDropped,

		Parents:         st.Parents,
		Children:        st.Children,
		Slots:           st.Slots,
		Supply:          st.Supply,
		PromisesRevoked: st.PromisesRevoked,
		Penalised:       st.Penalties,
		PeersCutOff:     st.PeersCutOff,
		Equivocations:   st.Equivocations,

		Enrolments:         st.Enrolments,
		EnrolmentsRefused:  st.EnrolmentsRefused,
		EnrolmentsDropped:  st.EnrolmentsDropped,
		Moderations:        st.Moderations,
		ModerationsRefused: st.ModerationsRefused,
		ModerationsDropped: st.ModerationsDropped,

		Surveys:        st.Surveys,
		SurveysRefused: st.SurveysRefused,
		ReportsSent:    st.ReportsSent,
		ReportsPassed:  st.ReportsPassed,
		ReportsRefused: st.ReportsRefused,
		ReportsDropped: st.ReportsDropped,
		ReportsLost:    st.ReportsLost,
		Audience:       audienceStatus(s.Surveyor()),

		DialError:      st.LastDialError,
		Found:          make(map[string]int64),
		Searches:       st.Searches,
		Announced:      st.Announced,
		DHTError:       st.DHTError,
		OriginBytes:    st.OriginBytes,
		OriginRate:     st.OriginRate,
		OriginPast:     st.OriginPastBytes,
		OriginHeaders:  st.OriginHeaders,
		OriginChunks:   st.OriginChunks,
		OriginInVain:   st.OriginInVain,
		OriginRequests: st.OriginRequests,
		OriginFailures: st.OriginFailures,
		Offload:        st.Offload(),
	}
	for source, n := range st.Found {
		out.Found[string(source)] = n
	}
	for _, n := range st.HeadersRefused {
		out.HeadersRefused += n
	}
	for _, p := range st.Peers {
		out.Peers = append(out.Peers, hls.PeerStatus{
			ID:        p.ID.String(),
			Addr:      p.Addr,
			Transport: transport(p.Addr),
			RTTMillis: float64(p.RTT) / float64(time.Millisecond),
			BytesIn:   p.BytesIn,
			BytesOut:  p.BytesOut,
			Refused:   p.Refused,
			Direct:    !p.Relayed,
			Mesh:      p.Neighbour,
			FoundBy:   string(p.FoundBy),
		})
	}
	return out
}

// transport names what a connection's first leg goes by, "" if there is no connection.
func transport(addr string) string {
	for _, t := range []struct{ in, name string }{{"/quic", "QUIC"}, {"/ws", "WebSocket"}, {"/tcp/", "TCP"}} {
		if strings.Contains(addr, t.in) {
			return t.name
		}
	}
	return ""
}

// misconductStatus shows what a node did about peers that misbehave, in the server's terms.
func misconductStatus(st p2p.Stats) hls.MisconductStatus {
	out := hls.MisconductStatus{
		CutOffBy:     make(map[string]int64, len(st.CutOff)),
		BannedPeers:  st.BannedPeers,
		BannedAddrs:  st.BannedAddrs,
		ConnsRefused: st.ConnsRefused,
		SaidTooMuch:  st.SaidTooMuch,
	}
	for why, n := range st.CutOff {
		out.CutOffBy[string(why)] = n
	}
	return out
}
