// Public streams that are on air. Their texts are strangers': they are shown as text, never as HTML.
import { $, element, text } from "./dom.js";
import { short } from "./format.js";
import { copy } from "./share.js";

const every = 15000; // milliseconds
const address = new URL("api/v1/directory", import.meta.url);

let shown = "";

export async function followDirectory() {
  for (;;) {
    try {
      const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (answer.ok) show((await answer.json()).entries);
    } catch {
      // The page says itself that the node does not answer.
    }
    await new Promise((done) => setTimeout(done, every));
  }
}

function show(entries) {
  $("directory").hidden = entries.length === 0;
  text($("directory-count"), entries.length ? String(entries.length) : "");
  // Written anew only when it changed, so that nobody loses the place.
  const key = JSON.stringify(entries.map((e) => [e.stream, e.title, e.description, e.link, e.here]));
  if (key === shown) return;
  shown = key;
  $("directory-list").replaceChildren(...entries.map(item));
}

function item(entry) {
  const li = element("li", {}, element("h3", { textContent: entry.title, title: entry.stream }));
  if (entry.description) li.append(element("p", { className: "quiet", textContent: entry.description }));
  li.append(entry.here ? element("a", { href: `#${entry.stream}`, textContent: `Watch ${short(entry.stream)} here` }) : command(entry));
  return li;
}

// This node cannot begin to watch another stream: the command does.
function command(entry) {
  const field = element("input", { className: "mono", readOnly: true, value: `grapevine watch '${entry.link}'` });
  field.setAttribute("aria-label", `Command that watches ${entry.title}`);
  field.addEventListener("focus", () => field.select());
  const button = element("button", { type: "button", textContent: "Copy" });
  button.setAttribute("aria-label", `Copy the command that watches ${entry.title}`);
  button.addEventListener("click", () => copy(button, field));
  return element("div", { className: "copy" }, field, button);
}
