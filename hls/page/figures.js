// What was received and given, the buffer, the delay, and what was lost.
import { $, text } from "./dom.js";
import { bytes, percent, rate, seconds } from "./format.js";
import { Graph } from "./graph.js";

const received = new Graph($("graph-in"), "Received");
const given = new Graph($("graph-out"), "Given");

export function showTraffic(status) {
  const sum = (name) => status.streams.reduce((n, s) => n + s[name], 0);
  const origin = sum("origin_bytes");
  const peers = sum("payload_in");
  // What HTTP origins sent is not among what libp2p counts.
  const rateIn = status.rate_in + sum("origin_rate");
  text($("rate-in"), rate(rateIn));
  text($("rate-out"), rate(status.rate_out));
  text($("bytes-in"), origin ? `${bytes(status.bytes_in + origin)} in all, ${percent(peers / (peers + origin))} from peers` : `${bytes(status.bytes_in)} in all`);
  text($("bytes-out"), `${bytes(status.bytes_out)} in all`);
  received.add(rateIn);
  given.add(status.rate_out);
  const most = Math.max(received.most, given.most);
  received.draw(most);
  given.draw(most);
}

// What the node keeps on a disk, and what it could not keep or read.
export function showDisk(disk) {
  $("on-disk").hidden = !disk;
  if (!disk) return;
  const parts = [`${bytes(disk.bytes)} of ${bytes(disk.limit)} kept on disk`];
  if (disk.error) parts.push(`it takes no more: ${disk.error}`);
  const left = disk.parts_failed + disk.parts_slow;
  if (left) parts.push(`${left} ${left === 1 ? "part" : "parts"} left out`);
  if (disk.chunks_damaged) parts.push(`${disk.chunks_damaged} damaged ${disk.chunks_damaged === 1 ? "chunk" : "chunks"} found`);
  text($("on-disk"), parts.join(" · "));
}

export function showPlayback(stream, player) {
  const delay = player.state === "ended" ? NaN : player.delay;
  text($("delay"), delay >= 0 ? seconds(delay) : "–");
  text($("buffer"), player.urls ? seconds(player.buffered) : "–");
  const lost = stream.renditions.reduce((n, r) => n + r.segments_skipped, 0);
  text($("skipped"), lost ? `${lost} ${lost === 1 ? "segment" : "segments"}` : "nothing");
}

// The stream's picture in a few words.
export function format(stream) {
  const best = stream.renditions.filter((r) => r.playable).reduce((a, b) => (a && a.bandwidth >= b.bandwidth ? a : b), null);
  const parts = [];
  if (best?.height) parts.push(`${best.width} × ${best.height}`);
  if (best?.frame_rate) parts.push(`${best.frame_rate.toLocaleString(undefined, { maximumFractionDigits: 2 })} frames/s`);
  if (best) parts.push(rate(best.average_bandwidth));
  return parts.join(" · ");
}
