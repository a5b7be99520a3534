// A session of WHIP (RFC 9725).

const maxBitrate = 2_500_000; // bits per second of the video
const figuresEvery = 1000; // milliseconds

// says is what to tell for an answer that is no success.
const says = {
  401: 'The stream key is wrong: copy the one that broadcast prints.',
  409: 'Another encoder is sending: stop that one first.',
  503: 'The broadcast is over.',
};

export class Publication {
  onfigures = () => {};
  onend = () => {}; // why, and whether to try again
  #endpoint;
  #key;
  #media;
  #pc = null;
  #session = null;
  #timer = 0;
  #over = false;
  #last = null; // figures, to tell rates
  #since = 0;

  constructor(endpoint, key, media) {
    this.#endpoint = endpoint;
    this.#key = key;
    this.#media = media;
  }

  async start() {
    try {
      await this.#publish();
    } catch (err) {
      this.#end(err instanceof TypeError ? 'The broadcaster does not answer; this goes on when it does.' : err.message, err instanceof TypeError);
    }
  }

  // stop ends the session, also while the page is being left.
  stop() {
    this.#over = true;
    clearInterval(this.#timer);
    const pc = this.#pc;
    if (!this.#session) {
      pc?.close();
      return;
    }
    // The connection is closed later: to the broadcaster, that would be a break.
    fetch(this.#session, { method: 'DELETE', headers: { Authorization: `Bearer ${this.#key}` }, keepalive: true })
      .catch(() => {}) // it finds out by itself
      .finally(() => pc.close());
    this.#session = null;
  }

  #end(why, comesBack) {
    if (this.#over) return;
    this.stop();
    this.onend(why, comesBack);
  }

  async #publish() {
    const pc = this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    for (const track of this.#media.getTracks()) {
      const sendEncodings = track.kind === 'video' ? [{ maxBitrate }] : undefined;
      pc.addTransceiver(track, { direction: 'sendonly', streams: [this.#media], sendEncodings });
    }
    pc.addEventListener('connectionstatechange', () => this.#changed());
    // The broadcaster finds the way back by what comes from here: no candidates are waited for.
    await pc.setLocalDescription();
    const answer = await fetch(this.#endpoint, {
      method: 'POST', headers: { Authorization: `Bearer ${this.#key}`, 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp,
    });
    const text = await answer.text();
    if (answer.status !== 201) throw new Error(says[answer.status] ?? `The broadcaster refuses: ${text.trim()}.`);
    this.#session = new URL(answer.headers.get('Location'), this.#endpoint);
    if (this.#over) { // stopped meanwhile
      this.stop();
      return;
    }
    await pc.setRemoteDescription({ type: 'answer', sdp: text });
    await keepSize(pc);
  }

  #changed() {
    switch (this.#pc.connectionState) {
      case 'connected':
        if (this.#timer) break;
        this.#since = performance.now();
        this.#timer = setInterval(() => this.#figures(), figuresEvery);
        this.#figures();
        break;
      case 'failed':
        this.#end(this.#since
          ? 'The connection broke; trying again…'
          : 'No connection by UDP: see that nothing blocks it, and that --input listens on an address that this browser reaches. Trying again…', true);
        break;
    }
  }

  async #figures() {
    const parts = [clock((performance.now() - this.#since) / 1000)];
    for (const s of (await this.#pc.getStats()).values()) {
      if (s.type !== 'outbound-rtp' || s.kind !== 'video') continue;
      if (s.frameWidth) parts.push(`${s.frameWidth}×${s.frameHeight}`);
      if (s.framesPerSecond) parts.push(`${Math.round(s.framesPerSecond)} fps`);
      if (this.#last) {
        const rate = (s.bytesSent - this.#last.bytesSent) * 8 / (s.timestamp - this.#last.timestamp) / 1000;
        parts.push(`${rate.toFixed(1)} Mbit/s`);
      }
      this.#last = s;
    }
    if (!this.#over) this.onfigures(parts.join(' · '));
  }
}

// keepSize has the browser save on frames rather than on the picture's size while the
// connection is slow: each change of size is a break for players.
async function keepSize(pc) {
  for (const sender of pc.getSenders()) {
    if (sender.track?.kind !== 'video') continue;
    const parameters = sender.getParameters();
    parameters.degradationPreference = 'maintain-resolution';
    await sender.setParameters(parameters).catch(() => {}); // it is a wish
  }
}

// clock writes seconds as h:mm:ss.
function clock(seconds) {
  const s = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, '0');
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}
