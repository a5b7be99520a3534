// Quality, audio and subtitles, each shown only where there is a choice.
import { element, text } from "./dom.js";
import { icon } from "./icons.js";

const groups = [["quality", "Quality"], ["audio", "Audio"], ["subtitles", "Subtitles"]];

export class Menu {
  button;
  panel;

  #tracks;
  #shown = ""; // what the panel was made of

  constructor(tracks) {
    this.#tracks = tracks;
    this.button = element("button", { type: "button", className: "settings", hidden: true, innerHTML: icon("settings"), title: "Quality, audio, subtitles" });
    this.button.setAttribute("aria-label", "Quality, audio and subtitles");
    this.button.setAttribute("aria-expanded", "false");
    this.panel = element("div", { className: "menu", hidden: true });
    this.button.addEventListener("click", () => this.toggle());
    document.addEventListener("pointerdown", (event) => {
      if (!this.panel.contains(event.target) && !this.button.contains(event.target)) this.toggle(false);
    });
    for (const e of [this.panel, this.button]) {
      e.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || !this.open) return;
        event.preventDefault();
        this.toggle(false);
        this.button.focus();
      });
    }
  }

  get open() {
    return !this.panel.hidden;
  }

  toggle(open = !this.open) {
    this.panel.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) this.show();
  }

  // Shows what there is to choose from now.
  show() {
    const choices = groups.map(([name, title]) => ({ name, title, options: this.#tracks[name].options })).filter((g) => g.options.length > 0);
    this.button.hidden = choices.length === 0;
    if (choices.length === 0) this.toggle(false);
    if (!this.open) return;
    const shape = JSON.stringify(choices.map((g) => [g.name, g.options.map((o) => o.label)]));
    if (shape !== this.#shown) {
      this.#shown = shape;
      this.panel.replaceChildren(...choices.map((g) => this.#group(g)));
    }
    for (const g of choices) {
      g.options.forEach((o, i) => {
        const input = this.panel.querySelector(`input[name="${g.name}"][value="${i}"]`);
        input.checked = o.chosen;
        text(input.nextElementSibling.lastElementChild, o.detail ?? "");
      });
    }
  }

  #group({ name, title, options }) {
    const rows = options.map((o, i) => {
      const input = element("input", { type: "radio", name, value: String(i) });
      // Asked anew: the player may have started over since.
      input.addEventListener("change", () => this.#tracks[name].options[i]?.choose());
      return element("label", {}, input, element("span", {}, o.label, " ", element("small")));
    });
    return element("fieldset", {}, element("legend", { textContent: title }), ...rows);
  }
}
