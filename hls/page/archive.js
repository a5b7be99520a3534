// The part of a stream that is long past: how far dvr.m3u8 reaches back, if a node has it.

const fresh = 20000; // milliseconds for which an answer holds
const patience = 15000; // milliseconds; the node asks its peers for up to 8 s before it answers

export class Archive {
  seconds = 0; // that it reaches back from its end; 0 if there is none

  #asked = -fresh;
  #answer = Promise.resolve(0);

  constructor(url) {
    this.url = url;
  }

  // Returns how far it reaches back. A node without an archive answers 404.
  ask() {
    if (!this.url || performance.now() - this.#asked < fresh) return this.#answer;
    this.#asked = performance.now();
    this.#answer = this.#read();
    return this.#answer;
  }

  async #read() {
    try {
      const multivariant = await playlist(this.url);
      const media = multivariant.lines.find((line) => line && !line.startsWith("#"));
      this.seconds = media ? duration((await playlist(new URL(media, multivariant.url))).lines) : 0;
    } catch {
      this.seconds = 0; // without it one rewinds within the short window
    }
    return this.seconds;
  }
}

async function playlist(url) {
  const answer = await fetch(url, { signal: AbortSignal.timeout(patience) });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return { url: answer.url, lines: (await answer.text()).split(/\r?\n/) };
}

const duration = (lines) => lines.reduce((sum, line) => sum + (line.startsWith("#EXTINF:") ? parseFloat(line.slice(8)) || 0 : 0), 0);
