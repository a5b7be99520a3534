// What the keys do, as a dialog.
import { element } from "./dom.js";
import { shortcuts } from "./keys.js";

export function helpDialog() {
  const rows = shortcuts.map((s) => element("div", {}, element("dt", {}, ...s.shown.split(", ").map((k) => element("kbd", { textContent: k }))), element("dd", { textContent: s.says })));
  const close = element("button", { type: "button", className: "done", textContent: "Close", autofocus: true });
  const dialog = element("dialog", { className: "help" }, element("h2", { id: "help-title", textContent: "Keys" }), element("dl", {}, ...rows), close);
  dialog.setAttribute("aria-labelledby", "help-title");
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
  return dialog;
}
