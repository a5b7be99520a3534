// The player's keys. They work wherever the focus is, but where it needs them itself.

// Keys as KeyboardEvent.key has them, what Controls does, and what the help says.
export const shortcuts = [
  { keys: [" ", "k"], action: "toggle", shown: "Space, K", says: "Play or pause" },
  { keys: ["ArrowLeft"], action: "back", shown: "←", says: "Back 10 seconds" },
  { keys: ["ArrowRight"], action: "forward", shown: "→", says: "Forward 10 seconds" },
  { keys: ["l"], action: "toLive", shown: "L", says: "Go to live" },
  { keys: ["m"], action: "mute", shown: "M", says: "Sound on or off" },
  { keys: ["ArrowUp"], action: "louder", shown: "↑", says: "Louder" },
  { keys: ["ArrowDown"], action: "softer", shown: "↓", says: "Softer" },
  { keys: ["c"], action: "subtitles", shown: "C", says: "Subtitles on or off" },
  { keys: ["f"], action: "fullScreen", shown: "F", says: "Full screen" },
  { keys: ["p"], action: "pictureInPicture", shown: "P", says: "Picture in picture" },
  { keys: ["?"], action: "help", shown: "?", says: "Show or hide this" },
];

// Calls do(action) for each key that is the player's.
export function listen(act) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const shortcut = shortcuts.find((s) => s.keys.includes(key));
    if (!shortcut || needed(event.target, key)) return;
    event.preventDefault();
    if (!event.repeat || key.startsWith("Arrow")) act(shortcut.action);
  });
}

// Whether what has the focus needs the key itself.
function needed(target, key) {
  if (!(target instanceof Element)) return false;
  if (target.closest("dialog")) return key !== "?";
  if (target.matches("textarea, select, [contenteditable], input:not([type=range], [type=radio])")) return true;
  if (target.matches("input[type=radio]")) return key === " " || key.startsWith("Arrow");
  if (target.matches("input.volume")) return key.startsWith("Arrow");
  if (target.matches("button, a, summary")) return key === " ";
  // These scroll a page that is longer than its window, unless the focus is the player's.
  const { scrollHeight, clientHeight } = document.documentElement;
  const scrolls = scrollHeight > clientHeight && !document.fullscreenElement;
  return (key === "ArrowUp" || key === "ArrowDown") && scrolls && !target.closest(".player");
}
