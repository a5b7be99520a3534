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
export const seconds = (n) => `${n.toLocaleString(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 })} s`;
export const millis = (n) => (n > 0 ? `${digits(n)} ms` : "–");
export const short = (id) => (id.length > 16 ? `${id.slice(0, 6)}…${id.slice(-6)}` : id);
