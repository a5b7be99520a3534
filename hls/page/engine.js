// Starts hls.js for one playlist, or tells that the browser's own player is to be used.

// Safari plays HLS itself, with low latency, and spares the battery. Other browsers that
// say that they can are behind hls.js.
export function native(video) {
  const apple = navigator.vendor.startsWith("Apple") && video.canPlayType("application/vnd.apple.mpegurl") !== "";
  return apple || !globalThis.Hls?.isSupported();
}

// The node holds the first answer until there is enough to play, and may be restarted
// while the picture plays on.
const patient = {
  default: {
    maxTimeToFirstByteMs: 60000,
    maxLoadTimeMs: 60000,
    timeoutRetry: { maxNumRetry: 1000, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry: 1000, retryDelayMs: 500, maxRetryDelayMs: 1000, shouldRetry: (policy, count) => count < policy.maxNumRetry },
  },
};

export function engine(lowLatency) {
  return new Hls({
    manifestLoadPolicy: patient,
    playlistLoadPolicy: patient,
    lowLatencyMode: lowLatency,
    liveDurationInfinity: true,
    // Fragmented MP4 needs next to no work, and a worker takes a fifth of a second to start.
    enableWorker: !lowLatency,
    backBufferLength: 60,
  });
}

// Makes a new engine begin at a programme time (milliseconds since 1970) instead of at
// the live edge. hls.js tells of the first playlist before it loads a segment of it; it
// starts over at the live edge if the <video> is its own after that only.
export function beginAt(hls, url, time) {
  hls.once(Hls.Events.MEDIA_ATTACHED, () => hls.loadSource(url));
  hls.once(Hls.Events.LEVEL_UPDATED, (_, { details }) => {
    const from = details.fragments.findLast((f) => f.programDateTime !== null && f.programDateTime <= time) ?? details.fragments[0];
    const into = Math.max(0, (time - (from.programDateTime ?? time)) / 1000);
    hls.startLoad(from.start + Math.min(into, from.duration));
  });
}
