package hls

// AudienceStatus is how a stream fares at the nodes that agreed to tell its broadcaster, estimated from
// the reports of a sample of them. Nothing is known of others. Delays and stalls of players are as can
// be told from what they fetch.
type AudienceStatus struct {
	At      int64   `json:"at_millis"`        // when the last survey began that is over, milliseconds since 1970; 0 if none is, and then so are all estimates
	Share   float64 `json:"share"`            // of the nodes that this one asked, 0 to 1
	Reports int     `json:"reports"`          // that the estimates are of
	Surveys int64   `json:"surveys"`          // made since the start
	Asked   float64 `json:"asked"`            // share of the nodes that the survey under way asks
	Every   float64 `json:"interval_seconds"` // of surveys now

	ReportsTaken   int64            `json:"reports_taken"`             // since the start
	ReportsRefused map[string]int64 `json:"reports_refused,omitempty"` // by reason: malformed, forged, drawn, again or full

	Nodes        float64       `json:"nodes"`         // that agreed
	NodesError   float64       `json:"nodes_error"`   // standard error of that, as a sample was asked; 0 if all were
	Relays       float64       `json:"relays"`        // of the nodes, set up as relays
	Viewers      float64       `json:"viewers"`       // players that these nodes, and their gateways, serve
	ViewersError float64       `json:"viewers_error"` // standard error of that
	Largest      float64       `json:"largest"`       // the most viewers that one report told of
	Players      PlayersStatus `json:"players"`       // viewers by program
	Rewound      float64       `json:"rewound"`       // share of the viewers who play what is more than a minute old

	DelayP50     float64 `json:"delay_p50_seconds"`   // behind the broadcaster, of the viewers that have not rewound
	DelayP95     float64 `json:"delay_p95_seconds"`   // likewise
	StalledP50   float64 `json:"stalled_p50_seconds"` // of a minute's viewing, by viewer
	StalledP95   float64 `json:"stalled_p95_seconds"` // likewise
	Stalling     float64 `json:"stalling"`            // share of the viewers that stalled in the last minute
	StalledShare float64 `json:"stalled_share"`       // share of the last minute's viewing that was stalled

	FromPeers       float64 `json:"from_peers"`       // share of the payload received in the last minute, 0 to 1
	FromBroadcaster float64 `json:"from_broadcaster"` // likewise
	FromOrigins     float64 `json:"from_origins"`     // likewise
	Given           float64 `json:"given"`            // bits per second to peers, by all together

	OneFeeder float64 `json:"one_feeder"` // share of the nodes that one neighbour feeds at most
	NoSpare   float64 `json:"no_spare"`   // share of the nodes whose uplink has no room for a further child

	Versions []VersionStatus `json:"versions"` // by how many nodes run them
}

// PlayersStatus are viewers by the program that they use.
type PlayersStatus struct {
	VLC       float64 `json:"vlc"`       // VLC
	Page      float64 `json:"page"`      // in a browser
	MPV       float64 `json:"mpv"`       // mpv
	FFmpeg    float64 `json:"ffmpeg"`    // ffplay, and what else uses its libraries
	GStreamer float64 `json:"gstreamer"` // what uses it
	Other     float64 `json:"other"`     // any other, or none that says what it is
}

// VersionStatus is a version of the program.
type VersionStatus struct {
	Version string  `json:"version"` // as nodes say, other for the rest of many
	Nodes   float64 `json:"nodes"`   // that run it
}
