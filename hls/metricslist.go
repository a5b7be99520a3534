package hls

import "github.com/prometheus/client_golang/prometheus"

// The metrics. A figure that /api/v1/status has and these have not is named, with its reason, in
// the test that compares the two.

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

var (
	buildInfo       = descOf("build_info", "The program's version, what the node is for, and by what its peers know it.", "version", "role", "peer_id")
	peersMetric     = descOf("stream_peers", "Peers that hold the stream and are connected, by the path to them; neighbours get what this node has unasked.", "stream", "transport", "direct", "neighbour")
	cutOffMetric    = descOf("peers_cut_off_total", "Peers cut off, by what they did.", "reason")
	roundTripMedian = descOf("stream_peer_round_trip_median_seconds", "Round trip to the peers that hold the stream: half of them are nearer.", "stream")
	roundTripMost   = descOf("stream_peer_round_trip_max_seconds", "Round trip to the farthest peer that holds the stream.", "stream")
)

func descOf(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("grapevine_"+name, help, labels, nil)
}

func ofNode(name string, kind prometheus.ValueType, value func(*Figures) float64, help string) metric[Figures] {
	return metric[Figures]{descOf(name, help), kind, value}
}

var nodeMetrics = []metric[Figures]{
	ofNode("uptime_seconds", gauge, func(f *Figures) float64 { return f.Uptime }, "Time since the node started."),
	ofNode("peers_connected", gauge, func(f *Figures) float64 { return float64(f.Connections) }, "Peers connected, whatever for."),
	ofNode("dht_peers", gauge, func(f *Figures) float64 { return float64(f.DHTPeers) }, "Peers in the DHT's routing table."),
	ofNode("mdns_peers_total", counter, func(f *Figures) float64 { return float64(f.MDNSPeers) }, "Peers found on the local network."),
	ofNode("connections_silent_total", counter, func(f *Figures) float64 { return float64(f.ConnectionsSilent) }, "Connections closed, as the peer had died without a word, did not answer, or took nothing of what it asked for."),
	ofNode("messages_dropped_total", counter, func(f *Figures) float64 { return float64(f.MessagesDropped) }, "Messages to peers lost as the queue to one was full."),
	ofNode("peer_received_bytes_total", counter, func(f *Figures) float64 { return float64(f.BytesIn) }, "Bytes received from peers, in all protocols."),
	ofNode("peer_sent_bytes_total", counter, func(f *Figures) float64 { return float64(f.BytesOut) }, "Bytes given to peers, in all protocols."),
	ofNode("wire_received_bytes_total", counter, func(f *Figures) float64 { return float64(f.Limits.WireIn) }, "Bytes received on the wire, with all headers."),
	ofNode("wire_sent_bytes_total", counter, func(f *Figures) float64 { return float64(f.Limits.WireOut) }, "Bytes sent on the wire, with all headers."),
	ofNode("wire_received_dropped_bytes_total", counter, func(f *Figures) float64 { return float64(f.Limits.WireInDropped) }, "Of those received, bytes that came while the node was closed."),
	ofNode("wire_sent_dropped_bytes_total", counter, func(f *Figures) float64 { return float64(f.Limits.WireOutDropped) }, "Bytes that were not sent, as a limit left no room for them."),
	ofNode("upload_bound_bytes_per_second", gauge, func(f *Figures) float64 { return float64(f.UploadBound) / 8 }, "What chunks may fill of the uplink now; 0 if nothing bounds them."),
	ofNode("upload_bound_known", gauge, func(f *Figures) float64 { return truth(f.UploadKnown) }, "1 if that was given, 0 if it is measured."),
	ofNode("fetch_served_bytes_total", counter, func(f *Figures) float64 { return float64(f.BytesFetched) }, "Bytes given to peers that came late or lacked something."),
	ofNode("fetch_refused_total", counter, func(f *Figures) float64 { return float64(f.FetchesRefused) }, "Requests of such peers for which there was no room."),
	ofNode("fetch_repeated_total", counter, func(f *Figures) float64 { return float64(f.FetchesAgain) }, "Requests of such peers for what they had too often."),

	ofNode("directory_entries", gauge, func(f *Figures) float64 { return float64(f.Directory.Entries) }, "Entries of public streams that are kept."),
	ofNode("directory_received_total", counter, func(f *Figures) float64 { return float64(f.Directory.Received) }, "Entries of public streams that were new."),
	ofNode("directory_refused_total", counter, func(f *Figures) float64 { return float64(f.Directory.Refused) }, "Entries that were forged or malformed."),
	ofNode("directory_ignored_total", counter, func(f *Figures) float64 { return float64(f.Directory.Ignored) }, "Entries of another time, too soon, or beyond a bound."),
	ofNode("directory_asked_total", counter, func(f *Figures) float64 { return float64(f.Directory.Asked) }, "Peers that were asked for the directory."),
	ofNode("directory_answered_total", counter, func(f *Figures) float64 { return float64(f.Directory.Answered) }, "Peers that were told the directory."),

	ofNode("banned_peers", gauge, func(f *Figures) float64 { return float64(f.Misconduct.BannedPeers) }, "Peers that are cut off now."),
	ofNode("banned_addresses", gauge, func(f *Figures) float64 { return float64(f.Misconduct.BannedAddrs) }, "Addresses from where nobody new is let in now."),
	ofNode("connections_refused_total", counter, func(f *Figures) float64 { return float64(f.Misconduct.ConnsRefused) }, "Connections refused, as the peer or its address was cut off, or too many came."),
	ofNode("said_too_much_total", counter, func(f *Figures) float64 { return float64(f.Misconduct.SaidTooMuch) }, "Messages and requests beyond what a peer may say, or of who is cut off."),
	ofNode("reports", gauge, func(f *Figures) float64 { return truth(f.Reports) }, "1 if the node tells broadcasters how streams fare here."),

	ofNode("limit_upload_bytes_per_second", gauge, func(f *Figures) float64 { return float64(f.Limits.MaxUpload) / 8 }, "What the node may send; 0 for no bound."),
	ofNode("limit_download_bytes_per_second", gauge, func(f *Figures) float64 { return float64(f.Limits.MaxDownload) / 8 }, "What the node may receive; 0 for no bound."),
	ofNode("limit_peers", gauge, func(f *Figures) float64 { return float64(f.Limits.MaxPeers) }, "Peers that may be connected; 0 for no bound."),
	ofNode("peers_refused_total", counter, func(f *Figures) float64 { return float64(f.Limits.PeersRefused) }, "Connections refused, as too many peers were connected."),
	ofNode("budget_bytes", gauge, func(f *Figures) float64 { return float64(f.Limits.Budget) }, "Bytes that may pass in a calendar month; 0 for no bound."),
	ofNode("budget_left_bytes", gauge, func(f *Figures) float64 { return float64(f.Limits.BudgetLeft) }, "What is left of that."),
	ofNode("month_sent_bytes", gauge, func(f *Figures) float64 { return float64(f.Limits.MonthSent) }, "Bytes sent this calendar month by all nodes of the home."),
	ofNode("month_received_bytes", gauge, func(f *Figures) float64 { return float64(f.Limits.MonthReceived) }, "Bytes received this calendar month by all nodes of the home."),
	ofNode("closed_by_schedule", gauge, func(f *Figures) float64 { return truth(f.Limits.Closed == "schedule") }, "1 while the node takes no part, as its schedule says."),
	ofNode("closed_by_budget", gauge, func(f *Figures) float64 { return truth(f.Limits.Closed == "budget") }, "1 while the node takes no part, as its month's budget is spent."),

	ofNode("store_bytes", gauge, func(f *Figures) float64 { return float64(f.Store.Bytes) }, "Bytes of streams in the cache."),
	ofNode("store_limit_bytes", gauge, func(f *Figures) float64 { return float64(f.Store.Limit) }, "What the cache may hold."),
	ofNode("store_evicted_bytes_total", counter, func(f *Figures) float64 { return float64(f.Store.Evicted) }, "Bytes let go to stay within that."),

	ofNode("http_requests_total", counter, func(f *Figures) float64 { return float64(f.HTTP.Requests) }, "Requests of this machine's players and pages."),
	ofNode("http_held_total", counter, func(f *Figures) float64 { return float64(f.HTTP.Held) }, "Requests that waited for what was on its way."),
	ofNode("http_held", gauge, func(f *Figures) float64 { return float64(f.HTTP.HeldNow) }, "Requests that wait now."),
	ofNode("http_timed_out_total", counter, func(f *Figures) float64 { return float64(f.HTTP.TimedOut) }, "Requests that waited in vain."),
	ofNode("http_left_total", counter, func(f *Figures) float64 { return float64(f.HTTP.Left) }, "Requests whose client went while they waited."),
	ofNode("http_refused_total", counter, func(f *Figures) float64 { return float64(f.HTTP.Refused) }, "Requests refused, as too many waited."),
	ofNode("http_unknown_total", counter, func(f *Figures) float64 { return float64(f.HTTP.Unknown) }, "Requests answered with 404."),
	ofNode("http_connections", gauge, func(f *Figures) float64 { return float64(f.HTTP.Conns) }, "Connections of players and pages now."),
	ofNode("http_connections_closed_total", counter, func(f *Figures) float64 { return float64(f.HTTP.ConnsClosed) }, "Connections closed that were of no use, to make room for others."),
	ofNode("http_connections_refused_total", counter, func(f *Figures) float64 { return float64(f.HTTP.ConnsRefused) }, "Connections refused, as their address had too many."),
	ofNode("http_refused_hosts_total", counter, func(f *Figures) float64 { return float64(f.HTTP.RefusedHosts) }, "Requests refused, as the browser knew the node by another's name."),
	ofNode("http_refused_sites_total", counter, func(f *Figures) float64 { return float64(f.HTTP.RefusedSites) }, "Requests refused, as a page of another site was behind them."),
	ofNode("http_refused_tokens_total", counter, func(f *Figures) float64 { return float64(f.HTTP.RefusedTokens) }, "Requests of other machines refused, as they had no token."),
	ofNode("http_refused_bodies_total", counter, func(f *Figures) float64 { return float64(f.HTTP.RefusedBodies) }, "Requests refused, as they came with a body."),
}

