// What the player says when there is no moving picture.

const patience = 700; // milliseconds that a stall may last unmentioned

// Returns the message for the player's state, "" for none.
function message(player) {
  switch (player.state) {
    case "connecting":
      if (player.lost) break;
      return player.playable ? "Loading…" : "Waiting for the stream…";
    case "buffering":
      if (player.buffered > 0.5) return "";
      if (player.lost) break;
      return "The stream has stalled. It goes on when more of it arrives.";
    case "retrying":
      if (player.lost) break;
      return "The stream broke off. Reconnecting…";
    case "ended":
      return "The stream has ended. If it comes back, it goes on here.";
    case "idle":
      if (player.lost) break;
      return player.missing ? "This node does not have this stream. It plays here when it does." : "";
    default:
      return "";
  }
  return "This node does not answer. Reconnecting…";
}

// Message is what is shown: a message that lasts.
export class Message {
  #player;
  #show;
  #text = "";
  #timer = 0;

  // show(text) is called when the message that is to be shown changes.
  constructor(player, show) {
    this.#player = player;
    this.#show = show;
  }

  update() {
    const next = message(this.#player);
    if (next === this.#text) return;
    this.#text = next;
    clearTimeout(this.#timer);
    // None goes at once; a new one waits, as most stalls end before anybody reads of it.
    if (next === "" || next.startsWith("The stream has ended")) this.#show(next);
    else this.#timer = setTimeout(() => this.#show(next), patience);
  }
}
