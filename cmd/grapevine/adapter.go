package main

import (
	"context"
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
}

// Streams implements hls.Node.
func (n *hlsNode) Streams() []hls.Stream {
	swarms := n.node.Swarms()
	out := make([]hls.Stream, len(swarms))
	for i, s := range swarms {
		out[i] = hls.Stream{ID: s.ID(), Link: s.Link().String(), Timelines: s.Timelines(), Store: n.node.Store(), Past: swarmPast{s}}
		if n.role == roleWatch && n.recorder == nil {
			out[i].Carry = s.Carry // relays keep all, for whoever comes, and a recording has all
		}
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
		BytesIn:  st.BytesIn,
		BytesOut: st.BytesOut,
		RateIn:   st.RateIn,
		RateOut:  st.RateOut,
		Store:    n.node.Store().Stats(),
		DHTPeers: st.DHTPeers,

		UploadBound:    st.UploadBound,
		UploadKnown:    st.UploadKnown,
		BytesFetched:   st.BytesFetched,
		FetchesRefused: st.FetchesRefused,
		FetchesAgain:   st.FetchesAgain,
	}
	if n.recorder != nil {
		out.Recordings = n.recorder.Status()
	}
	for _, s := range n.node.Swarms() {
		out.Streams = append(out.Streams, streamStatus(s))
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
		Found:           make(map[string]int64),
		Searches:        st.Searches,
		Announced:       st.Announced,
		DHTError:        st.DHTError,
		OriginBytes:     st.OriginBytes,
		OriginRequests:  st.OriginRequests,
		OriginFailures:  st.OriginFailures,
		Offload:         st.Offload(),
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
			RTTMillis: float64(p.RTT) / float64(time.Millisecond),
			BytesIn:   p.BytesIn,
			BytesOut:  p.BytesOut,
			Direct:    !p.Relayed,
			Mesh:      p.Neighbour,
			FoundBy:   string(p.FoundBy),
		})
	}
	return out
}