func ofInput(name string, kind prometheus.ValueType, value func(*InputStatus) float64, help string) metric[InputStatus] {
	return metric[InputStatus]{descOf("input_"+name, help), kind, value}
}

var inputMetrics = []metric[InputStatus]{
	ofInput("received_bytes_total", counter, func(i *InputStatus) float64 { return float64(i.Bytes) }, "Bytes of the encoder."),
	ofInput("breaks_total", counter, func(i *InputStatus) float64 { return float64(i.Breaks) }, "Times that an encoder broke off."),
	ofInput("gone_seconds", gauge, func(i *InputStatus) float64 { return i.Gone }, "How long an encoder has been gone; 0 if none is."),
	ofInput("refused_total", counter, func(i *InputStatus) float64 { return float64(i.Refused) }, "Connections of encoders that were refused."),
	ofInput("slate_seconds_total", counter, func(i *InputStatus) float64 { return i.Slate }, "How much of the slate was published."),
	ofInput("slate_shown", gauge, func(i *InputStatus) float64 { return truth(i.OnSlate) }, "1 while the slate is shown."),
	ofInput("left_out_frames_total", counter, func(i *InputStatus) float64 { return float64(i.LeftOut) }, "Frames that cannot be carried, or decoded."),
	ofInput("lost_packets_total", counter, func(i *InputStatus) float64 { return float64(i.LostRTP) }, "Packets of WHIP publishers that were lost."),
	ofInput("messages_total", counter, func(i *InputStatus) float64 { return float64(i.Messages) }, "Timed ID3 tags and SCTE-35 cues that were published."),
	ofInput("messages_lost_total", counter, func(i *InputStatus) float64 { return float64(i.MessagesLost) }, "Such that were not: damaged, or of another time than the pictures."),
	ofInput("audio_absent_segments_total", counter, func(i *InputStatus) float64 { return float64(i.AudioAbsent) }, "Segments for which a further audio track had no sound."),
	ofInput("subtitles_lost_total", counter, func(i *InputStatus) float64 { return float64(i.CuesLost) }, "Subtitles that came too late to be shown."),
	ofInput("misaligned_keyframes_total", counter, func(i *InputStatus) float64 { return float64(i.misaligned()) }, "Keyframes of others that one of several inputs, or of what is encoded, lacks."),
}

