// The player alone, for frames in other pages: /embed/<stream-id>.
import { Controls } from "./controls.js";
import { $ } from "./dom.js";
import { follow, keepPlaying } from "./node.js";

const id = location.pathname.split("/").pop();
const { player } = new Controls($("player"));

function show(status) {
  const stream = status.streams.find((s) => s.id === id);
  player.missing = !stream;
  keepPlaying(player, stream, status.now_millis);
}

follow(show, () => (player.lost = true));
