// Quality, audio languages and subtitles: what there is to choose from, and the choice,
// which outlives a restart of the player. It is the user's, so it is kept by name.

const label = (track, i) => track.name || track.label || language(track.lang || track.language) || `Track ${i + 1}`;

function language(code) {
  try {
    return code && new Intl.DisplayNames(undefined, { type: "language" }).of(code);
  } catch {
    return code; // not one that the browser knows
  }
}

export class Tracks {
  #video;
  #hls = null; // null: the browser's own player
  #wish = { quality: null, audio: null, subtitles: null }; // labels; null: nothing was chosen
  #last = ""; // subtitles that were shown

  constructor(video) {
    this.#video = video;
  }

  // A new engine plays from now on, or none.
  use(hls) {
    this.#hls = hls;
    if (!hls) return;
    const again = (name) => {
      const wished = this[name].options.find((o) => o.label === this.#wish[name]);
      if (wished && !wished.chosen) wished.choose();
    };
    hls.on(Hls.Events.MANIFEST_PARSED, () => again("quality"));
    hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, () => again("audio"));
    hls.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, () => again("subtitles"));
  }

  // Each of these is {options: [{label, chosen, choose()}]}, without options if there is
  // no choice.

  get quality() {
    const hls = this.#hls;
    if (!hls || hls.levels.length < 2) return { options: [] };
    const levels = hls.levels.map((l, i) => ({ l, i })).sort((a, b) => b.l.height - a.l.height || b.l.bitrate - a.l.bitrate);
    const heights = new Set(hls.levels.map((l) => l.height));
    const name = (l) => (l.height && heights.size === hls.levels.length ? `${l.height}p` : `${l.height ? `${l.height}p, ` : ""}${Math.round(l.bitrate / 1000)} kbit/s`);
    const playing = hls.autoLevelEnabled && hls.levels[hls.currentLevel];
    return this.#list("quality", [
      { label: "Auto", detail: playing ? name(playing) : "", chosen: hls.autoLevelEnabled, choose: () => (hls.nextLevel = -1) },
      ...levels.map(({ l, i }) => ({ label: name(l), chosen: !hls.autoLevelEnabled && hls.nextLevel === i, choose: () => (hls.nextLevel = i) })),
    ]);
  }

  get audio() {
    const hls = this.#hls;
    const tracks = hls ? hls.audioTracks : [...(this.#video.audioTracks ?? [])];
    if (tracks.length < 2) return { options: [] };
    return this.#list("audio", tracks.map((t, i) => ({
      label: label(t, i),
      chosen: hls ? hls.audioTrack === i : t.enabled,
      choose: () => (hls ? (hls.audioTrack = i) : tracks.forEach((o) => (o.enabled = o === t))),
    })));
  }

  get subtitles() {
    const hls = this.#hls;
    const tracks = hls ? hls.subtitleTracks : [...this.#video.textTracks].filter((t) => t.kind === "subtitles" || t.kind === "captions");
    if (tracks.length < 1) return { options: [] };
    const show = (i) => {
      if (hls) {
        hls.subtitleDisplay = i >= 0;
        hls.subtitleTrack = i;
      } else {
        tracks.forEach((t, j) => (t.mode = i === j ? "showing" : "disabled"));
      }
    };
    const shown = hls ? hls.subtitleTrack : tracks.findIndex((t) => t.mode === "showing");
    return this.#list("subtitles", [
      { label: "Off", chosen: shown < 0, choose: () => show(-1) },
      ...tracks.map((t, i) => ({ label: label(t, i), chosen: shown === i, choose: () => show(i) })),
    ]);
  }

  // Shows the subtitles that were chosen last, else the first, or hides them. Returns
  // what it chose; undefined if there are none.
  toggleSubtitles() {
    const { options } = this.subtitles;
    const off = options.findIndex((o) => o.chosen) === 0;
    const next = off ? (options.find((o, i) => i > 0 && o.label === this.#last) ?? options[1]) : options[0];
    next?.choose();
    return next?.label;
  }

  #list(name, options) {
    for (const o of options) {
      const choose = o.choose;
      o.choose = () => {
        choose();
        this.#wish[name] = o.label;
        if (name === "subtitles" && o !== options[0]) this.#last = o.label;
      };
    }
    return { options };
  }
}