func ofEncoding(name string, kind prometheus.ValueType, value func(*EncodingStatus) float64, help string) metric[EncodingStatus] {
	return metric[EncodingStatus]{descOf("encoding_"+name, help), kind, value}
}

var encodingMetrics = []metric[EncodingStatus]{
	ofEncoding("speed_ratio", gauge, func(e *EncodingStatus) float64 { return e.Speed }, "Seconds of the input that are encoded in a second; 0 if not known yet."),
	ofEncoding("waiting_seconds", gauge, func(e *EncodingStatus) float64 { return e.Waiting }, "Of the input, not encoded yet."),
	ofEncoding("behind", gauge, func(e *EncodingStatus) float64 { return truth(e.Behind) }, "1 while encoding is too slow for the input."),
	ofEncoding("behind_total", counter, func(e *EncodingStatus) float64 { return float64(e.Times) }, "Times that it was."),
	ofEncoding("restarts_total", counter, func(e *EncodingStatus) float64 { return float64(e.Restarts) }, "Times that ffmpeg died."),
	ofEncoding("lost_seconds_total", counter, func(e *EncodingStatus) float64 { return e.Lost }, "Of the input, meanwhile; at least."),
}

func ofPublished(name string, kind prometheus.ValueType, value func(*PublishedStatus) float64, help string) metric[PublishedStatus] {
	return metric[PublishedStatus]{descOf("republished_"+name, help), kind, value}
}

