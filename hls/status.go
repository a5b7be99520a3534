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
	Uptime  float64  `json:"uptime_seconds"`

	Connections       int   `json:"connections"`        // peers connected, whatever for
	ConnectionsSilent int64 `json:"connections_silent"` // closed, as the peer had died without a word, did not answer, or took nothing of what it asked for
	MessagesDropped   int64 `json:"messages_dropped"`   // to peers, lost as the queue to one was full
	MDNSPeers         int64 `json:"mdns_peers"`         // found on the local network

	BytesIn  int64   `json:"bytes_in"`  // received from peers, on the wire as far as known
	BytesOut int64   `json:"bytes_out"` // given to peers, likewise
	RateIn   float64 `json:"rate_in"`   // bits per second over the last few seconds
	RateOut  float64 `json:"rate_out"`  // bits per second over the last few seconds

	UploadBound    int   `json:"upload_bound"`    // bits per second that chunks may fill now; 0 if nothing bounds them
	UploadKnown    bool  `json:"upload_known"`    // whether that was given rather than measured
	BytesFetched   int64 `json:"bytes_fetched"`   // given to peers that came late or lacked something
	FetchesRefused int64 `json:"fetches_refused"` // such requests for which there was no room
	FetchesAgain   int64 `json:"fetches_again"`   // such requests of peers for what they had too often

	Limits LimitsStatus `json:"limits"`

	Reports bool `json:"reports"` // its owner agreed that it tells broadcasters how streams fare here

	Input *InputStatus `json:"input,omitempty"` // of a broadcaster

	DHTPeers int `json:"dht_peers"` // peers in the DHT's routing table; 0 without a DHT

	Directory  DirectoryStatus  `json:"directory"`
	Misconduct MisconductStatus `json:"misconduct"`

	Recordings []RecordingStatus `json:"recordings,omitempty"` // in the order of the streams

	Streams []StreamStatus    `json:"streams"` // in the order in which they were joined
	Store   stream.StoreStats `json:"-"`       // of all streams; in the JSON as store
}

// DirectoryStatus is a node's part in the directory of public streams; zeros without one.
type DirectoryStatus struct {
	Entries  int   `json:"entries"`  // kept, withdrawn ones included
	Received int64 `json:"received"` // entries that were new
	Refused  int64 `json:"refused"`  // forged or malformed
	Ignored  int64 `json:"ignored"`  // of another time, too soon, or beyond a bound
	Asked    int64 `json:"asked"`    // peers that were asked for all that they have
	Answered int64 `json:"answered"` // peers that were told all that this node has
}

// MisconductStatus is what a node did about peers that misbehave.
type MisconductStatus struct {
	CutOffBy    map[string]int64 `json:"cut_off_by,omitempty"` // peers cut off, by reason: forged, malformed, replayed, unsolicited, withheld, unread, flood or gossip
	BannedPeers int              `json:"banned_peers"`         // cut off now
	BannedAddrs int              `json:"banned_addresses"`     // from where nobody new is let in now
	// Connections refused for that, or as too many came.
	ConnsRefused int64 `json:"connections_refused"`
	SaidTooMuch  int64 `json:"said_too_much"` // messages and requests beyond what a peer may say, or of who is cut off
}

// LimitsStatus is what a node's owner allows it, and what it used of that. Bytes are those on the
// wire, with all headers.
type LimitsStatus struct {
	WireIn         int64 `json:"wire_in"`          // since the start
	WireOut        int64 `json:"wire_out"`         // since the start
	WireInDropped  int64 `json:"wire_in_dropped"`  // of wire_in: the node was closed
	WireOutDropped int64 `json:"wire_out_dropped"` // not sent: there was no room for them

	MaxUpload    int   `json:"max_upload"`   // bits per second; 0 for no bound
	MaxDownload  int   `json:"max_download"` // bits per second; 0 for no bound
	MaxPeers     int   `json:"max_peers"`    // 0 for no bound
	PeersRefused int64 `json:"peers_refused"`

	Month         string `json:"month"`           // such as 2030-01; "" if nothing is kept
	MonthSent     int64  `json:"month_sent"`      // by all nodes of the home
	MonthReceived int64  `json:"month_received"`  // likewise
	Budget        int64  `json:"budget"`          // bytes a month; 0 for no bound
	BudgetUpOnly  bool   `json:"budget_up_only"`  // only month_sent counts
	BudgetLeft    int64  `json:"budget_left"`     // of it
	Schedule      string `json:"schedule"`        // "" for always
	Closed        string `json:"closed"`          // why the node takes no part: schedule or budget; "" if it does
	Until         string `json:"until,omitempty"` // RFC 3339: when closed changes, if nothing else happens

	Allow []stream.ID `json:"allow,omitempty"` // the streams that it carries; all if there are none
	Deny  []stream.ID `json:"deny,omitempty"`  // those that it does not
}

