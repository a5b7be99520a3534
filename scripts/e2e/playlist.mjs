// Checks playlists with hls-parser in its strict mode: node playlist.mjs MASTER MEDIA
// Loaded from the directory that NODE_PATH names.
import { createRequire } from 'node:module';

const HLS = createRequire(process.env.NODE_PATH + '/')('hls-parser');
HLS.setOptions({ strictMode: true });

const [master, media] = process.argv.slice(2);
for (const [url, isMaster] of [[master, true], [media, false]]) {
  const res = await fetch(url);
  const parsed = HLS.parse(await res.text());
  if (parsed.isMasterPlaylist !== isMaster) throw new Error(`${url} is the wrong kind of playlist`);
  if (!isMaster && parsed.segments.some((s) => Math.round(s.duration) > parsed.targetDuration)) {
    throw new Error(`${url} has a segment above its target duration`);
  }
}
