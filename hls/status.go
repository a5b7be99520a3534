package hls

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Status is a node's figures. Counts are since the node's start.
type Status struct {
	PeerID  string   `json:"peer_id"`
	Role    string   `json:"role"` // broadcast, watch, relay or demo
	Version string   `json:"version"`
	Addrs   []string `json:"addrs"` // multiaddrs that it listens on, with /p2p/

	BytesIn  int64   `json:"bytes_in"`  // received from peers, on the wire as far as known
	BytesOut int64   `json:"bytes_out"` // given to peers, likewise
	RateIn   float64 `json:"rate_in"`   // bits per second over the last few seconds
	RateOut  float64 `json:"rate_out"`  // bits per second over the last few seconds

	UploadBound    int   `json:"upload_bound"`    // bits per second that chunks may fill now; 0 if nothing bounds them
	UploadKnown    bool  `json:"upload_known"`    // whether that was given rather than measured
	BytesFetched   int64 `json:"bytes_fetched"`   // given to peers that came late or lacked something
	FetchesRefused int64 `json:"fetches_refused"` // such requests for which there was no room
	FetchesAgain   int64 `json:"fetches_again"`   // such requests of peers for what they had too often

	DHTPeers int `json:"dht_peers"` // peers in the DHT's routing table; 0 without a DHT

	Recordings []RecordingStatus `json:"recordings,omitempty"` // in the order of the streams

	Streams []StreamStatus    `json:"streams"` // in the order in which they were joined
	Store   stream.StoreStats `json:"-"`       // of all streams; in the JSON as store
}

// StreamStatus is a node's figures for one stream.
type StreamStatus struct {
	ID    stream.ID    `json:"id"`
	Link  string       `json:"link"` // to share
	Peers []PeerStatus `json:"peers"`

	ChunksReceived  int64 `json:"chunks_received"`  // new and verified
	ChunksDuplicate int64 `json:"chunks_duplicate"` // had them already
	ChunksRefused   int64 `json:"chunks_refused"`   // failed verification
	ChunksLate      int64 `json:"chunks_late"`      // of no use any more when they came
	ChunksLost      int64 `json:"chunks_lost"`      // given up
	ChunksPast      int64 `json:"chunks_past"`      // of those received, fetched because somebody rewound
	PastClaims      int64 `json:"past_claims"`      // times that a peer did not send what it said that it holds of the past
	ChunksSent      int64 `json:"chunks_sent"`
	HeadersReceived int64 `json:"headers_received"` // new and verified
	HeadersRefused  int64 `json:"headers_refused"`  // forged, stale or malformed
	PayloadIn       int64 `json:"payload_in"`       // bytes of chunks_received
	PayloadOut      int64 `json:"payload_out"`      // bytes of chunks_sent

	Found          map[string]int64 `json:"found"`                     // peers by what told of them first: link, home, mdns, exchange or dht
	Searches       int64            `json:"searches"`                  // of the DHT
	Announced      int64            `json:"announced"`                 // times that this node announced the stream in the DHT
	DHTError       string           `json:"dht_error,omitempty"`       // why the last search or announcement failed
	OriginBytes    int64            `json:"origin_bytes"`              // payload from HTTP origins, which payload_in has not
	OriginRequests int64            `json:"origin_requests"`           // made of HTTP origins
	OriginFailures map[string]int64 `json:"origin_failures,omitempty"` // of those, by reason
	Offload        float64          `json:"offload"`                   // share of payload_in and origin_bytes that came from peers, 0 to 1; 1 if nothing came
}

// PeerStatus is a node's figures for one peer that holds the stream.
type PeerStatus struct {
	ID        string  `json:"id"`
	Addr      string  `json:"addr"`       // multiaddr of the connection
	RTTMillis float64 `json:"rtt_millis"` // round trip; 0 if not measured yet
	BytesIn   int64   `json:"bytes_in"`   // received from it
	BytesOut  int64   `json:"bytes_out"`  // given to it
	Direct    bool    `json:"direct"`     // not by way of a circuit relay
	Mesh      bool    `json:"mesh"`       // a neighbour: it sends what it has without being asked
	FoundBy   string  `json:"found_by"`   // link, home, mdns, exchange, dht or incoming
}

// RecordingStatus is a node's figures for the recording of one rendition.
type RecordingStatus struct {
	Stream    stream.ID `json:"stream"`
	Rendition string    `json:"rendition"`
	Dir       string    `json:"dir"`
	State     string    `json:"state"`           // waiting, recording, ended or stopped
	Error     string    `json:"error,omitempty"` // why it is stopped

	Segments   int     `json:"segments"`            // in the playlist
	Seconds    float64 `json:"seconds"`             // in the playlist
	MP4        string  `json:"mp4"`                 // the file that is written; "" before the first
	Bytes      int64   `json:"bytes"`               // of MPEG-TS written
	Missing    uint64  `json:"segments_missing"`    // left out: they never became whole
	Slow       uint64  `json:"segments_slow"`       // left out: the disk was too slow
	Failed     uint64  `json:"segments_failed"`     // left out: the disk refused them
	MP4LeftOut uint64  `json:"segments_not_in_mp4"` // in the playlist, but MP4 could not hold them
	MP4Lost    int     `json:"frames_not_in_mp4"`   // likewise: damaged, or overlapping at a break
}

