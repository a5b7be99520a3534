package hls

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Figures are all of a node's figures: those of the node, and those of its server. There is no
// other source: /api/v1/status answers them, and metrics are made of them.
type Figures struct {
	Status
	Now     int64           `json:"now_millis"` // this node's clock, milliseconds since 1970
	Store   StoreFigures    `json:"store"`
	Streams []StreamFigures `json:"streams"` // takes the place of Status.Streams
	HTTP    HTTPFigures     `json:"http"`
	// Of a node that has one.
	Gateway *GatewayStatus `json:"gateway,omitempty"`
}

// StoreFigures are those of the store of all streams, in bytes.
type StoreFigures struct {
	Bytes   int64 `json:"bytes"`   // held now
	Limit   int64 `json:"limit"`   // the bound
	Evicted int64 `json:"evicted"` // bytes let go to stay within it
	// Of a node that keeps streams on a disk, too.
	Disk *DiskFigures `json:"disk,omitempty"`
}

// DiskFigures are of what a node keeps on a disk: bytes, and counts since the start.
type DiskFigures struct {
	Bytes   int64  `json:"bytes"`           // in files now
	Limit   int64  `json:"limit"`           // the bound
	Written int64  `json:"written"`         // to files
	Waiting int64  `json:"waiting"`         // to be written
	Evicted int64  `json:"evicted"`         // let go to stay within the bound
	Damaged int64  `json:"chunks_damaged"`  // not there, or not as they were signed, when they were to be read
	Slow    int64  `json:"parts_slow"`      // not kept: the disk was too slow
	Failed  int64  `json:"parts_failed"`    // not kept: the disk refused them
	Error   string `json:"error,omitempty"` // why it refuses parts now
}

func diskFigures(d *stream.DiskStats) *DiskFigures {
	if d == nil {
		return nil
	}
	return &DiskFigures{d.Bytes, d.Limit, d.Written, d.Waiting, d.Evicted, d.Damaged, d.Slow, d.Failed, d.Error}
}

// HTTPFigures count requests since the start.
type HTTPFigures struct {
	Requests int64 `json:"requests"`
	Held     int64 `json:"held"`      // waited for what was on its way
	HeldNow  int64 `json:"held_now"`  // waiting now
	TimedOut int64 `json:"timed_out"` // waited in vain
	Left     int64 `json:"left"`      // the client went while waiting
	Refused  int64 `json:"refused"`   // too many were waiting
	Unknown  int64 `json:"unknown"`   // answered 404

	Conns        int64 `json:"conns"`         // connections now
	ConnsClosed  int64 `json:"conns_closed"`  // that were of no use, to make room for others
	ConnsRefused int64 `json:"conns_refused"` // as their address had too many

	RefusedHosts  int64 `json:"refused_hosts"`  // the browser knew the node by another's name
	RefusedSites  int64 `json:"refused_sites"`  // a page of another site was behind the request
	RefusedTokens int64 `json:"refused_tokens"` // another machine's, without the token
	RefusedBodies int64 `json:"refused_bodies"` // requests that came with a body
}

// StreamFigures are those of one stream.
type StreamFigures struct {
	StreamStatus
	HLS        string             `json:"hls"`             // path of the multivariant playlist
	LL         string             `json:"ll"`              // the same for low latency
	DVR        string             `json:"dvr"`             // the same for the one that rewinds
	Embed      string             `json:"embed,omitempty"` // path of the player for frames of other sites, if any may
	Playable   bool               `json:"playable"`
	Players    int                `json:"players"` // that asked for it within the last half minute, by this node's own address; those of one address and program are one
	Ended      bool               `json:"ended"`
	Private    bool               `json:"private,omitempty"` // it is sealed
	Sealed     bool               `json:"sealed,omitempty"`  // to this node, too, which shows nothing of it
	Buffer     float64            `json:"buffer_seconds"`    // listed by the rendition that lists least
	Renditions []RenditionFigures `json:"renditions"`
}

// RenditionFigures are those of one rendition and of its live playlist.
type RenditionFigures struct {
	Name           string     `json:"name"`            // such as main, or a height
	Carried        bool       `json:"carried"`         // this node holds it; else a player has to ask for it
	Playable       bool       `json:"playable"`        // its live playlist can be answered
	Ended          bool       `json:"ended"`           // the live playlist has ended
	Segments       int        `json:"segments"`        // listed
	Buffer         float64    `json:"buffer_seconds"`  // listed
	Latency        float64    `json:"latency_seconds"` // from the end of the newest listed segment, by the broadcaster's clock, until now by this node's
	TargetDuration int        `json:"target_duration_seconds"`
	TargetRaised   int        `json:"target_raised"`     // times a segment was longer
	MediaSequence  uint64     `json:"media_sequence"`    // of the first segment listed
	Listed         uint64     `json:"segments_listed"`   // since the start
	Skipped        uint64     `json:"segments_skipped"`  // left out since the start
	Bandwidth      int        `json:"bandwidth"`         // bits per second of the densest segment
	Average        int        `json:"average_bandwidth"` // bits per second of what is listed
	Codecs         string     `json:"codecs"`            // as RFC 6381 writes them
	Width          int        `json:"width"`             // in pixels; 0 without a picture
	Height         int        `json:"height"`            // likewise
	FrameRate      float64    `json:"frame_rate"`        // frames per second; 0 if not known
	DVR            DVRFigures `json:"dvr"`
}

