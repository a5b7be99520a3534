// The rewind bar: from the oldest picture that can be played to the newest.
import { attribute, markup, text } from "./dom.js";
import { clock, spoken } from "./format.js";

export class Seekbar {
  element;

  #player;
  #range;
  #tip;
  #dragged = false;

  constructor(player) {
    this.#player = player;
    const root = markup(`<div class="seek">
      <input type="range" class="bar" min="0" max="1000" step="any" value="1000" aria-label="Rewind">
      <output class="tip" aria-hidden="true"></output>
    </div>`).firstElementChild;
    this.element = root;
    this.#range = root.querySelector("input");
    this.#tip = root.querySelector("output");
    const range = this.#range;
    range.addEventListener("input", () => {
      this.#dragged = true;
      this.#draw(this.#age());
    });
    // The player moves once it is let go: another playlist may have to be loaded.
    range.addEventListener("change", () => {
      this.#dragged = false;
      player.seek(this.#age());
    });
    range.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("pointermove", (event) => this.#hover(event));
  }

  // Shows where the player is.
  show() {
    const { age, reach, live } = this.#player;
    this.element.hidden = reach < 2;
    if (this.#dragged) return;
    // The newest picture that is shown is at the end, whatever the player holds back.
    const at = live || reach === 0 ? 1000 : Math.max(0, 1000 * (1 - age / reach));
    this.#range.value = at;
    this.#draw(age);
  }

  #age() {
    return (1 - this.#range.valueAsNumber / 1000) * this.#player.reach;
  }

  #draw(age) {
    this.#range.style.setProperty("--at", `${this.#range.valueAsNumber / 10}%`);
    const live = this.#dragged ? this.#range.valueAsNumber > 990 : this.#player.live;
    attribute(this.#range, "aria-valuetext", live ? "Live" : `${spoken(age)} behind live`);
  }

  #key(event) {
    const jump = { Home: this.#player.reach, End: 0, PageUp: this.#player.age - 60, PageDown: this.#player.age + 60 }[event.key];
    if (jump === undefined) return;
    event.preventDefault();
    this.#player.seek(Math.min(jump, this.#player.reach));
  }

  #hover(event) {
    const { left, width } = this.#range.getBoundingClientRect();
    const part = Math.min(Math.max((event.clientX - left) / width, 0), 1);
    const age = (1 - part) * this.#player.reach;
    text(this.#tip, age < 2 ? "Live" : `−${clock(age)}`);
    this.#tip.style.setProperty("--over", `${part * 100}%`);
  }
}
