// The controls over the picture: buttons, the rewind bar, keys.
import { attribute, markup, text } from "./dom.js";
import { clock, seconds } from "./format.js";
import { helpDialog } from "./help.js";
import { Hiding } from "./hiding.js";
import { draw, icon } from "./icons.js";
import { listen } from "./keys.js";
import { Menu } from "./menu.js";
import { Message } from "./messages.js";
import { Player } from "./player.js";
import { Seekbar } from "./seekbar.js";
import * as volume from "./volume.js";

const step = 10; // seconds that a key rewinds
const volumeStep = 0.05;
const every = 250; // milliseconds between two looks at the player

const html = `
<video playsinline></video>
<div class="veil"><span class="spinner" aria-hidden="true"></span><p role="status"></p></div>
<button type="button" class="pill start" hidden>${icon("play")}<span>Play</span></button>
<button type="button" class="pill unmute" hidden>${icon("muted")}<span>Turn sound on</span></button>
<div class="controls" role="group" aria-label="Player controls">
  <div class="row">
    <button type="button" class="toggle">${icon("pause")}</button>
    <button type="button" class="back" aria-label="Back 10 seconds" title="Back 10 seconds (←)">${icon("back")}</button>
    <button type="button" class="forward" aria-label="Forward 10 seconds" title="Forward 10 seconds (→)">${icon("forward")}</button>
    <button type="button" class="mute">${icon("loud")}</button>
    <input type="range" class="volume bar" min="0" max="1" step="0.05" aria-label="Volume">
    <button type="button" class="live"><span class="dot" aria-hidden="true"></span><span class="word"></span> <span class="delay"></span></button>
    <span class="gap"></span>
    <button type="button" class="keys" aria-label="Keys" title="Keys (?)">${icon("help")}</button>
    <button type="button" class="pip" aria-label="Picture in picture" title="Picture in picture (P)" hidden>${icon("pip")}</button>
    <button type="button" class="full" hidden>${icon("full")}</button>
  </div>
</div>`;

export class Controls {
  player;

  #root;
  #video;
  #parts = {};
  #menu;
  #seekbar;
  #message;
  #help = helpDialog();
  #hiding;

