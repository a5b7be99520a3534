// The swarm as this node sees it, as a picture: the node in the middle, around it the peers that
// feed it and that it feeds. Lines are as wide as what goes along them, and coloured by path.
import { $, attribute, text } from "./dom.js";
import { rate, short } from "./format.js";
import { Rates } from "./rates.js";

const roomFor = (width) => (width < 420 ? 8 : width < 640 ? 12 : 20); // peers drawn: the busiest
const widest = 9; // pixels, of the line with the highest rate
const thinnest = 1.5; // of one with any
const flows = 1000; // bits per second below which nothing is said to flow: control only
const own = { r: 26 };
const other = { r: 6 };
const margin = { x: 62, y: 34 }; // room for peers' names

const picture = $("swarm-picture");
const drawn = new Map(); // by peer the elements that show it
const rates = new Rates();
let latest = null;

export function showSwarm(stream, now) {
  rates.take(stream, now);
  latest = stream;
  draw();
}

// Peers and origins with what flows, in an order that does not change while they stay.
function sources(stream, most) {
  const peers = stream.peers.map((p) => ({ id: p.id, path: path(p), mesh: p.mesh, ...rates.of(p.id) }));
  const origin = rates.origin;
  if (origin > flows) peers.push({ id: "origin", path: "origin", mesh: true, in: origin, out: 0 });
  const busy = (p) => p.in + p.out + (p.mesh ? 1 : 0);
  const shown = new Set(peers.toSorted((a, b) => busy(b) - busy(a)).slice(0, most));
  return { shown: peers.filter((p) => shown.has(p)).sort((a, b) => (a.id < b.id ? -1 : 1)), left: peers.length - shown.size };
}

const path = (p) => (p.direct ? (p.transport === "QUIC" ? "quic" : "tcp") : "relayed");
const names = { quic: "by QUIC", tcp: "by TCP", relayed: "through a relay", origin: "by HTTP" };

function draw() {
  if (!latest) return;
  $("swarm").hidden = latest.peers.length === 0 && latest.origin_bytes === 0;
  const width = picture.clientWidth;
  const { shown, left } = sources(latest, roomFor(width));
  if (shown.length === 0 || width === 0) return;
  const height = Math.round(Math.min(340, Math.max(240, width * 0.52)));
  attribute(picture, "viewBox", `0 0 ${width} ${height}`);
  attribute(picture, "height", String(height));
  attribute(picture, "aria-label", words(shown, left));
  const more = left ? `; ${left} more peers are in the table` : "";
  text($("swarm-more"), `Wider lines carry more, full dots are neighbours${more}.`);

  const top = Math.max(flows, ...shown.flatMap((p) => [p.in, p.out]));
  const centre = { x: width / 2, y: height / 2 };
  const ids = new Set(shown.map((p) => p.id));
  for (const [id, parts] of drawn) {
    if (ids.has(id)) continue;
    parts.group.remove();
    drawn.delete(id);
  }
  // Peers are beside the node, or in the corners, rather than above and below it: there is more room.
  const turn = shown.length % 4 ? 0 : 0.5;
  shown.forEach((p, i) => {
    const angle = Math.PI + (2 * Math.PI * (i + turn)) / shown.length;
    const at = { x: centre.x + (centre.x - margin.x) * Math.cos(angle), y: centre.y + (centre.y - margin.y) * Math.sin(angle) };
    place(p, at, centre, top, angle);
  });
  const node = drawnNode();
  attribute(node.disc, "cx", String(centre.x));
  attribute(node.disc, "cy", String(centre.y));
  attribute(node.label, "x", String(centre.x));
  attribute(node.label, "y", String(centre.y + 4));
}

