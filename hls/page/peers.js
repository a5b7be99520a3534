// The peers that the node is connected to: by which path, how far, who gave how much.
import { $, element, text } from "./dom.js";
import { bytes, millis, short } from "./format.js";

const few = 8; // shown unless all are asked for
const labels = ["Peer", "Path", "Round trip", "Received", "Given"];

const sources = {
  link: "the link",
  home: "what this node remembers",
  mdns: "the local network",
  exchange: "other peers",
  dht: "the DHT",
  incoming: "itself: it connected to this node",
};

let all = false;
let latest = [];

$("all-peers").addEventListener("click", () => {
  all = !all;
  showPeers(latest);
});

export function showPeers(peers) {
  latest = peers;
  text($("peer-count"), peers.length ? String(peers.length) : "");
  $("peers").hidden = peers.length === 0;
  $("no-peers").hidden = peers.length > 0;
  $("all-peers").hidden = peers.length <= few;
  text($("all-peers"), all ? "Show fewer" : `Show all ${peers.length}`);
  // The busiest first; those that are shown stay where they are meanwhile.
  const busy = (p) => p.bytes_in + p.bytes_out;
  const ids = new Set(peers.toSorted((a, b) => busy(b) - busy(a)).slice(0, all ? peers.length : few).map((p) => p.id));
  const shown = peers.filter((p) => ids.has(p.id));
  const body = $("peers").tBodies[0];
  while (body.rows.length > shown.length) body.deleteRow(-1);
  const received = peers.reduce((n, p) => n + p.bytes_in, 0);
  shown.forEach((p, i) => fill(body.rows[i] ?? newRow(body), p, received));
}

// What HTTP origins did for the stream, if they were asked for anything.
export function showOrigins(stream) {
  $("origins").hidden = stream.origin_requests === 0;
  const parts = [`${bytes(stream.origin_bytes)} came by HTTP from the stream’s origin`];
  if (stream.origin_past_bytes) parts.push(`${bytes(stream.origin_past_bytes)} of that for rewinding`);
  const failures = Object.entries(stream.origin_failures ?? {});
  const failed = failures.reduce((n, [, k]) => n + k, 0);
  if (failed) parts.push(`${failed} of ${stream.origin_requests} requests failed (${failures.map(([reason]) => reason).join(", ")})`);
  text($("origins"), `${parts.join(", ")}.`);
}

function newRow(body) {
  const row = body.insertRow();
  labels.forEach((label, i) => {
    const cell = i === 0 ? element("th", { scope: "row", className: "mono" }) : element("td", { className: i > 1 ? "num" : "" });
    cell.dataset.label = label;
    cell.append(element("span"));
    row.append(cell);
  });
  row.cells[1].append(element("span", { className: "tag" }));
  row.cells[3].append(element("span", { className: "share" }));
  return row;
}

function fill(row, peer, received) {
  const { transport } = peer;
  [short(peer.id), place(peer.addr), millis(peer.rtt_millis), bytes(peer.bytes_in), bytes(peer.bytes_out)].forEach((v, i) => text(row.cells[i].firstChild, v));
  row.cells[0].title = peer.id;
  row.cells[1].title = `${peer.addr}, found by ${sources[peer.found_by] ?? peer.found_by}`;
  text(row.cells[1].lastChild, peer.direct ? transport : `${transport}, relayed`);
  // The part of all that was received which came from this one.
  row.cells[3].lastChild.style.setProperty("--part", received ? `${(100 * peer.bytes_in) / received}%` : "0%");
}

// Reads what people want to know from a multiaddr: /ip4/192.0.2.1/udp/4747/quic-v1.
function place(addr) {
  const [, family = "", host = "", , port = ""] = addr.split("/");
  return family === "ip6" ? `[${host}]:${port}` : port ? `${host}:${port}` : addr;
}
