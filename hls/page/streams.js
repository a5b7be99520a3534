// Which of the node's streams is shown: the one that the address's hash names, else the
// first. Several make a list to choose from.
import { $, attribute, element, text } from "./dom.js";
import { short } from "./format.js";

export const choose = (streams) => streams.find((s) => s.id === location.hash.slice(1)) ?? streams[0];

export function showStreams(streams, chosen) {
  const nav = $("streams");
  nav.hidden = streams.length < 2;
  const ids = streams.map((s) => s.id).join();
  if (nav.dataset.ids !== ids) {
    nav.dataset.ids = ids;
    nav.replaceChildren(...streams.map((s) => element("a", { href: `#${s.id}`, title: s.id }, element("span", { className: "mono", textContent: short(s.id) }), element("small"))));
  }
  streams.forEach((s, i) => {
    const a = nav.children[i];
    attribute(a, "aria-current", s.id === chosen?.id ? "true" : null);
    text(a.lastChild, s.ended ? "ended" : s.playable ? "live" : "waiting");
  });
}
