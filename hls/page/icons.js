// Pictures of the buttons, on a grid of 24.

const line = (d) => `<path d="${d}" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/>`;
const solid = (d) => `<path d="${d}" fill="currentColor"/>`;
const speaker = solid("M4 9.5v5h3.5L12 18.5v-13L7.500 9.500z");

const shapes = {
  play: solid("M8 5.200v13.600l11-6.800z"),
  pause: solid("M7 5.500h3.500v13H7zM13.500 5.500H17v13h-3.500z"),
  loud: speaker + line("M15 9.200a4 4 0 0 1 0 5.600M17.400 6.500a7.800 7.800 0 0 1 0 11"),
  quiet: speaker + line("M15 9.200a4 4 0 0 1 0 5.600"),
  muted: speaker + line("m15.500 9.700 4.600 4.600m0-4.600-4.600 4.600"),
  back: line("M8.500 4 5 7.200l3.500 3.200M5.200 7.200H13a5.600 5.600 0 1 1-5.600 5.900"),
  forward: line("M15.500 4 19 7.200l-3.500 3.200M18.800 7.200H11a5.600 5.600 0 1 0 5.600 5.900"),
  settings: line("M4 7h9m5 0h2M4 17h2m5 0h9") + line("M15.500 4.800a2.200 2.200 0 1 1 0 4.400 2.200 2.200 0 0 1 0-4.400M8.500 14.800a2.200 2.200 0 1 1 0 4.400 2.200 2.200 0 0 1 0-4.400"),
  pip: line("M20 11V6.500A1.500 1.500 0 0 0 18.500 5h-13A1.500 1.500 0 0 0 4 6.500v9A1.500 1.500 0 0 0 5.500 17H9") + solid("M12 13h9v6.500h-9z"),
  full: line("M4.500 9V4.500H9M15 4.500h4.500V9M19.500 15v4.500H15M9 19.500H4.500V15"),
  window: line("M9 4.500V9H4.500M19.500 9H15V4.500M15 19.500V15h4.500M4.500 15H9v4.500"),
  help: line("M9.300 9.200a2.800 2.800 0 1 1 4 2.600c-.9.400-1.300 1-1.300 2M12 17.200v.1") + line("M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17"),
};

export const icon = (name) => `<svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false">${shapes[name]}</svg>`;

// Shows another picture in a button.
export function draw(button, name) {
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  button.querySelector("svg").innerHTML = shapes[name];
}
