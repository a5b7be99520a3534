package main

import (
	"github.com/grapevine-live/grapevine/hls"
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
	// Of a node to which programs in browsers can connect, by WebTransport and WebRTC.
	BrowserAddrs []string `json:"browser_addrs,omitempty"`
	// The page for other machines, with the token, by each of this one's addresses; none
	// unless --http lets them in.
	Network []string `json:"network,omitempty"`
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

// followEvent says that a relay carries a public stream from now on, or no more.
type followEvent struct {
	Event  string `json:"event"` // "follow" or "unfollow"
	Stream string `json:"stream"`
	Title  string `json:"title"` // as the broadcaster says
	HLS    string `json:"hls"`
}

// reloadEvent says that the settings were read again.
type reloadEvent struct {
	Event   string   `json:"event"`             // "reload"
	Changed []string `json:"changed,omitempty"` // settings that are others now
	Restart []string `json:"restart,omitempty"` // settings that will be after a restart
	// Why all stays as it was, and what to do.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// statsEvent holds the figures of a node. Bytes are since the start, rates in bits per
// second over the last seconds, times in seconds.
type statsEvent struct {
	Event       string      `json:"event"` // "stats"
	Role        string      `json:"role"`
	Uptime      float64     `json:"uptime"`
	Connections int         `json:"connections"`
	BytesIn     int64       `json:"bytes_in"`
	BytesOut    int64       `json:"bytes_out"`
	RateIn      float64     `json:"rate_in"`
	RateOut     float64     `json:"rate_out"`
	Upload      uploadStats `json:"upload"`
	Fetches     fetchStats  `json:"fetches"`
	DHTPeers    int         `json:"dht_peers"`   // in the routing table
	StoreBytes  int64       `json:"store_bytes"` // in memory
	// Of a node with --cache-dir.
	Disk    *hls.DiskFigures `json:"disk,omitempty"`
	Input   *inputStats      `json:"input,omitempty"` // of a broadcaster
	Streams []streamStats    `json:"streams"`
	// Of a node that has one.
	Gateway *hls.GatewayStatus `json:"gateway,omitempty"`
	// What the owner allows, and what was used of it.
	Limits hls.LimitsStatus `json:"limits"`
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

// What a broadcaster's input is, as the status has it, too.
type (
	inputStats     = hls.InputStatus
	oneInputStats  = hls.OneInputStatus
	encodingStats  = hls.EncodingStatus
	renditionStats = hls.EncodedStatus
	originStats    = hls.PublishedStatus
)

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
	Found     map[string]int64 `json:"found"`
	Searches  int64            `json:"searches"`
	Announced int64            `json:"announced"`
	DHTError  string           `json:"dht_error,omitempty"`
	// Of who has HTTP origins: payload from those, which bytes_received is not, and the share
	// of both that came from peers.
	OriginBytes    int64            `json:"origin_bytes"`
	OriginRate     float64          `json:"origin_rate"`       // bits per second of those, which rate_in is not
	OriginPast     int64            `json:"origin_past_bytes"` // of those, of what somebody rewound to
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

// pauseEvent says that a node left the mesh, or that it is back.
type pauseEvent struct {
	Event string `json:"event"`           // "pause" or "resume"
	Why   string `json:"why,omitempty"`   // schedule or budget
	Until string `json:"until,omitempty"` // RFC 3339; none if it never opens
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

// cacheEvent says that the disk of --cache-dir refuses what is to be kept, or takes it again.
type cacheEvent struct {
	Event string `json:"event"` // "cache"
	Dir   string `json:"dir"`
	Error string `json:"error,omitempty"` // why it refuses; it is tried again
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

// inviteEvent is what "grapevine invite create" made.
type inviteEvent struct {
	Event   string `json:"event"` // "invite"
	Stream  string `json:"stream"`
	Name    string `json:"name"`
	Link    string `json:"link"`    // a secret
	Expires string `json:"expires"` // RFC 3339
	Uses    int    `json:"uses"`
}

// invitesEvent is what "grapevine invite list" shows.
type invitesEvent struct {
	Event   string         `json:"event"` // "invites"
	Stream  string         `json:"stream"`
	Invites []invitedEvent `json:"invites"`
}

type invitedEvent struct {
	Name    string `json:"name"`
	State   string `json:"state"`   // holds, expired or revoked
	Expires string `json:"expires"` // RFC 3339
	Uses    int    `json:"uses"`
	Viewers int    `json:"viewers"` // that came
	// RevokedBy is the key of the moderator who took the invite back, which moderators are not told.
	RevokedBy string `json:"revoked_by,omitempty"`
}

// revokedEvent is what "grapevine invite revoke" did.
type revokedEvent struct {
	Event   string `json:"event"` // "revoked"
	Stream  string `json:"stream"`
	Name    string `json:"name"`
	Viewers int    `json:"viewers"` // that came with it
}

// delegatedEvent is what "grapevine delegate create" made.
type delegatedEvent struct {
	Event   string `json:"event"` // "delegated"
	Stream  string `json:"stream"`
	Name    string `json:"name"`
	Role    string `json:"role"`
	Key     string `json:"key"`
	Expires string `json:"expires"` // RFC 3339
	File    string `json:"file"`
}

// delegationsEvent is what "grapevine delegate list" shows.
type delegationsEvent struct {
	Event       string            `json:"event"` // "delegations"
	Stream      string            `json:"stream"`
	Delegations []delegationEvent `json:"delegations"`
}

type delegationEvent struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Key     string `json:"key"`
	PeerID  string `json:"peer_id,omitempty"` // of a relay
	State   string `json:"state"`             // holds, expired or revoked
	Expires string `json:"expires"`           // RFC 3339
}

// keyRevokedEvent is what "grapevine delegate revoke" did.
type keyRevokedEvent struct {
	Event  string `json:"event"` // "delegate-revoked"
	Stream string `json:"stream"`
	Name   string `json:"name"`
	Issue  uint64 `json:"issue"`
	File   string `json:"file"`
}

// keyImportedEvent is what "grapevine delegate import" took.
type keyImportedEvent struct {
	Event  string `json:"event"` // "delegate-imported"
	Stream string `json:"stream"`
	Issue  uint64 `json:"issue"`
	Keys   int    `json:"keys"` // that are revoked
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
	Sealed    bool   `json:"sealed,omitempty"` // under a passphrase
}

func newStreamStats(s hls.StreamFigures) streamStats {
	out := streamStats{
		Stream:          s.ID.String(),
		Peers:           len(s.Peers),
		Buffer:          s.Buffer,
		BytesPublished:  s.Published,
		BytesReceived:   s.PayloadIn,
		BytesSent:       s.PayloadOut,
		HeadersReceived: s.HeadersReceived,
		HeadersRefused:  s.HeadersRefusedBy,
		ChunksReceived:  s.ChunksReceived,
		ChunksDuplicate: s.ChunksDuplicate,
		ChunksFetched:   s.ChunksFetched,
		ChunksRefused:   s.ChunksRefused,
		ChunksSent:      s.ChunksSent,
		ChunksLate:      s.ChunksLate,
		ChunksLost:      s.ChunksLost,
		EventsDropped:   s.EventsDropped,
		Wanted:          s.Wanted,
		Penalised:       s.Penalised,
		DialError:       s.DialError,
		Found:           s.Found,
		Searches:        s.Searches,
		Announced:       s.Announced,
		DHTError:        s.DHTError,
		OriginBytes:     s.OriginBytes,
		OriginRate:      s.OriginRate,
		OriginPast:      s.OriginPast,
		OriginRequests:  s.OriginRequests,
		OriginFailures:  s.OriginFailures,
		Offload:         s.Offload,
	}
	for _, p := range s.Peers {
		if p.Mesh {
			out.Neighbours++
		}
	}
	return out
}