function place(p, at, centre, top, angle) {
  const parts = drawn.get(p.id) ?? newPeer(p.id);
  attribute(parts.group, "class", `peer ${p.path}${p.mesh ? " mesh" : ""}`);
  const away = { x: Math.cos(angle), y: Math.sin(angle) };
  const length = Math.hypot(at.x - centre.x, at.y - centre.y) || 1;
  const along = { x: (at.x - centre.x) / length, y: (at.y - centre.y) / length }; // from the node to the peer
  const beside = { x: -along.y, y: along.x };
  const line = (side) => {
    const from = { x: centre.x + along.x * (own.r + 3) + beside.x * side, y: centre.y + along.y * (own.r + 3) + beside.y * side };
    const to = { x: at.x - along.x * (other.r + 4) + beside.x * side, y: at.y - along.y * (other.r + 4) + beside.y * side };
    return { from, to };
  };
  const wide = (v) => (v < flows ? 0 : thinnest + (widest - thinnest) * Math.sqrt(v / top));
  const [into, out] = [wide(p.in), wide(p.out)];
  const gap = into && out ? (into + out) / 4 + 2 : 0;
  stroke(parts.idle, into || out ? 0 : 1, line(0));
  const a = line(gap);
  stroke(parts.into, into, { from: a.to, to: a.from }, parts.intoHead);
  stroke(parts.out, out, line(-gap), parts.outHead);
  attribute(parts.disc, "cx", at.x.toFixed(1));
  attribute(parts.disc, "cy", at.y.toFixed(1));
  const low = away.y > 0.35;
  const high = away.y < -0.35;
  attribute(parts.label, "x", at.x.toFixed(1));
  attribute(parts.label, "y", (at.y + (low || !high ? other.r + 14 : -other.r - 6)).toFixed(1));
  text(parts.label, p.id === "origin" ? "origin" : p.id.slice(-6));
  text(parts.title, `${p.id}, ${names[p.path]}: ${rate(p.in)} from it, ${rate(p.out)} to it`);
}

// Draws a line from one point to another, with a head towards its end that shows where it goes.
function stroke(path, width, { from, to }, head) {
  attribute(path, "d", width ? `M${from.x.toFixed(1)} ${from.y.toFixed(1)}L${to.x.toFixed(1)} ${to.y.toFixed(1)}` : "M0 0");
  attribute(path, "stroke-width", width.toFixed(1));
  if (!head) return;
  if (!width) return attribute(head, "d", "M0 0");
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const u = { x: (to.x - from.x) / length, y: (to.y - from.y) / length };
  const size = 4 + width * 0.6;
  const tip = { x: from.x + u.x * length * 0.78, y: from.y + u.y * length * 0.78 };
  const back = { x: tip.x - u.x * size * 1.6, y: tip.y - u.y * size * 1.6 };
  const corner = (s) => `${(back.x - u.y * size * s).toFixed(1)} ${(back.y + u.x * size * s).toFixed(1)}`;
  attribute(head, "d", `M${tip.x.toFixed(1)} ${tip.y.toFixed(1)}L${corner(0.8)}L${corner(-0.8)}Z`);
}

function svg(tag, className) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (className) e.setAttribute("class", className);
  return e;
}

function newPeer(id) {
  const parts = {
    group: svg("g"), title: svg("title"), idle: svg("path", "idle"), into: svg("path", "line"), intoHead: svg("path", "head"),
    out: svg("path", "line"), outHead: svg("path", "head"), disc: svg("circle", "disc"), label: svg("text"),
  };
  attribute(parts.disc, "r", String(other.r));
  parts.group.append(parts.title, parts.idle, parts.into, parts.intoHead, parts.out, parts.outHead, parts.disc, parts.label);
  picture.prepend(parts.group); // this node is above all lines
  drawn.set(id, parts);
  return parts;
}

let node = null;

function drawnNode() {
  if (node) return node;
  node = { group: svg("g", "own-node"), disc: svg("circle"), label: svg("text") };
  attribute(node.disc, "r", String(own.r));
  text(node.label, "you");
  node.group.append(node.disc, node.label);
  picture.append(node.group);
  return node;
}

// What the picture shows, for who does not see it. The table has all the figures.
function words(shown, left) {
  const feeding = shown.filter((p) => p.in >= flows);
  const fed = shown.filter((p) => p.out >= flows);
  const peers = (n) => `${n} ${n === 1 ? "peer" : "peers"}`;
  const best = feeding.reduce((a, b) => (a && a.in >= b.in ? a : b), null);
  const facts = [
    feeding.length ? `${peers(feeding.length)} ${feeding.length === 1 ? "feeds" : "feed"} this node${feeding.length > 1 ? `, ${best.id === "origin" ? "the origin" : short(best.id)} most` : ""}` : "no peer feeds this node",
    fed.length ? `it feeds ${peers(fed.length)}` : "it feeds none",
  ];
  const relayed = shown.filter((p) => p.path === "relayed").length;
  if (relayed) facts.push(`${relayed} of them ${relayed === 1 ? "is" : "are"} connected through a relay`);
  if (shown.length + left) facts.push(`${peers(shown.length + left)} in all`);
  return `${facts.join("; ")}. The table of peers has the figures.`;
}

new ResizeObserver(draw).observe(picture);
