// Asks the node for its figures.

const every = 1000; // milliseconds
const address = new URL("api/v1/status", import.meta.url);

// Calls answered(status) for each answer, and lost() when there was none twice in a row:
// one may be late while the machine is busy. It tells the node what playing() returns of the page's own
// player. It never ends.
export async function follow(answered, lost, playing = () => null) {
  let missed = 0;
  for (;;) {
    let status = null;
    try {
      const told = playing();
      const answer = await fetch(told ? `${address}?${new URLSearchParams(told)}` : address, { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (answer.ok) status = await answer.json();
    } catch {
      // It was stopped, or the network is away.
    }
    missed = status ? 0 : missed + 1;
    if (status) answered(status);
    else if (missed > 1) lost();
    await new Promise((done) => setTimeout(done, every));
  }
}

// Keeps a player at a stream as the node describes it; undefined: it does not have it.
export function keepPlaying(player, stream, now) {
  const back = player.lost;
  player.lost = false;
  player.clockOffset = now - Date.now();
  if (!stream) {
    if (player.urls) player.close();
    return;
  }
  player.playable = stream.playable;
  const urls = { plain: stream.hls, low: stream.ll, archive: stream.dvr ?? stream.hls.replace(/index\.m3u8$/, "dvr.m3u8") };
  const other = player.urls?.plain !== urls.plain;
  const returned = player.state === "ended" && stream.playable && !stream.ended;
  // The node was restarted: a player that ran dry meanwhile starts over at once.
  const dry = back && player.state === "buffering" && player.buffered < 0.5;
  if (other || returned || dry) player.open(urls);
  // Before it is needed only where the node names it: browsers report each 404.
  if (stream.dvr && player.state === "playing") player.lookBack();
}
