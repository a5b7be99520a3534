// How fast the live picture plays: after a stall it is late, and catches up. hls.js by
// itself catches up with a few seconds only, as it takes more for a wish to be there.

const faster = 1.05; // too little to be heard; browsers keep the pitch
const late = 0.3; // seconds behind the wanted place at which it begins
const onTime = 0.05; // and at which it ends
const reserve = 1; // seconds that must be loaded

// The playback rate for a video whose engine has loaded so many seconds ahead.
export function pace(hls, video, buffered) {
  if (!hls.latestLevelDetails?.live) return 1;
  const behind = hls.latency - (hls.targetLatency ?? Infinity); // unknown before a playlist is here
  const least = video.playbackRate > 1 ? onTime : late;
  return behind > least && buffered > reserve ? faster : 1;
}
