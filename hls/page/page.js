// The page: asks the node for its figures once a second, shows them, and plays the
// chosen stream.
import { Player } from "./player.js";
import { bytes, millis, rate, seconds, short } from "./format.js";

const $ = (id) => document.getElementById(id);
const askEvery = 1000; // milliseconds
const sparkLength = 60; // samples
const liveSlack = 6; // seconds behind the start position before "Go to live" is offered

const video = $("video");
const player = new Player(video);
const spark = { in: [], out: [] };
let chosen = null; // the stream that is shown, as the node last described it

function text(id, value) {
  const e = $(id);
  if (e.textContent !== value) e.textContent = value;
}

function value(id, v) {
  const e = $(id);
  if (e.value !== v) e.value = v;
}

// --- asking

async function ask() {
  try {
    const answer = await fetch("api/v1/status", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.statusText);
    const status = await answer.json();
    const back = !$("lost").hidden;
    lost(false);
    show(status);
    // The node was restarted: a player that ran dry meanwhile starts over at once.
    if (back && chosen && player.state === "buffering" && player.buffered < 0.5) player.open(chosen.hls, chosen.ll);
  } catch {
    lost(true);
  }
  setTimeout(ask, askEvery);
}

function lost(is) {
  $("lost").hidden = !is;
  document.body.classList.toggle("lost", is);
}

// --- showing

function show(status) {
  $("node").hidden = false;
  text("role", status.role);
  text("peer-id", short(status.peer_id));
  $("peer-id").title = status.peer_id;
  text("version", `grapevine ${status.version}`);

  const streams = status.streams;
  chosen = streams.find((s) => s.id === location.hash.slice(1)) ?? streams[0] ?? null;
  $("empty").hidden = streams.length > 0;
  $("layout").hidden = streams.length === 0;
  showStreams(streams);
  showTraffic(status);
  if (!chosen) {
    if (player.url) player.close();
    return;
  }
  showStream(chosen, status.now_millis);
  showPeers(chosen.peers);
  player.playable = chosen.playable;
  if (player.url !== chosen.hls) player.open(chosen.hls, chosen.ll);
  else if (player.state === "ended" && chosen.playable && !chosen.ended) player.open(chosen.hls, chosen.ll); // it is back
  showState();
}

