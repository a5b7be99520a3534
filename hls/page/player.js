// Plays one stream in a <video>, and goes on trying whatever happens: with hls.js
// where media source extensions are, else with the browser's own HLS.

const retryFirst = 1000; // milliseconds
const retryMost = 5000;
const stuckAfter = 12000; // milliseconds without progress; players wait out shorter stalls

export class Player extends EventTarget {
  #video;
  #hls = null;
  #url = "";
  #state = "idle";
  #retry = 0;
  #wait = retryFirst;
  #recovered = 0;
  #moved = 0; // when the picture last moved
  #at = 0;

  constructor(video) {
    super();
    this.#video = video;
    video.addEventListener("playing", () => {
      this.#wait = retryFirst;
      this.#set("playing");
    });
    video.addEventListener("waiting", () => this.#url && this.#set("buffering"));
    video.addEventListener("ended", () => this.#set("ended"));
    video.addEventListener("error", () => !this.#hls && this.#url && this.#again());
    setInterval(() => this.#watch(), 1000);
  }

  // idle, connecting, buffering, playing, blocked (needs a click), retrying or ended
  get state() {
    return this.#state;
  }

  get url() {
    return this.#url;
  }

  open(url) {
    this.#url = url;
    this.#wait = retryFirst;
    this.#start("connecting");
  }

  close() {
    this.#url = "";
    this.#stop();
    this.#set("idle");
  }

  play() {
    this.#video.play().then(undefined, (e) => e.name === "NotAllowedError" && this.#set("blocked"));
  }

  // Seconds of media that are loaded ahead of the picture.
  get buffered() {
    const { buffered, currentTime } = this.#video;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.1 && currentTime < buffered.end(i)) return buffered.end(i) - currentTime;
    }
    return 0;
  }

  // When the picture was live, by the broadcaster's clock: milliseconds, or null.
  get pictureTime() {
    const date = this.#hls ? this.#hls.playingDate : this.#video.getStartDate?.();
    if (!date || isNaN(date)) return null;
    return this.#hls ? date.getTime() : date.getTime() + this.#video.currentTime * 1000;
  }

  // Seconds that the picture is behind where it would start now; 0 if unknown.
  get behind() {
    const edge = this.#hls?.liveSyncPosition;
    return edge ? Math.max(0, edge - this.#video.currentTime) : 0;
  }

  toLive() {
    const edge = this.#hls?.liveSyncPosition;
    if (edge) this.#video.currentTime = edge;
    this.play();
  }

  #set(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }

  #start(state) {
    this.#stop();
    this.#set(state);
    this.#moved = Date.now();
    if (!globalThis.Hls?.isSupported()) {
      this.#video.src = this.#url;
      this.play();
      return;
    }
    // The node holds the first answer until there is enough to play, and may be
    // restarted while the picture plays on.
    const patient = {
      default: {
        maxTimeToFirstByteMs: 60000,
        maxLoadTimeMs: 60000,
        timeoutRetry: { maxNumRetry: 1000, retryDelayMs: 0, maxRetryDelayMs: 0 },
        errorRetry: { maxNumRetry: 1000, retryDelayMs: 500, maxRetryDelayMs: 1000, shouldRetry: (policy, count) => count < policy.maxNumRetry },
      },
    };
    const hls = new Hls({
      manifestLoadPolicy: patient,
      playlistLoadPolicy: patient,
      liveDurationInfinity: true,
      maxLiveSyncPlaybackRate: 1.05, // too little to be heard
      backBufferLength: 60,
    });
    this.#hls = hls;
    hls.on(Hls.Events.ERROR, (_, data) => {
      if (!data.fatal || hls !== this.#hls) return;
      // A broken buffer is mended in place, once; all else by starting over.
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && Date.now() - this.#recovered > 10000) {
        this.#recovered = Date.now();
        hls.recoverMediaError();
        this.play();
        return;
      }
      this.#again();
    });
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.play());
    hls.loadSource(this.#url);
    hls.attachMedia(this.#video);
  }

  #stop() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    const hls = this.#hls;
    this.#hls = null;
    if (hls) hls.destroy();
    else if (this.#video.hasAttribute("src")) {
      this.#video.removeAttribute("src");
      this.#video.load();
    }
  }

  #again() {
    if (this.#retry) return;
    this.#stop();
    this.#set("retrying");
    this.#retry = setTimeout(() => this.#start("retrying"), this.#wait);
    this.#wait = Math.min(this.#wait * 2, retryMost);
  }

  // Starts over when nothing moves although nothing was reported.
  #watch() {
    const { currentTime, paused } = this.#video;
    const idle = paused && this.#state !== "connecting" && this.#state !== "retrying";
    if (currentTime !== this.#at || idle || this.#state === "ended" || !this.#url || this.#retry) this.#moved = Date.now();
    this.#at = currentTime;
    const patience = this.#state === "connecting" || this.#state === "retrying" ? 60000 : stuckAfter;
    if (Date.now() - this.#moved > patience) this.#again();
  }
}
