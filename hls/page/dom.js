// What all of the page's modules do with elements. Nothing is written that is there
// already: screen readers and the layout are left alone.

export const $ = (id) => document.getElementById(id);

export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export function attribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// element("p", { className: "quiet", textContent: "…" }, ...children)
export function element(tag, properties = {}, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

// The content of an HTML text of our own, as a fragment.
export const markup = (html) => document.createRange().createContextualFragment(html);