var publishedMetrics = []metric[PublishedStatus]{
	ofPublished("retries_total", counter, func(p *PublishedStatus) float64 { return float64(p.Retries) }, "Times that the HLS stream which is published again was asked for something once more."),
	ofPublished("segments_lost_total", counter, func(p *PublishedStatus) float64 { return float64(p.Lost) }, "Its segments that were gone before they could be fetched."),
	ofPublished("segments_left_out_total", counter, func(p *PublishedStatus) float64 { return float64(p.LeftOut) }, "Its segments that were missing, or no good."),
	ofPublished("restarts_total", counter, func(p *PublishedStatus) float64 { return float64(p.Restarts) }, "Times that it began anew."),
	ofPublished("segments_silent_total", counter, func(p *PublishedStatus) float64 { return float64(p.Silent) }, "Its segments of which some sound was missing."),
}

func ofDisk(name string, kind prometheus.ValueType, value func(*DiskFigures) float64, help string) metric[DiskFigures] {
	return metric[DiskFigures]{descOf("disk_"+name, help), kind, value}
}

var diskMetrics = []metric[DiskFigures]{
	ofDisk("kept_bytes", gauge, func(d *DiskFigures) float64 { return float64(d.Bytes) }, "Bytes of streams in files."),
	ofDisk("limit_bytes", gauge, func(d *DiskFigures) float64 { return float64(d.Limit) }, "Bytes that may be in files."),
	ofDisk("written_bytes_total", counter, func(d *DiskFigures) float64 { return float64(d.Written) }, "Bytes written to files."),
	ofDisk("waiting_bytes", gauge, func(d *DiskFigures) float64 { return float64(d.Waiting) }, "Bytes that wait to be written."),
	ofDisk("evicted_bytes_total", counter, func(d *DiskFigures) float64 { return float64(d.Evicted) }, "Bytes let go to stay within the limit."),
	ofDisk("chunks_damaged_total", counter, func(d *DiskFigures) float64 { return float64(d.Damaged) }, "Chunks that were not there, or not as they were signed, when they were to be read."),
	ofDisk("parts_slow_total", counter, func(d *DiskFigures) float64 { return float64(d.Slow) }, "Parts not kept, as the disk was too slow."),
	ofDisk("parts_failed_total", counter, func(d *DiskFigures) float64 { return float64(d.Failed) }, "Parts not kept, as the disk refused them."),
}

func ofGateway(name string, kind prometheus.ValueType, value func(*GatewayStatus) float64, help string) metric[GatewayStatus] {
	return metric[GatewayStatus]{descOf("gateway_"+name, help), kind, value}
}