  // Makes a player of an empty element.
  constructor(root) {
    this.#root = root;
    root.append(markup(html), this.#help);
    const find = (selector) => root.querySelector(selector);
    this.#video = find("video");
    for (const name of ["veil", "start", "unmute", "controls", "row", "toggle", "back", "forward", "mute", "volume", "live", "keys", "pip", "full"]) this.#parts[name] = find(`.${name}`);
    volume.restore(this.#video);
    this.player = new Player(this.#video);
    this.#seekbar = new Seekbar(this.player);
    this.#parts.row.before(this.#seekbar.element);
    this.#menu = new Menu(this.player.tracks);
    this.#parts.keys.before(this.#menu.button);
    this.#parts.controls.append(this.#menu.panel);
    this.#message = new Message(this.player, (said) => this.#say(said));
    this.#hiding = new Hiding(root, () => this.#busy());
    this.#wire();
    listen((action) => this[action]());
    setInterval(() => this.show(), every);
    this.show();
  }

  // --- what keys and buttons do

  toggle() {
    if (this.#video.paused) this.player.play();
    else this.player.pause();
  }

  back() {
    this.player.seek(this.player.age + step);
  }

  forward() {
    this.player.seek(this.player.age - step);
  }

  toLive() {
    this.player.toLive();
  }

  mute() {
    volume.toggle(this.#video);
  }

  louder() {
    volume.set(this.#video, this.#video.volume + volumeStep);
  }

  softer() {
    volume.set(this.#video, this.#video.volume - volumeStep);
  }

  subtitles() {
    this.player.tracks.toggleSubtitles();
  }

  async fullScreen() {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else if (this.#root.requestFullscreen) await this.#root.requestFullscreen();
      else this.#video.webkitEnterFullscreen?.(); // an iPhone fills its screen with videos only
    } catch {
      // The browser or the frame around the page does not allow it.
    }
  }

  async pictureInPicture() {
    try {
      if (document.pictureInPictureElement) await document.exitPictureInPicture();
      else await this.#video.requestPictureInPicture?.();
    } catch {
      // as above
    }
  }

  help() {
    if (this.#help.open) this.#help.close();
    else this.#help.showModal();
  }

  // --- showing

  show() {
    const { player } = this;
    const { paused, muted } = this.#video;
    const { toggle, mute, start, unmute } = this.#parts;
    this.#message.update();
    draw(toggle, paused ? "play" : "pause");
    name(toggle, paused ? "Play" : "Pause", "space");
    const silent = muted || this.#video.volume === 0;
    draw(mute, silent ? "muted" : this.#video.volume < 0.5 ? "quiet" : "loud");
    name(mute, silent ? "Turn sound on" : "Turn sound off", "M");
    const shown = String(silent ? 0 : this.#video.volume);
    if (this.#parts.volume.value !== shown) this.#parts.volume.value = shown;
    this.#parts.volume.style.setProperty("--at", `${shown * 100}%`);
    start.hidden = player.state !== "blocked";
    unmute.hidden = !(player.silenced && muted) || player.state === "blocked" || player.state === "ended";
    this.#root.classList.toggle("still", player.state !== "playing");
    this.#seekbar.show();
    this.#menu.show();
    this.#showLive();
  }

  #showLive() {
    const { player } = this;
    const { live } = this.#parts;
    const [, word, delay] = live.children;
    const known = this.#video.readyState > 0 && player.state !== "idle";
    const ended = player.state === "ended" || (known && Number.isFinite(this.#video.duration));
    live.hidden = !known || ended;
    if (live.hidden) return;
    const now = player.live && !this.#video.paused;
    live.classList.toggle("on", now);
    text(word, now ? "Live" : "Go to live");
    text(delay, now ? (player.delay >= 0 ? seconds(player.delay) : "") : `−${clock(Math.max(player.delay, player.age))}`);
    attribute(live, "title", now ? "Seconds behind the broadcaster" : "Go to live (L)");
  }

  #say(said) {
    const { veil } = this.#parts;
    veil.classList.toggle("on", said !== "");
    veil.firstElementChild.hidden = this.player.state === "ended";
    text(veil.lastElementChild, said);
  }

  #busy() {
    return this.player.state !== "playing" || this.#menu.open || this.#root.querySelector(":focus-visible") !== null;
  }

  #wire() {
    const { player } = this;
    const { toggle, back, forward, mute, live, keys, pip, full, start, unmute } = this.#parts;
    const on = (button, action) => button.addEventListener("click", () => action.call(this));
    on(toggle, this.toggle);
    on(back, this.back);
    on(forward, this.forward);
    on(mute, this.mute);
    on(live, this.toLive);
    on(keys, this.help);
    on(pip, this.pictureInPicture);
    on(full, this.fullScreen);
    on(start, () => player.play());
    on(unmute, () => {
      volume.toggle(this.#video);
      player.play();
      toggle.focus({ focusVisible: false }); // the button that had the focus goes
    });
    this.#parts.volume.addEventListener("input", (event) => volume.set(this.#video, event.target.valueAsNumber));
    // A finger asks for the controls; a mouse plays and pauses.
    this.#video.addEventListener("pointerup", (event) => event.pointerType === "mouse" && event.button === 0 && this.toggle());
    this.#video.addEventListener("dblclick", () => this.fullScreen());
    pip.hidden = !document.pictureInPictureEnabled;
    full.hidden = !(document.fullscreenEnabled || this.#video.webkitEnterFullscreen);
    const fullNow = () => {
      const is = document.fullscreenElement === this.#root;
      draw(full, is ? "window" : "full");
      name(full, is ? "Leave full screen" : "Full screen", "F");
    };
    document.addEventListener("fullscreenchange", fullNow);
    fullNow();
    for (const event of ["volumechange", "play", "pause", "seeking"]) this.#video.addEventListener(event, () => this.show());
    player.addEventListener("state", () => this.show());
  }
}

// Names a button for all: the label for screen readers, and the key for the others.
function name(button, label, key) {
  attribute(button, "aria-label", label);
  attribute(button, "title", `${label} (${key})`);
}