// counters are what the server itself did, since its start.
type counters struct {
	requests atomic.Int64
	held     atomic.Int64 // made to wait
	heldNow  atomic.Int64
	timedOut atomic.Int64 // waited in vain
	left     atomic.Int64 // gone while they waited
	refused  atomic.Int64 // not held, too many were
	unknown  atomic.Int64 // answered 404
}

// apiStatus is what /api/v1/status answers.
type apiStatus struct {
	Status
	Now     int64       `json:"now_millis"` // this node's clock, milliseconds since 1970
	Store   apiStore    `json:"store"`
	Streams []apiStream `json:"streams"` // takes the place of Status.Streams
	HTTP    apiHTTP     `json:"http"`
	// Of a node that has one.
	Gateway *GatewayStatus `json:"gateway,omitempty"`
}

type apiStore struct {
	Bytes   int64 `json:"bytes"`   // held now
	Limit   int64 `json:"limit"`   // the bound
	Evicted int64 `json:"evicted"` // bytes let go to stay within it
}

type apiHTTP struct {
	Requests int64 `json:"requests"`
	Held     int64 `json:"held"`      // waited for what was on its way
	HeldNow  int64 `json:"held_now"`  // waiting now
	TimedOut int64 `json:"timed_out"` // waited in vain
	Left     int64 `json:"left"`      // the client went while waiting
	Refused  int64 `json:"refused"`   // too many were waiting
	Unknown  int64 `json:"unknown"`   // answered 404
}

type apiStream struct {
	StreamStatus
	HLS        string         `json:"hls"` // path of the multivariant playlist
	LL         string         `json:"ll"`  // the same for low latency
	DVR        string         `json:"dvr"` // the same for the one that rewinds
	Playable   bool           `json:"playable"`
	Ended      bool           `json:"ended"`
	Renditions []apiRendition `json:"renditions"`
}

type apiRendition struct {
	Name           string  `json:"name"`
	Carried        bool    `json:"carried"` // this node holds it; else a player has to ask for it
	Playable       bool    `json:"playable"`
	Ended          bool    `json:"ended"`
	Segments       int     `json:"segments"`        // listed
	Buffer         float64 `json:"buffer_seconds"`  // listed
	Latency        float64 `json:"latency_seconds"` // from the end of the newest listed segment, by the broadcaster's clock, until now by this node's
	TargetDuration int     `json:"target_duration_seconds"`
	TargetRaised   int     `json:"target_raised"` // times a segment was longer
	MediaSequence  uint64  `json:"media_sequence"`
	Listed         uint64  `json:"segments_listed"`  // since the start
	Skipped        uint64  `json:"segments_skipped"` // left out since the start
	Bandwidth      int     `json:"bandwidth"`        // bits per second of the densest segment
	Average        int     `json:"average_bandwidth"`
	Codecs         string  `json:"codecs"`
	Width          int     `json:"width"`
	Height         int     `json:"height"`
	FrameRate      float64 `json:"frame_rate"`
	DVR            apiDVR  `json:"dvr"`
}

// apiDVR is the playlist that rewinds.
type apiDVR struct {
	Playable      bool    `json:"playable"` // somebody has asked for it
	Segments      int     `json:"segments"` // listed
	Seconds       float64 `json:"seconds"`  // listed
	MediaSequence uint64  `json:"media_sequence"`
	Fetched       int64   `json:"segments_fetched"` // from peers, since the start
	Fetching      int     `json:"segments_fetching"`
	Lost          int64   `json:"segments_lost"` // which could not be had any more, since the start
}

func (s *Server) status(now time.Time) apiStatus {
	node := s.cfg.Node.Status()
	out := apiStatus{
		Status: node,
		Now:    now.UnixMilli(),
		Store:  apiStore{node.Store.Bytes, node.Store.Limit, node.Store.Evicted},
		HTTP: apiHTTP{
			Requests: s.counts.requests.Load(),
			Held:     s.counts.held.Load(),
			HeldNow:  s.counts.heldNow.Load(),
			TimedOut: s.counts.timedOut.Load(),
			Left:     s.counts.left.Load(),
			Refused:  s.counts.refused.Load(),
			Unknown:  s.counts.unknown.Load(),
		},
		Streams: []apiStream{}, // not null
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
		dir := "/" + st.ID.String() + "/"
		api := apiStream{StreamStatus: figures[st.ID], HLS: dir + "index.m3u8", LL: dir + "ll.m3u8", DVR: dir + "dvr.m3u8", Renditions: []apiRendition{}}
		api.ID, api.Link = st.ID, st.Link
		if api.Peers == nil {
			api.Peers = []PeerStatus{}
		}
		if served, _, _ := s.find(st.ID); served != nil {
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

func (f *follower) status(now time.Time) apiRendition {
	v, _ := f.current()
	w := &v.window
	out := apiRendition{
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

func (d *dvr) status() apiDVR {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.view.list
	out := apiDVR{
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

func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	s.serveJSON(w, s.status(time.Now()))
}

func (s *Server) serveJSON(w http.ResponseWriter, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		s.log.Error("marshal answer", "err", err)
		http.Error(w, "answer unavailable", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(text) // the client may have gone
}
