package hls

import "github.com/prometheus/client_golang/prometheus"

func ofAudience(name string, kind prometheus.ValueType, value func(*AudienceStatus) float64, help string) metric[AudienceStatus] {
	return metric[AudienceStatus]{descOf("audience_"+name, help, "stream"), kind, value}
}

// audienceMetrics are of a broadcaster's stream: estimates of nodes that agreed to report.
var audienceMetrics = []metric[AudienceStatus]{
	ofAudience("survey_timestamp_seconds", gauge, func(a *AudienceStatus) float64 { return float64(a.At) / 1000 }, "When the survey began of which the estimates are; 0 before the first is over."),
	ofAudience("survey_share_ratio", gauge, func(a *AudienceStatus) float64 { return a.Share }, "Share of the nodes that it asked."),
	ofAudience("survey_reports", gauge, func(a *AudienceStatus) float64 { return float64(a.Reports) }, "Reports that the estimates are of."),
	ofAudience("surveys_total", counter, func(a *AudienceStatus) float64 { return float64(a.Surveys) }, "Surveys made."),
	ofAudience("asked_ratio", gauge, func(a *AudienceStatus) float64 { return a.Asked }, "Share of the nodes that the survey under way asks."),
	ofAudience("survey_interval_seconds", gauge, func(a *AudienceStatus) float64 { return a.Every }, "Interval of surveys now."),
	ofAudience("reports_taken_total", counter, func(a *AudienceStatus) float64 { return float64(a.ReportsTaken) }, "Reports that were opened and are good."),
	ofAudience("nodes", gauge, func(a *AudienceStatus) float64 { return a.Nodes }, "Nodes that agreed to report, estimated."),
	ofAudience("nodes_standard_error", gauge, func(a *AudienceStatus) float64 { return a.NodesError }, "Standard error of that."),
	ofAudience("relays", gauge, func(a *AudienceStatus) float64 { return a.Relays }, "Of the nodes, those set up as relays."),
	ofAudience("viewers", gauge, func(a *AudienceStatus) float64 { return a.Viewers }, "Players that these nodes and their gateways serve, estimated."),
	ofAudience("viewers_standard_error", gauge, func(a *AudienceStatus) float64 { return a.ViewersError }, "Standard error of that."),
	ofAudience("viewers_of_one_report", gauge, func(a *AudienceStatus) float64 { return a.Largest }, "The most viewers that one report told of."),
	ofAudience("rewound_ratio", gauge, func(a *AudienceStatus) float64 { return a.Rewound }, "Share of the viewers who play what is more than a minute old."),
	ofAudience("delay_median_seconds", gauge, func(a *AudienceStatus) float64 { return a.DelayP50 }, "What viewers are behind the broadcaster: half of them are less."),
	ofAudience("delay_p95_seconds", gauge, func(a *AudienceStatus) float64 { return a.DelayP95 }, "What viewers are behind the broadcaster: 95% of them are less."),
	ofAudience("stalled_median_seconds", gauge, func(a *AudienceStatus) float64 { return a.StalledP50 }, "What viewers stalled of a minute: half of them less."),
	ofAudience("stalled_p95_seconds", gauge, func(a *AudienceStatus) float64 { return a.StalledP95 }, "What viewers stalled of a minute: 95% of them less."),
	ofAudience("stalling_ratio", gauge, func(a *AudienceStatus) float64 { return a.Stalling }, "Share of the viewers that stalled in the last minute."),
	ofAudience("stalled_ratio", gauge, func(a *AudienceStatus) float64 { return a.StalledShare }, "Share of the last minute's viewing that was stalled."),
	ofAudience("from_peers_ratio", gauge, func(a *AudienceStatus) float64 { return a.FromPeers }, "Share of the payload that came from peers other than the broadcaster."),
	ofAudience("from_broadcaster_ratio", gauge, func(a *AudienceStatus) float64 { return a.FromBroadcaster }, "Share of the payload that came from the broadcaster itself."),
	ofAudience("from_origins_ratio", gauge, func(a *AudienceStatus) float64 { return a.FromOrigins }, "Share of the payload that came from HTTP origins."),
	ofAudience("given_bytes_per_second", gauge, func(a *AudienceStatus) float64 { return a.Given / 8 }, "Payload that the nodes give to peers, together."),
	ofAudience("one_feeder_ratio", gauge, func(a *AudienceStatus) float64 { return a.OneFeeder }, "Share of the nodes that one neighbour feeds at most."),
	ofAudience("no_spare_ratio", gauge, func(a *AudienceStatus) float64 { return a.NoSpare }, "Share of the nodes whose uplink has no room for a further child."),
}

var (
	audiencePlayers  = descOf("audience_players", "Viewers by the program that they use, estimated.", "stream", "program")
	audienceVersions = descOf("audience_version_nodes", "Nodes by the version of the program that they run, estimated.", "stream", "version")
	audienceRefused  = descOf("audience_reports_refused_total", "Reports that were refused.", "stream", "reason")
)

func describeAudience(out chan<- *prometheus.Desc) {
	describeAll(out, audienceMetrics)
	out <- audiencePlayers
	out <- audienceVersions
	out <- audienceRefused
}

func collectAudience(out chan<- prometheus.Metric, a *AudienceStatus, id string) {
	if a == nil {
		return
	}
	collect(out, audienceMetrics, a, id)
	p := a.Players
	for program, n := range map[string]float64{"vlc": p.VLC, "page": p.Page, "mpv": p.MPV, "ffmpeg": p.FFmpeg, "gstreamer": p.GStreamer, "other": p.Other} {
		out <- prometheus.MustNewConstMetric(audiencePlayers, gauge, n, id, program)
	}
	for _, v := range a.Versions {
		out <- prometheus.MustNewConstMetric(audienceVersions, gauge, v.Nodes, id, v.Version)
	}
	for reason, n := range a.ReportsRefused {
		out <- prometheus.MustNewConstMetric(audienceRefused, counter, float64(n), id, reason)
	}
}
