// The sound's volume, and whether it is on, as the user left them. Where nothing can be
// kept, as in some frames, they last as long as the page.

const key = "grapevine.sound";

function load() {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? {};
  } catch {
    return {};
  }
}

export function restore(video) {
  const { volume, muted } = load();
  if (volume >= 0 && volume <= 1) video.volume = volume;
  video.muted = muted === true;
}

export function keep(video) {
  try {
    localStorage.setItem(key, JSON.stringify({ volume: video.volume, muted: video.muted }));
  } catch {
    // as above
  }
}

// Sets the volume, from 0 to 1; a user who does that wants to hear.
export function set(video, volume) {
  video.volume = Math.min(Math.max(volume, 0), 1);
  video.muted = video.volume === 0;
  keep(video);
}

export function toggle(video) {
  video.muted = !video.muted;
  if (!video.muted && video.volume === 0) video.volume = 0.5;
  keep(video);
}
