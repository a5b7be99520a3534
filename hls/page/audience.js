// How the stream fares at the nodes that agreed to tell its broadcaster, and whether this one does.
import { $, text } from "./dom.js";
import { percent, rate, seconds } from "./format.js";

const programs = { vlc: "VLC", page: "browsers", mpv: "mpv", ffmpeg: "ffmpeg", gstreamer: "GStreamer", other: "others" };
const whole = (n) => Math.round(n).toLocaleString();
const estimate = (n, error) => (error >= 0.5 ? `${whole(n)} ± ${whole(error)}` : whole(n));
const nodes = (n) => (Math.round(n) === 1 ? "node" : "nodes");

export function showAudience(stream) {
  const a = stream.audience;
  $("audience").hidden = !a;
  if (!a) return;
  const asked = a.at_millis > 0;
  const watched = asked && a.viewers > 0;
  $("audience-figures").hidden = !asked;
  text($("audience-viewers"), estimate(a.viewers, a.viewers_error));
  text($("audience-delay"), watched ? seconds(a.delay_p50_seconds) : "–");
  text($("audience-delay-p95"), watched ? `95% below ${seconds(a.delay_p95_seconds)}` : "");
  text($("audience-stalls"), watched ? percent(a.stalling) : "–");
  text($("audience-stalls-p95"), watched ? `95% below ${seconds(a.stalled_p95_seconds)} a minute` : "");
  text($("audience-peers"), a.from_peers + a.from_broadcaster + a.from_origins > 0 ? percent(a.from_peers) : "–");
  const rest = [];
  if (a.from_broadcaster > 0) rest.push(`${percent(a.from_broadcaster)} from this node`);
  if (a.from_origins > 0) rest.push(`${percent(a.from_origins)} from origins`);
  text($("audience-direct"), rest.join(", "));
  text($("audience-programs"), watched ? who(a.players) : "");
  text($("audience-thin"), asked && a.nodes > 0 ? thin(a) : "");
  text($("audience-sample"), sample(a, asked));
}

function who(players) {
  const some = Object.entries(players).filter(([, n]) => n >= 0.5).sort(([, a], [, b]) => b - a);
  return some.map(([program, n]) => `${programs[program]} ${whole(n)}`).join(" · ");
}

// Where the swarm would break first.
function thin(a) {
  const facts = [`${percent(a.one_feeder)} of the nodes are fed by one neighbour only`, `${percent(a.no_spare)} have no upload to spare`];
  if (a.given > 0) facts.push(`all together give ${rate(a.given)}`);
  if (a.rewound > 0) facts.push(`${percent(a.rewound)} of the viewers have rewound`);
  return `${facts.join(" · ")}.`;
}

function sample(a, asked) {
  if (!asked) return "Nodes that agreed to tell how they fare are being asked.";
  const of = a.share === 1 ? "" : `, estimated from ${whole(a.reports)} reports`;
  return `Of ${estimate(a.nodes, a.nodes_error)} ${nodes(a.nodes)} that agreed to tell${of}. Others are not counted.`;
}

// What this node tells broadcasters, as its owner chose.
export function showReporting(status) {
  const line = $("reporting");
  line.hidden = status.role !== "watch" && status.role !== "relay";
  text(line, status.reports
    ? "The broadcaster is told how the stream plays here, without addresses."
    : "The broadcaster is not told how the stream plays here; with --report it is, without addresses.");
}
