// Reads all playlists in a directory with hls-parser in its strict mode: node playlists.mjs DIR
// Loaded from the directory that NODE_PATH names.
import { createRequire } from 'node:module';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const HLS = createRequire(process.env.NODE_PATH + '/')('hls-parser');
HLS.setOptions({ strictMode: true });

// hls-parser takes three target durations for three segments, whatever they last: it is
// given no parts before. Where they have to end, rule 13 of package hls says.
function withoutEarlyParts(text) {
  const lines = text.split('\n');
  const uris = lines.flatMap((line, i) => (line !== '' && !line.startsWith('#') ? [i] : []));
  const from = uris.length > 2 ? uris[uris.length - 3] : -1;
  return lines.filter((line, i) => i > from || !line.startsWith('#EXT-X-PART:')).join('\n');
}

const dir = process.argv[2];
const names = readdirSync(dir);
if (names.length === 0) throw new Error(`${dir} has no playlists`);
let failed = 0;
let masters = 0;
for (const name of names) {
  const text = readFileSync(join(dir, name), 'utf8');
  try {
    const playlist = HLS.parse(withoutEarlyParts(text));
    if (playlist.isMasterPlaylist) masters++;
    else if (playlist.segments.some((s) => Math.round(s.duration) > playlist.targetDuration)) {
      throw new Error('a segment is above the target duration');
    }
  } catch (err) {
    if (++failed <= 3) console.error(`${name}: ${err.message}\n${text}`);
  }
}
console.log(`hls-parser read ${names.length} playlists, ${masters} of them multivariant; ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
