// Plays one stream in a <video>, and goes on trying whatever happens: with the browser's
// own HLS on Safari and where there are no media source extensions, else with hls.js. It
// begins with low latency, and goes on without where that fails.

const retryFirst = 1000; // milliseconds
const retryMost = 5000;
const stuckAfter = 12000; // milliseconds without progress; players wait out shorter stalls
const connectFor = 60000; // milliseconds until the first picture; the node holds answers for 35 s
const llConnectFor = 20000; // with low latency, before it is tried without
const plainFor = 60000; // milliseconds after low latency failed before it is tried again

export class Player extends EventTarget {
  playable = false; // whether the node has enough of the stream; set by the page

  #video;
  #hls = null;
  #url = ""; // without low latency
  #ll = ""; // with
  #fast = false; // which of them plays
  #llFailed = -plainFor; // when it did
  #stuck = 0; // times that nothing moved, since it last played for a while
  #began = 0; // when this attempt did
  #played = false; // in this attempt
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
      this.#played = true;
      this.#set("playing");
    });
    video.addEventListener("waiting", () => this.#url && this.#set("buffering"));
    video.addEventListener("ended", () => this.#set("ended"));
    video.addEventListener("error", () => !this.#hls && this.#url && this.#again(true));
    setInterval(() => this.#watch(), 1000);
  }

  // idle, connecting, buffering, playing, blocked (needs a click), retrying or ended
  get state() {
    return this.#state;
  }

  get url() {
    return this.#url;
  }

  // Whether it plays with low latency.
  get lowLatency() {
    return this.#fast;
  }

  // Addresses of the stream's playlists, without low latency and with.
  open(url, ll) {
    this.#url = url;
    this.#ll = ll;
    this.#llFailed = -plainFor;
    this.#stuck = 0;
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
    this.#moved = this.#began = Date.now();
    this.#played = false;
    this.#fast = Boolean(this.#ll) && performance.now() - this.#llFailed > plainFor;
    const url = this.#fast ? this.#ll : this.#url;
    if (native(this.#video) || !globalThis.Hls?.isSupported()) {
      this.#video.src = url;
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
      lowLatencyMode: this.#fast,
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
      this.#again(true);
    });
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.play());
    hls.loadSource(url);
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

  // failed: by this player's doing, and not as nothing comes.
  #again(failed) {
    if (this.#retry) return;
    if (this.#fast && failed) this.#llFailed = performance.now();
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
    if (this.#fast && !this.playable) this.#moved = Date.now(); // no player's fault
    const waits = this.#state === "connecting" || this.#state === "retrying";
    let patience = waits ? connectFor : stuckAfter;
    if (this.#fast && !this.#played) patience = llConnectFor;
    if (this.#played && this.#moved - this.#began > 2 * stuckAfter) this.#stuck = 0;
    if (Date.now() - this.#moved <= patience) return;
    // Nothing may have come. A second time in a row, low latency may be the reason.
    this.#again(!this.#played || ++this.#stuck > 1);
  }
}

// Safari plays HLS itself, with low latency, and spares the battery. Other browsers that
// say that they can are behind hls.js.
function native(video) {
  return navigator.vendor.startsWith("Apple") && video.canPlayType("application/vnd.apple.mpegurl") !== "";
}
