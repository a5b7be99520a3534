package main

import (
	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// The objects that --json writes, one a line. Fields are added, never changed.

// readyEvent says that the node serves.
type readyEvent struct {
	Event  string   `json:"event"` // "ready"
	Role   string   `json:"role"`
	Stream string   `json:"stream"` // "" for a relay of none yet
	Link   string   `json:"link"`
	HLS    string   `json:"hls"`
	Page   string   `json:"page"`
	PeerID string   `json:"peer_id"`
	Addrs  []string `json:"addrs"`
	// Of a node that serves people who run nothing.
	Gateway string `json:"gateway,omitempty"`
	// All streams of a relay, of which Stream is the first.
	Streams []streamEvent `json:"streams,omitempty"`
	// Of a broadcaster that listens for RTMP or WHIP, one for each such input.
	Encoders []encoderSettings `json:"encoders,omitempty"`
}

type streamEvent struct {
	Stream string `json:"stream"`
	Link   string `json:"link"`
	HLS    string `json:"hls"`
}

// statsEvent holds the figures of a node. Bytes are since the start, rates in bits per
// second over the last seconds, times in seconds.
type statsEvent struct {
	Event       string        `json:"event"` // "stats"
	Role        string        `json:"role"`
	Uptime      float64       `json:"uptime"`
	Connections int           `json:"connections"`
	BytesIn     int64         `json:"bytes_in"`
	BytesOut    int64         `json:"bytes_out"`
	RateIn      float64       `json:"rate_in"`
	RateOut     float64       `json:"rate_out"`
	Upload      uploadStats   `json:"upload"`
	Fetches     fetchStats    `json:"fetches"`
	DHTPeers    int           `json:"dht_peers"` // in the routing table
	StoreBytes  int64         `json:"store_bytes"`
	Input       *inputStats   `json:"input,omitempty"` // of a broadcaster
	Streams     []streamStats `json:"streams"`
	// Of a node that has one.
	Gateway *hls.GatewayStatus `json:"gateway,omitempty"`
	// Of a node that records.
	Recordings []hls.RecordingStatus `json:"recordings,omitempty"`
}

// uploadStats tell what a node sends at most.
type uploadStats struct {
	Bound int  `json:"bound"` // bits per second of chunks, 0 if nothing bounds them
	Known bool `json:"known"` // by --max-upload; else measured
}

// fetchStats are what peers fetched from a node that came late, or lacked something.
type fetchStats struct {
	Bytes   int64 `json:"bytes"`
	Refused int64 `json:"refused"` // requests for which there was no room
	Again   int64 `json:"again"`   // requests for what the peer had too often
}

// inputStats are a broadcaster's figures of its encoder.
type inputStats struct {
	Bytes  int64   `json:"bytes"`
	Rate   float64 `json:"rate"`             // bits per second
	Listen string  `json:"listen,omitempty"` // what the input is bound to
	// Of encoders that come and go: how often one broke off, for how many seconds it has
	// been gone, and how many connections were refused.
	Breaks  uint64  `json:"breaks,omitempty"`
	Gone    float64 `json:"gone,omitempty"`
	Refused uint64  `json:"refused,omitempty"`
	// Of the slate: how many seconds of it were published, and whether it is shown now.
	Slate   float64 `json:"slate,omitempty"`
	OnSlate bool    `json:"on_slate,omitempty"`
	LeftOut uint64  `json:"left_out,omitempty"` // frames that cannot be carried, or decoded
	LostRTP uint64  `json:"lost_rtp,omitempty"` // packets of WHIP publishers
	// Of timed ID3 and SCTE-35: tags and cues that were published, and that were not, as they
	// were damaged or have another time than the pictures.
	Messages     uint64 `json:"messages,omitempty"`
	MessagesLost uint64 `json:"messages_lost,omitempty"`
	// Segments for which a further audio track had no sound.
	AudioAbsent uint64 `json:"audio_absent,omitempty"`
	// Subtitles that came too late to be shown.
	CuesLost uint64 `json:"cues_lost,omitempty"`
	// Each, of a broadcaster that has several.
	Inputs []oneInputStats `json:"inputs,omitempty"`
	// Of a broadcaster that encodes.
	Encoding *encodingStats `json:"encoding,omitempty"`
	// Of a broadcaster that publishes an HLS stream again.
	Origin *originStats `json:"origin,omitempty"`
}

type oneInputStats struct {
	Rendition  string `json:"rendition"` // that it is published as; "" if that is not known yet
	Source     string `json:"source"`
	Bytes      int64  `json:"bytes"`
	Listen     string `json:"listen,omitempty"`
	Misaligned uint64 `json:"misaligned"` // keyframes of others that it lacks
}

// encodingStats are the figures of ffmpeg. Times are in seconds.
type encodingStats struct {
	Encoder    string           `json:"encoder"`
	Renditions []renditionStats `json:"renditions"`
	Speed      float64          `json:"speed"`   // seconds of the input a second; 0 if not known yet
	Waiting    float64          `json:"waiting"` // of the input, not taken yet
	Behind     bool             `json:"behind"`  // too slow for the input
	Times      uint64           `json:"behind_times"`
	Restarts   uint64           `json:"restarts"` // it died
	Lost       float64          `json:"lost"`     // of the input, meanwhile; at least
}

type renditionStats struct {
	Name   string `json:"name"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Bits   int    `json:"bits"` // of the video, per second, as ffmpeg was told
	Bytes  uint64 `json:"bytes_published"`
	// Keyframes of other renditions that it lacks: its encoder does not do as it is told.
	Misaligned uint64 `json:"misaligned"`
}

// streamStats are the figures of one stream at this node.
type streamStats struct {
	Stream          string           `json:"stream"`
	Peers           int              `json:"peers"`
	Neighbours      int              `json:"neighbours"`
	Buffer          float64          `json:"buffer"` // of the playlist, not of the player
	Ended           bool             `json:"ended"`
	BytesPublished  int64            `json:"bytes_published"`
	BytesReceived   int64            `json:"bytes_received"`
	BytesSent       int64            `json:"bytes_sent"`
	HeadersReceived int64            `json:"headers_received"`
	HeadersRefused  map[string]int64 `json:"headers_refused,omitempty"`
	ChunksReceived  int64            `json:"chunks_received"`
	ChunksDuplicate int64            `json:"chunks_duplicate"`
	ChunksFetched   int64            `json:"chunks_fetched"`
	ChunksRefused   int64            `json:"chunks_refused"`
	ChunksSent      int64            `json:"chunks_sent"`
	ChunksLate      int64            `json:"chunks_late"`
	ChunksLost      int64            `json:"chunks_lost"`
	EventsDropped   int64            `json:"events_dropped"`
	Wanted          int              `json:"wanted"`
	Penalised       int64            `json:"penalised"`
	DialError       string           `json:"dial_error,omitempty"`
	// Peers by what told of them first: link, home, mdns, exchange or dht; and searches and
	// announcements in the DHT, with why the last one failed.
	Found     map[p2p.Source]int64 `json:"found"`
	Searches  int64                `json:"searches"`
	Announced int64                `json:"announced"`
	DHTError  string               `json:"dht_error,omitempty"`
	// Of who has HTTP origins: payload from those, which bytes_received is not, and the share
	// of both that came from peers.
	OriginBytes    int64            `json:"origin_bytes"`
	OriginRequests int64            `json:"origin_requests"`
	OriginFailures map[string]int64 `json:"origin_failures,omitempty"` // by reason
	Offload        float64          `json:"offload"`                   // from 0 to 1; 1 if nothing was received
}

// endEvent says that a stream has ended. The broadcaster may begin another epoch.
type endEvent struct {
	Event  string `json:"event"` // "end"
	Stream string `json:"stream"`
	Epoch  uint64 `json:"epoch"`
}

// recordingEvent says that the state of a rendition's recording is another.
type recordingEvent struct {
	Event     string `json:"event"` // "recording"
	Stream    string `json:"stream"`
	Rendition string `json:"rendition"`
	Dir       string `json:"dir"`
	State     string `json:"state"`           // waiting, recording, ended or stopped
	Error     string `json:"error,omitempty"` // why it is stopped; it is tried again
}

// exportEvent is what "grapevine export" wrote. Times are in seconds.
type exportEvent struct {
	Event    string  `json:"event"` // "export"
	Out      string  `json:"out"`
	Playlist string  `json:"playlist"`
	From     float64 `json:"from"` // in what the playlist plays
	To       float64 `json:"to"`
	Start    string  `json:"start"` // by the broadcaster's clock, RFC 3339
	End      string  `json:"end"`
	Segments int     `json:"segments"`
	Breaks   int     `json:"breaks"` // discontinuities within
	Bytes    int64   `json:"bytes"`
	Lost     int     `json:"frames_lost"` // damaged or overlapping
}

// directoryEvent is what "grapevine list" found.
type directoryEvent struct {
	Event   string        `json:"event"` // "directory"
	Entries []hls.Listing `json:"entries"`
}

// errorEvent says why a command fails.
type errorEvent struct {
	Event string `json:"event"` // "error"
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

// idEvent is what "grapevine id" found or made.
type idEvent struct {
	Event     string `json:"event"` // "id"
	Home      string `json:"home"`
	PeerID    string `json:"peer_id"`
	NodeKey   string `json:"node_key"`
	Stream    string `json:"stream"`
	StreamKey string `json:"stream_key"`
}

func newStreamStats(id stream.ID, s p2p.SwarmStats) streamStats {
	out := streamStats{
		Stream:          id.String(),
		Peers:           len(s.Peers),
		BytesPublished:  s.BytesPublished,
		BytesReceived:   s.BytesReceived,
		BytesSent:       s.BytesSent,
		HeadersReceived: s.HeadersReceived,
		HeadersRefused:  s.HeadersRefused,
		ChunksReceived:  s.ChunksReceived,
		ChunksDuplicate: s.ChunksDuplicate,
		ChunksFetched:   s.ChunksFetched,
		ChunksRefused:   s.ChunksRefused,
		ChunksSent:      s.ChunksSent,
		ChunksLate:      s.ChunksLate,
		ChunksLost:      s.ChunksLost,
		EventsDropped:   s.EventsDropped,
		Wanted:          s.Wanted,
		Penalised:       s.Penalties,
		DialError:       s.LastDialError,
		Found:           s.Found,
		Searches:        s.Searches,
		Announced:       s.Announced,
		DHTError:        s.DHTError,
		OriginBytes:     s.OriginBytes,
		OriginRequests:  s.OriginRequests,
		OriginFailures:  s.OriginFailures,
		Offload:         s.Offload(),
	}
	for _, p := range s.Peers {
		if p.Neighbour {
			out.Neighbours++
		}
	}
	return out
}
