// Rates of what a stream's peers gave and got, from the counts of two answers of the node.

const follows = 0.5; // how much of the newest rate counts: parts come in bursts

export class Rates {
  #stream = "";
  #at = 0;
  #peers = new Map(); // by ID the counts, and the rates in bits per second
  #origin = { bytes: 0, rate: 0 };

  take(stream, now) {
    const seconds = (now - this.#at) / 1000;
    const other = this.#stream !== stream.id;
    // A node that was restarted counts from nothing: max keeps its rates from being negative.
    const next = (bytes, before, rate) => (seconds > 0 && !other ? rate + (Math.max(0, (8 * (bytes - before)) / seconds) - rate) * follows : 0);
    const peers = new Map();
    for (const p of stream.peers) {
      const old = (!other && this.#peers.get(p.id)) || { bytesIn: p.bytes_in, bytesOut: p.bytes_out, in: 0, out: 0 };
      peers.set(p.id, { bytesIn: p.bytes_in, bytesOut: p.bytes_out, in: next(p.bytes_in, old.bytesIn, old.in), out: next(p.bytes_out, old.bytesOut, old.out) });
    }
    this.#origin = { bytes: stream.origin_bytes, rate: next(stream.origin_bytes, this.#origin.bytes, this.#origin.rate) };
    this.#peers = peers;
    this.#stream = stream.id;
    this.#at = now;
  }

  of(id) {
    const p = this.#peers.get(id);
    return { in: p?.in ?? 0, out: p?.out ?? 0 };
  }

  get origin() {
    return this.#origin.rate;
  }
}