function showStreams(streams) {
  const nav = $("streams");
  nav.hidden = streams.length < 2;
  const ids = streams.map((s) => s.id).join();
  if (nav.dataset.ids !== ids) {
    nav.dataset.ids = ids;
    nav.replaceChildren(
      ...streams.map((s) => {
        const a = document.createElement("a");
        a.href = `#${s.id}`;
        a.className = "mono";
        a.textContent = short(s.id);
        return a;
      }),
    );
  }
  for (const a of nav.children) {
    if (chosen && a.hash.slice(1) === chosen.id) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
}

function showTraffic(status) {
  text("rate-in", rate(status.rate_in));
  text("rate-out", rate(status.rate_out));
  text("bytes-in", `${bytes(status.bytes_in)} in all`);
  text("bytes-out", `${bytes(status.bytes_out)} in all`);
  draw("in", status.rate_in);
  draw("out", status.rate_out);
}

function draw(name, n) {
  const samples = spark[name];
  samples.push(n);
  if (samples.length > sparkLength) samples.shift();
  const most = Math.max(...samples, 1);
  const from = sparkLength - samples.length;
  const points = samples.map((v, i) => `${(((from + i) * 100) / (sparkLength - 1)).toFixed(1)},${(23 - (v / most) * 20).toFixed(1)}`);
  $(`spark-${name}`).firstElementChild.setAttribute("points", points.join(" "));
}

function showStream(s, now) {
  text("title", short(s.id));
  $("title").title = s.id;
  value("link", s.link);
  value("address", new URL(s.hls, location.href).href);
  const playable = s.renditions.filter((r) => r.playable);
  const best = playable.reduce((a, b) => (a && a.bandwidth >= b.bandwidth ? a : b), null);
  const parts = [];
  if (best?.height) parts.push(`${best.width} × ${best.height}`);
  if (best?.frame_rate) parts.push(`${best.frame_rate.toLocaleString(undefined, { maximumFractionDigits: 2 })} frames/s`);
  if (best) parts.push(rate(best.average_bandwidth));
  text("format", parts.join(" · "));
  text("buffer", seconds(player.buffered));
  text("listed", best ? `${seconds(best.buffer_seconds)} on this node` : "none on this node");
  const at = player.state === "ended" ? null : player.pictureTime;
  const delay = at === null ? NaN : (now - at) / 1000;
  // Another clock than the broadcaster's may make nonsense of it.
  text("delay", delay >= 0 && delay < 3600 ? seconds(delay) : "–");
  const skipped = s.renditions.reduce((n, r) => n + r.segments_skipped, 0);
  text("skipped", skipped ? `${skipped} ${skipped === 1 ? "segment" : "segments"} lost` : "nothing lost");
}

function showPeers(peers) {
  text("peer-count", peers.length ? String(peers.length) : "");
  $("peers").hidden = peers.length === 0;
  $("no-peers").hidden = peers.length > 0;
  const body = $("peers").tBodies[0];
  while (body.rows.length > peers.length) body.deleteRow(-1);
  peers.forEach((p, i) => {
    const row = body.rows[i] ?? newPeerRow(body);
    const cells = [short(p.id), p.addr, millis(p.rtt_millis), bytes(p.bytes_in), bytes(p.bytes_out)];
    cells.forEach((v, j) => {
      const cell = row.cells[j].firstChild;
      if (cell.data !== v) cell.data = v;
    });
    row.cells[0].title = p.id;
    row.cells[0].lastChild.hidden = p.direct;
  });
}

function newPeerRow(body) {
  const row = body.insertRow();
  ["", "", "Round trip", "Received", "Given"].forEach((label, j) => {
    const cell = row.insertCell();
    cell.append(document.createTextNode(""));
    if (label) {
      cell.className = "num";
      cell.dataset.label = label;
    }
    if (j === 0) {
      cell.className = "mono";
      const tag = document.createElement("span");
      tag.className = "tag";
      tag.textContent = "relayed";
      cell.append(tag);
    }
  });
  return row;
}

const states = {
  connecting: "Waiting for the first picture…",
  buffering: "Waiting for the next picture…",
  retrying: "The stream broke off. Trying again…",
  ended: "The stream has ended. If it comes back, it goes on here.",
};

function showState() {
  const state = player.state;
  const message = state === "buffering" && player.buffered > 0.5 ? undefined : states[state];
  $("veil").hidden = !message;
  $("spinner").hidden = state === "ended";
  if (message) text("state", message);
  $("play").hidden = state !== "blocked";
  $("unmute").hidden = !video.muted || state === "blocked" || state === "ended";
  const live = state === "playing" && !chosen?.ended;
  text("badge", state === "ended" || chosen?.ended ? "ENDED" : live ? "LIVE" : "");
  $("badge").classList.toggle("live", live);
  $("to-live").hidden = !live || player.behind < liveSlack;
}

// --- doing

async function copy(button) {
  const field = $(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    // The clipboard is only for secure origins, which another machine's node is not.
    field.select();
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  text("said", "Copied");
  setTimeout(() => {
    button.textContent = "Copy";
    text("said", "");
  }, 1500);
}

for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
for (const field of document.querySelectorAll(".copy input")) field.addEventListener("focus", () => field.select());
$("unmute").addEventListener("click", () => {
  video.muted = false;
  player.play();
  video.focus();
});
$("play").addEventListener("click", () => player.play());
$("to-live").addEventListener("click", () => player.toLive());
player.addEventListener("state", showState);
video.addEventListener("volumechange", showState);
video.muted = true; // browsers let nothing else start by itself
ask();
