// Hides the controls while the picture plays and the pointer rests. Whoever uses the
// keyboard keeps them; screen readers do in any case, as they are hidden from view only.

const rest = 2500; // milliseconds

export class Hiding {
  #root;
  #busy;
  #timer = 0;
  #keyboard = false; // what was used last

  // busy() tells whether they must stay.
  constructor(root, busy) {
    this.#root = root;
    this.#busy = busy;
    root.addEventListener("pointermove", () => this.#pointer());
    root.addEventListener("pointerdown", () => this.#pointer());
    root.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.#hide());
    root.addEventListener("focusin", () => this.show());
    document.addEventListener("keydown", (event) => {
      if (["Control", "Alt", "Meta", "Shift"].includes(event.key)) return;
      this.#keyboard = true;
      this.show();
    });
    this.show();
  }

  show() {
    this.#root.classList.remove("resting");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#hide(), rest);
  }

  #pointer() {
    this.#keyboard = false;
    this.show();
  }

  #hide() {
    clearTimeout(this.#timer);
    if (this.#busy()) this.#timer = setTimeout(() => this.#hide(), rest);
    else if (!this.#keyboard) this.#root.classList.add("resting");
  }
}
