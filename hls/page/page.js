// The page: shows the node's figures, and plays the chosen stream.
import { showAudience, showReporting } from "./audience.js";
import { Controls } from "./controls.js";
import { followDirectory } from "./directory.js";
import { $, text } from "./dom.js";
import { format, showDisk, showPlayback, showTraffic } from "./figures.js";
import { showLimits } from "./limits.js";
import { short } from "./format.js";
import { follow, keepPlaying } from "./node.js";
import { showOrigins, showPeers } from "./peers.js";
import { showLinks } from "./share.js";
import { choose, showStreams } from "./streams.js";
import { showSwarm } from "./swarm.js";

const { player } = new Controls($("player"));
let latest = null;

function show(status) {
  latest = status;
  lost(false);
  const { streams } = status;
  const chosen = choose(streams);
  document.body.classList.toggle("public", status.public === true);
  if (!status.public) showNode(status);
  text($("version"), `grapevine ${status.version}`);
  $("empty").hidden = streams.length > 0;
  $("layout").hidden = streams.length === 0;
  showStreams(streams, chosen);
  keepPlaying(player, chosen, status.now_millis);
  if (chosen) showStream(chosen);
}

// What is nobody's business but that of who runs the node: a gateway does not tell it.
function showNode(status) {
  $("node").hidden = false;
  text($("role"), status.role);
  text($("peer-id"), short(status.peer_id));
  $("peer-id").title = status.peer_id;
  showTraffic(status);
  showLimits(status.limits);
  showDisk(status.store.disk);
  showReporting(status);
}

function showStream(stream) {
  text($("title"), stream.title || short(stream.id));
  $("title").title = stream.id;
  text($("format"), stream.ended ? "ended" : format(stream));
  text(document.querySelector("title"), `${stream.title || short(stream.id)} – grapevine`);
  showPlayback(stream, player);
  if (stream.peers) {
    showPeers(stream.peers);
    showOrigins(stream);
    showSwarm(stream, latest.now_millis);
    showAudience(stream);
  }
  showLinks(stream);
}

function lost(is) {
  if ($("lost").hidden !== is) return; // screen readers need not hear of it again
  $("lost").hidden = !is;
  document.body.classList.toggle("lost", is);
}

// How far behind the picture is, which the node cannot see from what is fetched. A gateway is not told:
// its answers are for all.
function playing() {
  const chosen = latest && !latest.public ? choose(latest.streams) : null;
  if (!chosen || player.state !== "playing" || !(player.delay >= 0)) return null;
  return { stream: chosen.id, delay: player.delay.toFixed(2) };
}

follow(show, () => {
  player.lost = true;
  lost(true);
}, playing);
followDirectory();
addEventListener("hashchange", () => latest && show(latest));