// DVRFigures are those of the playlist that rewinds.
type DVRFigures struct {
	Playable      bool    `json:"playable"` // somebody has asked for it
	Segments      int     `json:"segments"` // listed
	Seconds       float64 `json:"seconds"`  // listed
	MediaSequence uint64  `json:"media_sequence"`
	Fetched       int64   `json:"segments_fetched"` // from peers, since the start
	Fetching      int     `json:"segments_fetching"`
	Lost          int64   `json:"segments_lost"` // which could not be had any more, since the start
}

// Figures returns the figures at a time, which is now.
func (s *Server) Figures(now time.Time) Figures { return s.figures(now, "") }

// figures returns them with paths that begin with a prefix.
func (s *Server) figures(now time.Time, prefix string) Figures {
	node := s.cfg.Node.Status()
	out := Figures{
		Status: node,
		Now:    now.UnixMilli(),
		Store:  StoreFigures{node.Store.Bytes, node.Store.Limit, node.Store.Evicted, diskFigures(node.Store.Disk)},
		HTTP: HTTPFigures{
			Requests: s.counts.requests.Load(),
			Held:     s.counts.held.Load(),
			HeldNow:  s.counts.heldNow.Load(),
			TimedOut: s.counts.timedOut.Load(),
			Left:     s.counts.left.Load(),
			Refused:  s.counts.refused.Load(),
			Unknown:  s.counts.unknown.Load(),

			Conns:        s.counts.room.now.Load(),
			ConnsClosed:  s.counts.room.closed.Load(),
			ConnsRefused: s.counts.room.refused.Load(),

			RefusedHosts:  s.door.otherHost.Load(),
			RefusedSites:  s.door.otherSite.Load(),
			RefusedTokens: s.door.noToken.Load(),
			RefusedBodies: s.door.bodies.Load(),
		},
		Streams: []StreamFigures{}, // not null
	}
	if out.Addrs == nil {
		out.Addrs = []string{}
	}
	if g := s.gateway.Load(); g != nil {
		st := g.Status()
		out.Gateway = &st
	}
	figures := make(map[stream.ID]StreamStatus, len(node.Streams))
	for _, st := range node.Streams {
		figures[st.ID] = st
	}
	for _, st := range s.cfg.Node.Streams() {
		dir := prefix + "/" + st.ID.String() + "/"
		api := StreamFigures{StreamStatus: figures[st.ID], HLS: dir + "index.m3u8", LL: dir + "ll.m3u8", DVR: dir + "dvr.m3u8", Renditions: []RenditionFigures{}}
		api.ID, api.Link, api.Buffer = st.ID, st.Link, s.Buffer(st.ID).Seconds()
		api.Private, api.Sealed = st.Private, st.Sealed()
		if len(s.door.origins) > 0 {
			api.Embed = prefix + embedPrefix + st.ID.String()
		}
		if api.Peers == nil {
			api.Peers = []PeerStatus{}
		}
		if api.Found == nil {
			api.Found = map[string]int64{}
		}
		if served, _, _ := s.find(st.ID); served != nil {
			api.Players = served.players.count(now)
			for _, r := range served.renditions {
				rendition := r.status(now)
				rendition.Carried, rendition.DVR = r.stop != nil, r.dvr.status()
				api.Renditions = append(api.Renditions, rendition)
			}
		}
		api.Ended = len(api.Renditions) > 0
		for _, r := range api.Renditions {
			api.Playable = api.Playable || r.Playable
			api.Ended = api.Ended && (r.Ended || !r.Carried)
		}
		out.Streams = append(out.Streams, api)
	}
	return out
}

func (f *follower) status(now time.Time) RenditionFigures {
	v, _ := f.current()
	w := &v.window
	out := RenditionFigures{
		Name:           f.timeline.Rendition(),
		Playable:       v.playable(),
		Ended:          w.ended,
		Segments:       len(w.entries),
		Buffer:         w.duration().Seconds(),
		TargetDuration: w.target,
		TargetRaised:   w.raised,
		Listed:         w.listed,
		Skipped:        v.edge.skipped,
		Bandwidth:      w.peak,
		Average:        w.average(),
	}
	if n := len(w.entries); n > 0 {
		newest := w.entries[n-1]
		out.MediaSequence = w.entries[0].sequence
		out.Latency = now.Sub(newest.programTime.Add(newest.duration)).Seconds()
		out.Codecs, out.FrameRate = newest.media.Codecs, newest.media.FrameRate
		out.Width, out.Height = newest.media.Width, newest.media.Height
	}
	return out
}

func (d *dvr) status() DVRFigures {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.view.list
	out := DVRFigures{
		Playable: d.view.playable(),
		Segments: len(l.entries),
		Seconds:  l.duration().Seconds(),
		Fetched:  d.fetches.fetched,
		Fetching: d.fetches.underWay(),
		Lost:     d.fetches.failed,
	}
	if out.Segments > 0 {
		out.MediaSequence = l.entries[0].sequence
	}
	return out
}
