// What the node's owner allows it, and why it takes no part if it does not.
import { $, text } from "./dom.js";
import { bytes, rate } from "./format.js";

const reasons = { schedule: "closed by its schedule", budget: "the month's budget is spent" };

export function showLimits(limits) {
  const facts = [];
  if (limits.closed) {
    const until = limits.until ? ` until ${new Date(limits.until).toLocaleString(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })}` : "";
    facts.push(`This node has left the mesh: ${reasons[limits.closed]}${until}`);
  }
  if (limits.max_upload) facts.push(`gives at most ${rate(limits.max_upload)}`);
  if (limits.max_download) facts.push(`receives at most ${rate(limits.max_download)}`);
  if (limits.max_peers) facts.push(`at most ${limits.max_peers} peers`);
  if (limits.budget) facts.push(`${bytes(limits.budget_left)} of ${bytes(limits.budget)} left this month`);
  if (limits.schedule) facts.push(`takes part ${limits.schedule}`);
  const line = $("limits");
  line.hidden = !facts.length;
  text(line, facts.join(" · "));
}
