// Figures as people read them.

const digits = (n, least = 0) => n.toLocaleString(undefined, { minimumFractionDigits: n < 10 ? least : 0, maximumFractionDigits: n < 10 ? 1 : 0 });

function scaled(n, units, step = 1000) {
  let i = 0;
  // Rounding must not make "1000 kB" of it.
  while (n >= step - 0.5 && i < units.length - 1) {
    n /= step;
    i++;
  }
  return `${digits(n, Math.min(i, 1))} ${units[i]}`;
}

export const bytes = (n) => scaled(n, ["B", "kB", "MB", "GB", "TB"]);
export const rate = (n) => scaled(n, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);
export const percent = (n) => `${Math.floor(100 * n)}%`;
export const seconds = (n) => `${n.toLocaleString(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 })} s`;
export const millis = (n) => (n > 0 ? `${digits(n)} ms` : "–");
export const short = (id) => (id.length > 16 ? `${id.slice(0, 6)}…${id.slice(-6)}` : id);

// A time span as clocks write it: 0:07, 12:34, 1:02:03.
export function clock(n) {
  const s = Math.max(0, Math.round(n));
  const two = (v) => String(v).padStart(2, "0");
  const minutes = Math.floor(s / 60);
  return minutes < 60 ? `${minutes}:${two(s % 60)}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(s % 60)}`;
}

// The same in words, for screen readers.
export function spoken(n) {
  const s = Math.max(0, Math.round(n));
  const parts = [[Math.floor(s / 3600), "hour"], [Math.floor(s / 60) % 60, "minute"], [s % 60, "second"]];
  const said = parts.filter(([v]) => v > 0).map(([v, unit]) => `${v} ${unit}${v === 1 ? "" : "s"}`);
  return said.length ? said.join(" ") : "0 seconds";
}