var gatewayMetrics = []metric[GatewayStatus]{
	ofGateway("viewers", gauge, func(g *GatewayStatus) float64 { return float64(g.Viewers) }, "Who watches by way of the gateway now."),
	ofGateway("requests_total", counter, func(g *GatewayStatus) float64 { return float64(g.Requests) }, "Requests of all kinds."),
	ofGateway("sent_bytes_total", counter, func(g *GatewayStatus) float64 { return float64(g.Bytes) }, "Bytes of answers' bodies."),
	ofGateway("refused_viewers_total", counter, func(g *GatewayStatus) float64 { return float64(g.RefusedViewers) }, "Requests refused, as too many watch."),
	ofGateway("refused_bandwidth_total", counter, func(g *GatewayStatus) float64 { return float64(g.RefusedBandwidth) }, "Requests refused, as answers fill the bandwidth."),
	ofGateway("connections", gauge, func(g *GatewayStatus) float64 { return float64(g.Conns) }, "Connections now."),
	ofGateway("connections_closed_total", counter, func(g *GatewayStatus) float64 { return float64(g.ConnsClosed) }, "Connections closed that were of no use, to make room for others."),
	ofGateway("connections_refused_total", counter, func(g *GatewayStatus) float64 { return float64(g.ConnsRefused) }, "Connections refused, as their address had too many."),
	ofGateway("origin_parts_total", counter, func(g *GatewayStatus) float64 { return float64(g.OriginParts) }, "Parts served to nodes as their origin, or ranges of them."),
	ofGateway("origin_refused_total", counter, func(g *GatewayStatus) float64 { return float64(g.OriginRefused) }, "Requests of nodes refused, as too many waited."),
}

func ofStream(name string, kind prometheus.ValueType, value func(*StreamFigures) float64, help string) metric[StreamFigures] {
	return metric[StreamFigures]{descOf("stream_"+name, help, "stream"), kind, value}
}

