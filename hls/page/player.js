// Plays one stream in a <video>, and goes on trying whatever happens. It begins with low
// latency, goes on without where that fails, and plays from the archive what is longer
// ago than the low-latency playlist reaches.
import { Archive } from "./archive.js";
import { beginAt, engine, native } from "./engine.js";
import { pace } from "./pace.js";
import { Tracks } from "./tracks.js";

const retryFirst = 1000; // milliseconds
const retryMost = 5000;
const stuckAfter = 12000; // milliseconds without progress; players wait out shorter stalls
const connectFor = 60000; // milliseconds until the first picture; the node holds answers for 35 s
const llConnectFor = 20000; // with low latency, before it is tried without
const plainFor = 60000; // milliseconds after low latency failed before it is tried again
const liveSlack = 3; // seconds behind the place where playing starts that still are live
const usualDelay = 4; // seconds from a playlist's end to that place, where nobody tells
const slides = 4; // seconds at a window's start that may slide away: two segments

export class Player extends EventTarget {
  playable = true; // whether the node has enough of the stream; the page knows
  missing = false; // whether the node does not have the stream
  lost = false; // whether the node does not answer
  clockOffset = 0; // milliseconds to add to this clock for the node's
  silenced = false; // the browser allows playing without sound only

  #video;
  #hls = null;
  #urls = null; // {plain, low (latency), archive}
  #archive = new Archive("");
  #looked = false; // whether it was asked for
  #source = ""; // which of them plays
  #llFailed = -plainFor; // when it did
  #stuck = 0; // times that nothing moved, since it last played for a while
  #began = 0; // when this attempt did
  #played = false; // in this attempt
  #begin = null; // goes where the browser's own player is to begin
  #wanted = true; // to play, unlike paused
  #apart = false; // from live, by the viewer's wish
  #state = "idle";
  #retry = 0;
  #wait = retryFirst;
  #recovered = 0;
  #moved = 0; // when the picture last moved
  #at = 0;
  #seen = null; // the last picture's programme time
  #goal = null; // the age that is on its way from the archive
  #newest = 0; // the programme time from which it counts

