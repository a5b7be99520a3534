// Pictures of the buttons, on a grid of 24.

const line = (d) => `<path d="${d}" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/>`;
const solid = (d) => `<path d="${d}" fill="currentColor"/>`;
const speaker = solid("M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z");

const shapes = {
  play: solid("M8 5.2v13.6l11-6.8z"),
  pause: solid("M7 5.5h3.5v13H7zM13.5 5.5H17v13h-3.5z"),
  loud: speaker + line("M15 9.2a4 4 0 0 1 0 5.6M17.4 6.5a7.8 7.8 0 0 1 0 11"),
  quiet: speaker + line("M15 9.2a4 4 0 0 1 0 5.6"),
  muted: speaker + line("m15.5 9.7 4.6 4.6m0-4.6-4.6 4.6"),
  back: line("M8.5 4 5 7.2l3.5 3.2M5.2 7.2H13a5.6 5.6 0 1 1-5.6 5.9"),
  forward: line("M15.5 4 19 7.2l-3.5 3.2M18.8 7.2H11a5.6 5.6 0 1 0 5.6 5.9"),
  settings: line("M4 7h9m5 0h2M4 17h2m5 0h9") + line("M15.5 4.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4M8.5 14.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4"),
  pip: line("M20 11V6.5A1.5 1.5 0 0 0 18.5 5h-13A1.5 1.5 0 0 0 4 6.5v9A1.5 1.5 0 0 0 5.5 17H9") + solid("M12 13h9v6.5h-9z"),
  full: line("M4.5 9V4.5H9M15 4.5h4.5V9M19.5 15v4.5H15M9 19.5H4.5V15"),
  window: line("M9 4.5V9H4.5M19.5 9H15V4.5M15 19.5V15h4.5M4.5 15H9v4.5"),
  help: line("M9.3 9.2a2.8 2.8 0 1 1 4 2.6c-.9.4-1.3 1-1.3 2M12 17.2v.1") + line("M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17"),
};

export const icon = (name) => `<svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false">${shapes[name]}</svg>`;

// Shows another picture in a button.
export function draw(button, name) {
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  button.querySelector("svg").innerHTML = shapes[name];
}