// StreamStatus is a node's figures for one stream.
type StreamStatus struct {
	ID    stream.ID    `json:"id"`
	Title string       `json:"title"` // of a public stream, if the directory has it; its broadcaster's words
	Link  string       `json:"link"`  // to share
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
	Published       int64 `json:"bytes_published"`  // payload that this node broadcast itself

	HeadersRefusedBy map[string]int64 `json:"headers_refused_by,omitempty"` // headers_refused by reason
	HeadersPast      int64            `json:"headers_past"`                 // of those received, fetched because somebody rewound
	ChunksFetched    int64            `json:"chunks_fetched"`               // of those received, asked for by this node rather than sent by neighbours
	ChunksOverdue    int64            `json:"chunks_overdue"`               // not sent, as nobody could have played them any more
	Wanted           int              `json:"wanted"`                       // chunks wanted and not there yet
	WantsExpired     int64            `json:"wants_expired"`                // chunks that a peer did not send in time
	EventsDropped    int64            `json:"events_dropped"`               // messages of peers lost as this node was too busy

	Parents  int `json:"parents"`  // stripes that a neighbour sends unasked
	Children int `json:"children"` // neighbours that get stripes unasked, each stripe of each counted
	Slots    int `json:"slots"`    // children that the uplink feeds
	// For how many copies of the stream, for each of them, the uplinks of this node and its
	// neighbours do, as these say; 0 if it is not known.
	Supply          float64 `json:"supply"`
	PromisesRevoked int64   `json:"promises_revoked"` // times that a child was told to find another parent
	Penalised       int64   `json:"penalised"`        // times that a peer's score was lowered for what no honest peer sends
	PeersCutOff     int64   `json:"peers_cut_off"`    // peers cut off for what they did in this stream
	Equivocations   int64   `json:"equivocations"`    // parts of which whoever has the stream's key signed two headers

	Enrolments         int64 `json:"enrolments"`          // of viewers of a private stream, passed on or taken
	EnrolmentsRefused  int64 `json:"enrolments_refused"`  // forged, or by an invite that has expired
	EnrolmentsDropped  int64 `json:"enrolments_dropped"`  // too many
	Moderations        int64 `json:"moderations"`         // of moderators of a private stream, passed on or taken
	ModerationsRefused int64 `json:"moderations_refused"` // forged, of another time, or of a moderator that is none any more
	ModerationsDropped int64 `json:"moderations_dropped"` // too many, or here before

	Surveys        int64           `json:"surveys"`            // of the broadcaster, passed on
	SurveysRefused int64           `json:"surveys_refused"`    // forged or malformed
	ReportsSent    int64           `json:"reports_sent"`       // of this node's own to the broadcaster
	ReportsPassed  int64           `json:"reports_passed"`     // of others
	ReportsRefused int64           `json:"reports_refused"`    // malformed, of another survey, or here before
	ReportsDropped int64           `json:"reports_dropped"`    // too many
	ReportsLost    int64           `json:"reports_lost"`       // the next node did not take them
	Audience       *AudienceStatus `json:"audience,omitempty"` // of the stream's broadcaster

	DialError string `json:"dial_error,omitempty"` // why the last attempt to reach a peer failed

	Found          map[string]int64 `json:"found"`                     // peers by what told of them first: link, home, mdns, exchange or dht
	Searches       int64            `json:"searches"`                  // of the DHT
	Announced      int64            `json:"announced"`                 // times that this node announced the stream in the DHT
	DHTError       string           `json:"dht_error,omitempty"`       // why the last search or announcement failed
	OriginBytes    int64            `json:"origin_bytes"`              // payload from HTTP origins, which payload_in has not
	OriginRate     float64          `json:"origin_rate"`               // bits per second of those, which rate_in has not
	OriginPast     int64            `json:"origin_past_bytes"`         // of those, fetched because somebody rewound
	OriginHeaders  int64            `json:"origin_headers"`            // of headers_received, those from HTTP origins
	OriginChunks   int64            `json:"origin_chunks"`             // new and verified, from HTTP origins
	OriginInVain   int64            `json:"origin_in_vain"`            // chunks from HTTP origins that had come meanwhile
	OriginRequests int64            `json:"origin_requests"`           // made of HTTP origins
	OriginFailures map[string]int64 `json:"origin_failures,omitempty"` // of those, by reason
	Offload        float64          `json:"offload"`                   // share of payload_in and origin_bytes that came from peers, 0 to 1; 1 if nothing came
}

// PeerStatus is a node's figures for one peer that holds the stream.
type PeerStatus struct {
	ID        string  `json:"id"`
	Addr      string  `json:"addr"`       // multiaddr of the connection
	Transport string  `json:"transport"`  // QUIC, TCP or WebSocket, to the peer or to the relay between; "" if it is not connected any more
	RTTMillis float64 `json:"rtt_millis"` // round trip; 0 if not measured yet
	BytesIn   int64   `json:"bytes_in"`   // received from it
	BytesOut  int64   `json:"bytes_out"`  // given to it
	Refused   int64   `json:"refused"`    // messages of it that were refused
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
	room     roomCounts
}

func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request) {
	s.told(r, time.Now())
	s.serveJSON(w, http.StatusOK, s.figures(time.Now(), prefixOf(r)))
}

func (s *Server) serveJSON(w http.ResponseWriter, code int, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		s.log.Error("marshal answer", "err", err)
		http.Error(w, "answer unavailable", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(text) // the client may have gone
}
