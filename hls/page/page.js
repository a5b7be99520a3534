// The page: shows the node's figures, and plays the chosen stream.
import { Controls } from "./controls.js";
import { followDirectory } from "./directory.js";
import { $, text } from "./dom.js";
import { format, showPlayback, showTraffic } from "./figures.js";
import { short } from "./format.js";
import { follow, keepPlaying } from "./node.js";
import { showPeers } from "./peers.js";
import { showLinks } from "./share.js";
import { choose, showStreams } from "./streams.js";

const { player } = new Controls($("player"));
let latest = null;

function show(status) {
  latest = status;
  lost(false);
  const { streams } = status;
  const chosen = choose(streams);
  $("node").hidden = false;
  text($("role"), status.role);
  text($("peer-id"), short(status.peer_id));
  $("peer-id").title = status.peer_id;
  text($("version"), `grapevine ${status.version}`);
  $("empty").hidden = streams.length > 0;
  $("layout").hidden = streams.length === 0;
  showStreams(streams, chosen);
  showTraffic(status);
  keepPlaying(player, chosen, status.now_millis);
  if (chosen) showStream(chosen);
}

function showStream(stream) {
  text($("title"), short(stream.id));
  $("title").title = stream.id;
  text($("format"), stream.ended ? "ended" : format(stream));
  text(document.querySelector("title"), `${short(stream.id)} – grapevine`);
  showPlayback(stream, player);
  showPeers(stream.peers);
  showLinks(stream);
}

function lost(is) {
  if ($("lost").hidden !== is) return; // screen readers need not hear of it again
  $("lost").hidden = !is;
  document.body.classList.toggle("lost", is);
}

follow(show, () => {
  player.lost = true;
  lost(true);
});
followDirectory();
addEventListener("hashchange", () => latest && show(latest));
