package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Stats are a node's figures, of all streams and protocols together.
type Stats struct {
	BytesIn, BytesOut int64   // since the start, as libp2p counts streams' bytes
	RateIn, RateOut   float64 // bits per second, over the last seconds
	// WireIn and WireOut are all bytes on the wire since the start, with all headers; WireInDropped
	// are those of WireIn that came while nothing may pass, WireOutDropped what was not sent, as a bound
	// left no room. They are 0 if the host is not the node's own.
	WireIn, WireOut               int64
	WireInDropped, WireOutDropped int64
	Paused                        bool  // the node has left the mesh, see [Node.Pause]
	MaxUpload, MaxDownload        int   // bits per second, as configured; 0 for no bound
	MaxPeers                      int   // as configured; 0 for no bound
	PeersRefused                  int64 // connections refused as too many peers were connected

	Connections       int   // peers connected
	ConnectionsSilent int64 // connections closed, as the peer had died without a word, did not answer, or took nothing of what it asked for
	DroppedRPCs       int64 // messages that a full outbound queue lost
	MDNSPeers         int64 // peers found on the local network
	DHTPeers          int   // peers in the DHT's routing table

	UploadBound    int   // bits per second that chunks may fill now, 0 if nothing bounds them
	UploadKnown    bool  // whether it was configured rather than measured
	BytesFetched   int64 // payload of chunks that peers fetched from this node
	FetchesRefused int64 // requests of peers that the uplink or another bound left no room for
	FetchesAgain   int64 // requests of peers for what they had too often

	CutOff       map[Misconduct]int64 // peers cut off, by reason
	BannedPeers  int                  // peers that are cut off now
	BannedAddrs  int                  // addresses from where nobody new is let in now
	ConnsRefused int64                // connections refused for that, or as too many came
	SaidTooMuch  int64                // messages and requests of peers that said too much, or were cut off
}

// SwarmStats are the figures of one stream at one node. Counts and bytes are since
// the node joined the stream.
type SwarmStats struct {
	Peers []PeerStats // those that hold the stream and are connected, neighbours first

	HeadersReceived int64            // verified and new, from peers and origins
	HeadersRefused  map[string]int64 // by reason: forged, malformed, stale, ahead, clock, equivocation, late, revoked, expired

	ChunksReceived  int64 // verified and new, from peers
	ChunksDuplicate int64 // verified or not, but already there
	ChunksLate      int64 // asked for, but no longer of use when they came
	ChunksRefused   int64 // not what the header says, not asked for, or malformed
	ChunksSent      int64
	ChunksFetched   int64 // of those received, by the fetch protocol rather than by gossip
	ChunksLost      int64 // given up: older than anybody could still play
	BytesReceived   int64 // payload of ChunksReceived, all of it from peers
	BytesSent       int64 // payload of ChunksSent
	// BytesFromBroadcaster is of BytesReceived what came from who says that it is the broadcaster.
	BytesFromBroadcaster int64
	BytesPublished       int64 // payload that this node broadcast itself

	Parents  int // stripes that a neighbour sends unasked
	Feeders  int // neighbours that send them
	Children int // neighbours that get stripes unasked, each stripe of each counted
	Slots    int // children that the uplink feeds
	// Supply is for how many copies of the stream, for each of them, the uplinks of this node and
	// its neighbours do, as these say: below 1 some cannot be served. 0 if it is not known.
	Supply float64

	WantsExpired    int64 // chunks wanted of a peer that did not send them in time
	ChunksOverdue   int64 // chunks not sent, as nobody could have played them any more
	PromisesRevoked int64 // times that a child was told to find another parent

	PastHeaders int64 // of HeadersReceived, those of the past
	PastChunks  int64 // of ChunksFetched, those of the past
	PastClaims  int64 // times that a peer did not send what it said that it holds of the past

	OriginHeaders   int64            // of HeadersReceived, those from HTTP origins
	OriginChunks    int64            // verified and new, from HTTP origins
	OriginInVain    int64            // chunks from HTTP origins that had come meanwhile
	OriginBytes     int64            // payload that HTTP origins sent, whatever became of it
	OriginRate      float64          // bits per second of OriginBytes, over the last seconds
	OriginPastBytes int64            // of OriginBytes, verified chunks of the past
	OriginRequests  int64            // made of HTTP origins
	OriginFailures  map[string]int64 // of those, by reason: missing, busy, status, redirect, slow, malformed, forged, failed

	Enrolments        int64 // of viewers of a private stream, passed on or taken
	EnrolmentsRefused int64 // not made with an invite to the stream, or with one that has expired
	EnrolmentsDropped int64 // too many of a peer, or of an invite

	Moderations        int64 // of moderators of a private stream, passed on or taken
	ModerationsRefused int64 // not signed by a moderator whose delegation holds, or of another time, and such answers
	ModerationsDropped int64 // too many of a peer, or of a moderator; replays; answers to what was not asked by way of this node

	Surveys        int64 // passed on
	SurveysRefused int64 // not signed by the stream's key, or malformed
	ReportsSent    int64 // of this node's own
	ReportsPassed  int64 // of others, passed back or taken
	ReportsRefused int64 // malformed, of another round, or here before
	ReportsDropped int64 // too many of a peer, of all together, or in the queue
	ReportsLost    int64 // the neighbour on the way back did not take them

	PeersCutOff   int64 // peers cut off for what they did in this stream
	Equivocations int64 // parts of which whoever has the stream's key signed two headers

	Wanted        int              // chunks wanted and not there yet
	EventsDropped int64            // messages from peers lost because this node was too busy
	Found         map[Source]int64 // peers that each source told of first
	Searches      int64            // of the DHT
	Announced     int64            // times that this node announced the stream in the DHT
	DHTError      string           // why the last search or announcement failed, "" if it did not

	LastDialError string // why the last attempt to reach a peer failed, "" if none did
	Penalties     int64  // times that a peer's score was lowered for what no honest peer sends
}

// Offload returns the share of the payload received that came from peers rather than from
// HTTP origins, from 0 to 1; 1 if nothing was received yet.
func (s *SwarmStats) Offload() float64 {
	if s.BytesReceived+s.OriginBytes == 0 {
		return 1
	}
	return float64(s.BytesReceived) / float64(s.BytesReceived+s.OriginBytes)
}

// PeerStats are the figures of one peer of a stream.
type PeerStats struct {
	ID        peer.ID
	Addr      string        // multiaddr of the connection in use
	Relayed   bool          // it leads through a relay
	Neighbour bool          // in this node's gossipsub mesh for the stream
	RTT       time.Duration // 0 if unknown
	BytesIn   int64         // payload of verified chunks from it
	BytesOut  int64         // payload of chunks to it
	Refused   int64         // messages of it that were refused
	FoundBy   Source        // what told of it first
}