var streamMetrics = []metric[StreamFigures]{
	ofStream("playable", gauge, func(s *StreamFigures) float64 { return truth(s.Playable) }, "1 if players can start."),
	ofStream("players", gauge, func(s *StreamFigures) float64 { return float64(s.Players) }, "Players of this machine, or of who may reach it, that play the stream."),
	ofStream("ended", gauge, func(s *StreamFigures) float64 { return truth(s.Ended) }, "1 if the stream has ended, and all of it is listed."),
	ofStream("buffer_seconds", gauge, func(s *StreamFigures) float64 { return s.Buffer }, "What the live playlist lists, of the rendition that lists least."),
	ofStream("headers_received_total", counter, func(s *StreamFigures) float64 { return float64(s.HeadersReceived) }, "Headers that were new and verified."),
	ofStream("headers_past_total", counter, func(s *StreamFigures) float64 { return float64(s.HeadersPast) }, "Of those, fetched because somebody rewound."),
	ofStream("origin_headers_total", counter, func(s *StreamFigures) float64 { return float64(s.OriginHeaders) }, "Of those, from HTTP origins."),
	ofStream("chunks_received_total", counter, func(s *StreamFigures) float64 { return float64(s.ChunksReceived) }, "Chunks from peers that were new and verified."),
	ofStream("chunks_fetched_total", counter, func(s *StreamFigures) float64 { return float64(s.ChunksFetched) }, "Of those, asked for by this node rather than sent by neighbours."),
	ofStream("chunks_past_total", counter, func(s *StreamFigures) float64 { return float64(s.ChunksPast) }, "Of those, fetched because somebody rewound."),
	ofStream("chunks_duplicate_total", counter, func(s *StreamFigures) float64 { return float64(s.ChunksDuplicate) }, "Chunks that this node had already."),
	ofStream("chunks_refused_total", counter, func(s *StreamFigures) float64 { return float64(s.ChunksRefused) }, "Chunks that failed verification, or were not asked for."),
	ofStream("chunks_late_total", counter, func(s *StreamFigures) float64 { return float64(s.ChunksLate) }, "Chunks that were of no use any more when they came."),
	ofStream("chunks_lost_total", counter, func(s *StreamFigures) float64 { return float64(s.ChunksLost) }, "Chunks that were given up."),
	ofStream("chunks_sent_total", counter, func(s *StreamFigures) float64 { return float64(s.ChunksSent) }, "Chunks sent to peers."),
	ofStream("chunks_overdue_total", counter, func(s *StreamFigures) float64 { return float64(s.ChunksOverdue) }, "Chunks not sent, as nobody could have played them any more."),
	ofStream("received_bytes_total", counter, func(s *StreamFigures) float64 { return float64(s.PayloadIn) }, "Payload of the stream received from peers."),
	ofStream("sent_bytes_total", counter, func(s *StreamFigures) float64 { return float64(s.PayloadOut) }, "Payload of the stream sent to peers."),
	ofStream("published_bytes_total", counter, func(s *StreamFigures) float64 { return float64(s.Published) }, "Payload of the stream that this node broadcast itself."),
	ofStream("past_claims_total", counter, func(s *StreamFigures) float64 { return float64(s.PastClaims) }, "Times that a peer did not send what it said that it holds of the past."),
	ofStream("chunks_wanted", gauge, func(s *StreamFigures) float64 { return float64(s.Wanted) }, "Chunks that are wanted and not there yet."),
	ofStream("wants_expired_total", counter, func(s *StreamFigures) float64 { return float64(s.WantsExpired) }, "Chunks that a peer did not send in time."),
	ofStream("events_dropped_total", counter, func(s *StreamFigures) float64 { return float64(s.EventsDropped) }, "Messages of peers lost as this node was too busy."),
	ofStream("parents", gauge, func(s *StreamFigures) float64 { return float64(s.Parents) }, "Stripes, of 16 a rendition, that a neighbour sends unasked."),
	ofStream("children", gauge, func(s *StreamFigures) float64 { return float64(s.Children) }, "Neighbours that get stripes unasked, each stripe of each counted."),
	ofStream("slots", gauge, func(s *StreamFigures) float64 { return float64(s.Slots) }, "Children that the uplink feeds."),
	ofStream("supply_ratio", gauge, func(s *StreamFigures) float64 { return s.Supply }, "Copies of the stream that the uplinks of this node and its neighbours carry, for each of them; 0 if it is not known."),
	ofStream("promises_revoked_total", counter, func(s *StreamFigures) float64 { return float64(s.PromisesRevoked) }, "Times that a child was told to find another parent."),
	ofStream("penalties_total", counter, func(s *StreamFigures) float64 { return float64(s.Penalised) }, "Times that a peer's score was lowered for what no honest peer sends."),
	ofStream("peers_cut_off_total", counter, func(s *StreamFigures) float64 { return float64(s.PeersCutOff) }, "Peers cut off for what they did in the stream."),
	ofStream("equivocations_total", counter, func(s *StreamFigures) float64 { return float64(s.Equivocations) }, "Parts of which whoever has the stream's key signed two headers."),
	ofStream("enrolments_total", counter, func(s *StreamFigures) float64 { return float64(s.Enrolments) }, "Enrolments of a private stream's viewers that were passed on or taken."),
	ofStream("enrolments_refused_total", counter, func(s *StreamFigures) float64 { return float64(s.EnrolmentsRefused) }, "Enrolments that were forged, or by an invite that has expired."),
	ofStream("enrolments_dropped_total", counter, func(s *StreamFigures) float64 { return float64(s.EnrolmentsDropped) }, "Enrolments that a bound left no room for."),
	ofStream("moderations_total", counter, func(s *StreamFigures) float64 { return float64(s.Moderations) }, "Moderations of a private stream that were passed on or taken."),
	ofStream("moderations_refused_total", counter, func(s *StreamFigures) float64 { return float64(s.ModerationsRefused) }, "Moderations and their answers that were forged, of another time, or of who may not sign them any more."),
	ofStream("moderations_dropped_total", counter, func(s *StreamFigures) float64 { return float64(s.ModerationsDropped) }, "Moderations and their answers that a bound left no room for, or that were here before."),
	ofStream("surveys_total", counter, func(s *StreamFigures) float64 { return float64(s.Surveys) }, "Surveys of the broadcaster that were passed on."),
	ofStream("surveys_refused_total", counter, func(s *StreamFigures) float64 { return float64(s.SurveysRefused) }, "Surveys that were forged or malformed."),
	ofStream("reports_sent_total", counter, func(s *StreamFigures) float64 { return float64(s.ReportsSent) }, "Reports of this node's own."),
	ofStream("reports_passed_total", counter, func(s *StreamFigures) float64 { return float64(s.ReportsPassed) }, "Reports of others that were passed on to the broadcaster."),
	ofStream("reports_refused_total", counter, func(s *StreamFigures) float64 { return float64(s.ReportsRefused) }, "Reports that were malformed, of another survey, or here before."),
	ofStream("reports_dropped_total", counter, func(s *StreamFigures) float64 { return float64(s.ReportsDropped) }, "Reports that a bound left no room for."),
	ofStream("reports_lost_total", counter, func(s *StreamFigures) float64 { return float64(s.ReportsLost) }, "Reports that the next node did not take."),
	ofStream("dht_searches_total", counter, func(s *StreamFigures) float64 { return float64(s.Searches) }, "Searches of the DHT."),
	ofStream("dht_announcements_total", counter, func(s *StreamFigures) float64 { return float64(s.Announced) }, "Times that this node announced the stream in the DHT."),
	ofStream("origin_received_bytes_total", counter, func(s *StreamFigures) float64 { return float64(s.OriginBytes) }, "Payload from HTTP origins, which is not among that from peers."),
	ofStream("origin_chunks_total", counter, func(s *StreamFigures) float64 { return float64(s.OriginChunks) }, "Chunks from HTTP origins that were new and verified."),
	ofStream("origin_in_vain_total", counter, func(s *StreamFigures) float64 { return float64(s.OriginInVain) }, "Chunks from HTTP origins that had come meanwhile."),
	ofStream("origin_receive_bytes_per_second", gauge, func(s *StreamFigures) float64 { return s.OriginRate / 8 }, "Rate of the payload from HTTP origins now."),
	ofStream("origin_past_bytes_total", counter, func(s *StreamFigures) float64 { return float64(s.OriginPast) }, "Of that payload, fetched because somebody rewound."),
	ofStream("origin_requests_total", counter, func(s *StreamFigures) float64 { return float64(s.OriginRequests) }, "Requests made of HTTP origins."),
	ofStream("offload_ratio", gauge, func(s *StreamFigures) float64 { return s.Offload }, "Share of the payload that came from peers rather than from origins; 1 if nothing came."),
}

