// A rate over the last minute, as an SVG of a line over a soft area.
import { attribute } from "./dom.js";
import { rate } from "./format.js";

const samples = 60; // one a second
const width = 240;
const height = 48;
const top = 3; // room for the line's thickness

export class Graph {
  #svg;
  #name;
  #values = [];

  constructor(svg, name) {
    this.#svg = svg;
    this.#name = name;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    for (const part of ["area", "line"]) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("class", part);
      svg.append(path);
    }
  }

  add(value) {
    this.#values.push(value);
    if (this.#values.length > samples) this.#values.shift();
  }

  get most() {
    return Math.max(...this.#values);
  }

  // Draws on a scale that reaches to most, so that several can be compared.
  draw(most) {
    const [area, line] = this.#svg.children;
    const x = (i) => width - ((this.#values.length - 1 - i) * width) / (samples - 1);
    const y = (v) => height - 1 - (v / Math.max(most, 1)) * (height - 1 - top);
    const points = this.#values.map((v, i) => `${x(i).toFixed(1)} ${y(v).toFixed(1)}`);
    const path = `M${points.join("L")}`;
    attribute(line, "d", path);
    attribute(area, "d", `${path}L${width} ${height}L${x(0).toFixed(1)} ${height}Z`);
    attribute(this.#svg, "aria-label", `${this.#name} in the last minute: ${rate(this.most)} at most`);
  }
}