  constructor(video) {
    super();
    this.#video = video;
    this.tracks = new Tracks(video);
    video.addEventListener("playing", () => {
      this.#wait = retryFirst;
      this.#played = this.#wanted = true;
      this.#goal = null;
      this.#set("playing");
    });
    video.addEventListener("waiting", () => this.#state === "playing" && this.#set("buffering"));
    video.addEventListener("pause", () => {
      // Also by the system: a headset, the picture in picture.
      if (video.ended || (this.#state !== "playing" && this.#state !== "buffering")) return;
      this.#wanted = false;
      this.#apart = true;
      this.#set("paused");
    });
    video.addEventListener("timeupdate", () => this.#keepPace());
    video.addEventListener("loadeddata", () => {
      if (this.#wanted) return;
      this.#goal = null;
      this.#set("paused");
    });
    video.addEventListener("ended", () => this.#set("ended"));
    video.addEventListener("error", () => !this.#hls && this.#urls && this.#again(true));
    video.addEventListener("volumechange", () => video.muted || (this.silenced = false));
    setInterval(() => this.#watch(), 1000);
  }

  // idle, connecting, buffering, playing, paused, blocked (needs a click), retrying or ended
  get state() {
    return this.#state;
  }

  get urls() {
    return this.#urls;
  }

  // Addresses of the stream's playlists: {plain, low, archive}. The last may be missing.
  open(urls) {
    this.#urls = urls;
    this.#archive = new Archive(urls.archive);
    this.#looked = false;
    this.#llFailed = -plainFor;
    this.#stuck = 0;
    this.#wait = retryFirst;
    this.#seen = null;
    this.#start("connecting");
  }

  close() {
    this.#urls = null;
    this.#stop();
    this.#set("idle");
  }

  // Plays, without sound where the browser allows nothing else.
  async play() {
    this.#wanted = true;
    // What was paused for long may have left the playlist.
    if (this.#state === "paused" && this.#source !== "archive" && this.#video.currentTime < this.#range().start) this.#rewind(this.age);
    try {
      await this.#video.play();
    } catch (e) {
      if (e.name !== "NotAllowedError") return; // another load took its place
      if (this.#video.muted) {
        this.#set("blocked");
        return;
      }
      this.#video.muted = this.silenced = true;
      await this.play();
    }
  }

  pause() {
    this.#wanted = false;
    this.#apart = true;
    this.#video.pause();
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

  // Seconds from the broadcaster to this picture, NaN if unknown. A clock that is wrong
  // may make nonsense of it; then it is from the playlist's end.
  get delay() {
    const time = this.pictureTime;
    const delay = time === null ? NaN : (Date.now() + this.clockOffset - time) / 1000;
    if (delay >= 0 && delay < 86400) return delay;
    return this.#video.readyState > 0 ? this.age : NaN;
  }

  // Seconds from the picture to the newest one that can be loaded.
  get age() {
    return this.#goal ?? Math.max(0, this.#range().end - this.#video.currentTime);
  }

  // The largest age that seek can reach.
  get reach() {
    const { start, end } = this.#range();
    const sliding = this.#video.duration === Infinity ? slides : 0;
    return Math.max(0, end - start - sliding, this.#archive.seconds - sliding);
  }

  // Whether the picture is as new as it can be.
  get live() {
    return this.#source !== "archive" && this.#state !== "ended" && this.age <= this.#usual() + liveSlack;
  }

  // Goes to the picture of an age.
  seek(age) {
    const { start, end } = this.#range();
    if (!this.#urls || (end <= start && this.#goal === null)) return;
    const ongoing = this.#video.duration === Infinity || this.#goal !== null;
    if (ongoing && age <= this.#usual() + liveSlack) return this.toLive();
    this.#apart = true;
    if (this.#goal !== null) return this.#rewind(age);
    const first = ongoing ? start + slides : start;
    if (ongoing && end - age <= first && this.#source !== "archive") return this.#rewind(age);
    this.#video.currentTime = Math.min(Math.max(first, end - age), end);
    if (this.#state === "ended") this.play();
  }

  toLive() {
    this.#goal = null;
    this.#apart = false;
    if (this.#source === "archive") this.#start("connecting");
    const edge = this.#hls?.liveSyncPosition ?? this.#range().end - this.#usual();
    if (edge > 0) this.#video.currentTime = edge;
    this.play();
  }

  // Asks how far the archive reaches back, so that reach tells, once for each stream.
  lookBack() {
    if (!this.#looked) this.#archive.ask();
    this.#looked = true;
  }

  #set(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }

  #usual() {
    return this.#hls?.targetLatency ?? usualDelay;
  }

  // What can be played of the playlist, in the video's time.
  #range() {
    const { buffered, seekable, duration } = this.#video;
    const details = this.#hls?.latestLevelDetails;
    if (details) {
      let start = details.fragmentStart;
      // What is loaded stays when the playlist has slid on.
      for (let i = 0; i < buffered.length; i++) {
        if (buffered.start(i) < start && start <= buffered.end(i)) start = buffered.start(i);
      }
      return { start, end: details.edge };
    }
    if (seekable.length > 0) return { start: seekable.start(0), end: seekable.end(seekable.length - 1) };
    return { start: 0, end: Number.isFinite(duration) ? duration : 0 };
  }

  // With low latency, the picture is to be as live as it was at first. A short pause is no
  // wish to be apart.
  #keepPace() {
    const video = this.#video;
    const follows = this.#hls && this.#source === "low" && (!this.#apart || this.live);
    const rate = follows ? pace(this.#hls, video, this.buffered) : 1;
    if (video.playbackRate !== rate) video.playbackRate = rate;
  }

  // When the end of the playlist was live, in milliseconds; NaN if that is unknown. While
  // hls.js seeks or changes quality it knows no picture, but still the playlist.
  #edgeTime() {
    const details = this.#hls?.latestLevelDetails;
    const last = details?.fragments.findLast((f) => f?.programDateTime);
    if (last) return last.programDateTime + (details.edge - last.start) * 1000;
    return this.pictureTime === null ? NaN : this.pictureTime + this.age * 1000;
  }

  // Plays from the archive what the playlist has no more of; without one, its oldest.
  async #rewind(age) {
    // Keys ask for more before the picture is there.
    if (this.#goal === null) this.#newest = this.#edgeTime();
    this.#goal = age;
    const urls = this.#urls;
    const reach = isNaN(this.#newest) ? 0 : await this.#archive.ask();
    if (urls !== this.#urls || this.#goal !== age) return;
    const { start, end } = this.#range();
    // It may be on its way there by now.
    if (this.#source === "archive" || reach > end - start) {
      this.#start("connecting", this.#newest - Math.min(age, Math.max(reach, end - start)) * 1000);
      return;
    }
    this.#goal = null;
    this.#video.currentTime = Math.min(start + slides, end);
  }

  // Starts over: at the live edge, or in the archive at a programme time.
  #start(state, time = null) {
    this.#stop();
    this.#set(state);
    this.#moved = this.#began = Date.now();
    this.#played = false;
    if (time === null) {
      this.#goal = null;
      this.#apart = !this.#wanted;
    }
    const fast = Boolean(this.#urls.low) && performance.now() - this.#llFailed > plainFor;
    this.#source = time !== null ? "archive" : fast ? "low" : "plain";
    const url = this.#urls[this.#source];
    if (native(this.#video)) this.#startNative(url, time);
    else this.#startEngine(url, time);
  }

  #startNative(url, time) {
    const video = this.#video;
    this.tracks.use(null);
    video.src = url;
    this.#begin = () => {
      const date = video.getStartDate?.();
      if (time !== null && date && !isNaN(date)) video.currentTime = (time - date.getTime()) / 1000;
    };
    video.addEventListener("loadedmetadata", this.#begin, { once: true });
    if (this.#wanted) this.play();
  }

  #startEngine(url, time) {
    const hls = engine(this.#source === "low");
    this.#hls = hls;
    this.tracks.use(hls);
    hls.on(Hls.Events.ERROR, (_, data) => {
      if (!data.fatal || hls !== this.#hls) return;
      // A broken buffer is mended in place, once; all else by starting over.
      if (data.type === Hls.ErrorTypes.MEDIA_ERROR && Date.now() - this.#recovered > 10000) {
        this.#recovered = Date.now();
        hls.recoverMediaError();
        if (this.#wanted) this.play();
        return;
      }
      this.#again(true);
    });
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.#wanted && this.play());
    if (time === null) hls.loadSource(url);
    else beginAt(hls, url, time);
    hls.attachMedia(this.#video);
  }

  #stop() {
    clearTimeout(this.#retry);
    this.#retry = 0;
    const hls = this.#hls;
    this.#hls = null;
    this.#video.removeEventListener("loadedmetadata", this.#begin); // it was this attempt's
    if (hls) hls.destroy();
    else if (this.#video.hasAttribute("src")) {
      this.#video.removeAttribute("src");
      this.#video.load();
    }
  }

  // failed: by this player's doing, and not as nothing comes.
  #again(failed) {
    if (this.#retry) return;
    if (this.#source === "low" && failed) this.#llFailed = performance.now();
    this.#stop();
    this.#set("retrying");
    this.#retry = setTimeout(() => this.#restart(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, retryMost);
  }

  // Who was in the archive stays there, if it is.
  async #restart() {
    const urls = this.#urls;
    const time = this.#source === "archive" && (await this.#archive.ask()) > 0 ? this.#seen : null;
    if (urls === this.#urls && this.#state === "retrying") this.#start("retrying", time);
  }

  // Starts over when nothing moves although nothing was reported.
  #watch() {
    const { currentTime, paused } = this.#video;
    this.#seen = this.pictureTime ?? this.#seen;
    const idle = paused && this.#state !== "connecting" && this.#state !== "retrying";
    if (currentTime !== this.#at || idle || this.#state === "ended" || !this.#urls || this.#retry) this.#moved = Date.now();
    this.#at = currentTime;
    const fast = this.#source === "low";
    if (fast && !this.playable) this.#moved = Date.now(); // no player's fault
    const waits = this.#state === "connecting" || this.#state === "retrying";
    let patience = waits ? connectFor : stuckAfter;
    if (fast && !this.#played) patience = llConnectFor;
    if (this.#played && this.#moved - this.#began > 2 * stuckAfter) this.#stuck = 0;
    if (Date.now() - this.#moved <= patience) return;
    // Nothing may have come. A second time in a row, low latency may be the reason.
    this.#again(!this.#played || ++this.#stuck > 1);
  }
}