var streamCounts = []counts{
	{descOf("stream_headers_refused_total", "Headers that were refused.", "stream", "reason"), func(s *StreamFigures) map[string]int64 { return s.HeadersRefusedBy }},
	{descOf("stream_peers_found_total", "Peers by what told of them first.", "stream", "source"), func(s *StreamFigures) map[string]int64 { return s.Found }},
	{descOf("stream_origin_failures_total", "Requests of HTTP origins that failed.", "stream", "reason"), func(s *StreamFigures) map[string]int64 { return s.OriginFailures }},
}

func ofRendition(name string, kind prometheus.ValueType, value func(*RenditionFigures) float64, help string) metric[RenditionFigures] {
	return metric[RenditionFigures]{descOf("rendition_"+name, help, "stream", "rendition"), kind, value}
}

var renditionMetrics = []metric[RenditionFigures]{
	ofRendition("carried", gauge, func(r *RenditionFigures) float64 { return truth(r.Carried) }, "1 if this node holds it; else a player has to ask for it."),
	ofRendition("playable", gauge, func(r *RenditionFigures) float64 { return truth(r.Playable) }, "1 if players can start."),
	ofRendition("ended", gauge, func(r *RenditionFigures) float64 { return truth(r.Ended) }, "1 if its playlist has ended."),
	ofRendition("segments", gauge, func(r *RenditionFigures) float64 { return float64(r.Segments) }, "Segments in the live playlist."),
	ofRendition("buffer_seconds", gauge, func(r *RenditionFigures) float64 { return r.Buffer }, "What the live playlist lists."),
	ofRendition("latency_seconds", gauge, func(r *RenditionFigures) float64 { return r.Latency }, "Age of the newest listed segment's end, by the broadcaster's clock and this node's."),
	ofRendition("target_duration_seconds", gauge, func(r *RenditionFigures) float64 { return float64(r.TargetDuration) }, "The playlist's target duration."),
	ofRendition("target_raised_total", counter, func(r *RenditionFigures) float64 { return float64(r.TargetRaised) }, "Times that a segment was longer than that."),
	ofRendition("media_sequence", gauge, func(r *RenditionFigures) float64 { return float64(r.MediaSequence) }, "Number of the first segment in the live playlist."),
	ofRendition("segments_listed_total", counter, func(r *RenditionFigures) float64 { return float64(r.Listed) }, "Segments that the live playlist listed."),
	ofRendition("segments_skipped_total", counter, func(r *RenditionFigures) float64 { return float64(r.Skipped) }, "Segments that were left out, as they never became whole."),
	ofRendition("bandwidth_bytes_per_second", gauge, func(r *RenditionFigures) float64 { return float64(r.Bandwidth) / 8 }, "Rate of the densest listed segment."),
	ofRendition("average_bandwidth_bytes_per_second", gauge, func(r *RenditionFigures) float64 { return float64(r.Average) / 8 }, "Average rate of what is listed."),
	ofRendition("width_pixels", gauge, func(r *RenditionFigures) float64 { return float64(r.Width) }, "Width of the picture; 0 without one."),
	ofRendition("height_pixels", gauge, func(r *RenditionFigures) float64 { return float64(r.Height) }, "Height of the picture; 0 without one."),
	ofRendition("frame_rate_hertz", gauge, func(r *RenditionFigures) float64 { return r.FrameRate }, "Frames per second; 0 if not known."),
	ofRendition("dvr_playable", gauge, func(r *RenditionFigures) float64 { return truth(r.DVR.Playable) }, "1 if somebody has asked for the playlist that rewinds."),
	ofRendition("dvr_segments", gauge, func(r *RenditionFigures) float64 { return float64(r.DVR.Segments) }, "Segments in the playlist that rewinds."),
	ofRendition("dvr_seconds", gauge, func(r *RenditionFigures) float64 { return r.DVR.Seconds }, "What the playlist that rewinds lists."),
	ofRendition("dvr_media_sequence", gauge, func(r *RenditionFigures) float64 { return float64(r.DVR.MediaSequence) }, "Number of the first segment in the playlist that rewinds."),
	ofRendition("dvr_segments_fetched_total", counter, func(r *RenditionFigures) float64 { return float64(r.DVR.Fetched) }, "Segments fetched from peers because somebody rewound."),
	ofRendition("dvr_segments_fetching", gauge, func(r *RenditionFigures) float64 { return float64(r.DVR.Fetching) }, "Such segments on their way."),
	ofRendition("dvr_segments_lost_total", counter, func(r *RenditionFigures) float64 { return float64(r.DVR.Lost) }, "Such segments that could not be had any more."),
}

func ofRecording(name string, kind prometheus.ValueType, value func(*RecordingStatus) float64, help string) metric[RecordingStatus] {
	return metric[RecordingStatus]{descOf("recording_"+name, help, "stream", "rendition"), kind, value}
}

var recordingMetrics = []metric[RecordingStatus]{
	ofRecording("stopped", gauge, func(r *RecordingStatus) float64 { return truth(r.State == "stopped") }, "1 if the recording stopped because of an error; it is tried again."),
	ofRecording("segments", gauge, func(r *RecordingStatus) float64 { return float64(r.Segments) }, "Segments in the recording's playlist."),
	ofRecording("seconds", gauge, func(r *RecordingStatus) float64 { return r.Seconds }, "What the recording's playlist lists."),
	ofRecording("written_bytes_total", counter, func(r *RecordingStatus) float64 { return float64(r.Bytes) }, "Bytes of MPEG-TS written."),
	ofRecording("segments_missing_total", counter, func(r *RecordingStatus) float64 { return float64(r.Missing) }, "Segments left out, as they never became whole."),
	ofRecording("segments_slow_total", counter, func(r *RecordingStatus) float64 { return float64(r.Slow) }, "Segments left out, as the disk was too slow."),
	ofRecording("segments_failed_total", counter, func(r *RecordingStatus) float64 { return float64(r.Failed) }, "Segments left out, as the disk refused them."),
	ofRecording("segments_not_in_mp4_total", counter, func(r *RecordingStatus) float64 { return float64(r.MP4LeftOut) }, "Segments in the playlist that MP4 could not hold."),
	ofRecording("frames_not_in_mp4_total", counter, func(r *RecordingStatus) float64 { return float64(r.MP4Lost) }, "Frames that MP4 could not hold: damaged, or overlapping at a break."),
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
