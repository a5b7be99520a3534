// Publishes a camera or a screen by WHIP (RFC 9725).
import { Publication } from './publication.js';

const $ = (id) => document.getElementById(id);
const endpoint = new URL(document.documentElement.dataset.endpoint, location.origin);
const retryAfter = 2000; // milliseconds

let media = null; // what the preview shows
let publication = null; // since somebody went live, until they stop
let retry = 0;

const say = (text) => { $('status').textContent = text; };

// takeKey moves the key from the address, which others may see on a shared screen, to its field.
function takeKey() {
  const key = decodeURIComponent(location.hash.slice(1));
  if (key) {
    sessionStorage.setItem('key', key);
    history.replaceState(null, '', location.pathname);
  }
  $('key').value = sessionStorage.getItem('key') ?? '';
}

// unable says why this browser cannot publish from here, if it cannot.
function unable() {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    return `Browsers give camera, microphone and screen only to pages by HTTPS and to those of this machine: open `
      + `http://localhost${location.port && `:${location.port}`}/ on the machine that broadcasts, put an HTTPS proxy in front of it, or publish from OBS.`;
  }
  if (!window.RTCPeerConnection) return 'This browser has no WebRTC, or it is turned off: use another one, or publish from OBS.';
  return '';
}

const microphone = () => navigator.mediaDevices.getUserMedia({ audio: true });

async function camera() {
  const video = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  return navigator.mediaDevices.getUserMedia({ video, audio: $('sound').checked });
}

async function screen() {
  const shared = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 30 } }, audio: true });
  shared.getVideoTracks()[0].contentHint = 'detail';
  if (shared.getAudioTracks().length === 0 && $('sound').checked) {
    const spoken = await microphone();
    spoken.getTracks().forEach((t) => shared.addTrack(t));
  }
  return shared;
}

// mediaErrors says what to do about the errors of getUserMedia and getDisplayMedia.
const mediaErrors = {
  NotAllowedError: 'The browser was not allowed to: allow it beside the address, and choose again.',
  NotFoundError: 'There is no such device: connect a camera or microphone, or uncheck Microphone, and choose again.',
  NotReadableError: 'The device is in use by another program: close that, and choose again.',
};

async function choose(source, button) {
  let chosen;
  try {
    chosen = await source();
  } catch (err) {
    say(mediaErrors[err.name] ?? `The browser gives neither picture nor sound: ${err.message}`);
    return;
  }
  stop();
  media?.getTracks().forEach((t) => t.stop());
  media = chosen;
  $('preview').srcObject = media;
  for (const b of [$('camera'), $('screen')]) b.setAttribute('aria-pressed', String(b === button));
  for (const track of media.getTracks()) {
    track.addEventListener('ended', () => { if (media === chosen) lost(track); });
  }
  $('live').disabled = false;
  say('Ready.');
}

// lost ends what shows a track that the user or the system took back.
function lost(track) {
  stop();
  $('live').disabled = true;
  say(`The ${track.kind === 'video' ? 'picture' : 'sound'} is gone: choose again what to show.`);
}

function live() {
  sessionStorage.setItem('key', $('key').value);
  const began = publication = new Publication(endpoint, $('key').value.trim(), media);
  $('live').hidden = true;
  $('stop').hidden = false;
  say('Connecting…');
  began.onfigures = (text) => { if (publication === began) say(`Live · ${text}`); };
  began.onend = (why, comesBack) => {
    if (publication !== began) return;
    if (!comesBack) stop();
    say(why);
    if (comesBack) retry = setTimeout(live, retryAfter);
  };
  began.start();
}

function stop() {
  clearTimeout(retry);
  if (!publication) return;
  publication.stop();
  publication = null;
  $('live').hidden = false;
  $('stop').hidden = true;
  say('Stopped.');
}

takeKey();
const why = unable();
if (why) {
  $('unable').textContent = why;
  $('unable').hidden = false;
  for (const id of ['camera', 'screen', 'sound', 'key']) $(id).disabled = true;
  say('');
}
$('camera').addEventListener('click', () => choose(camera, $('camera')));
$('screen').addEventListener('click', () => choose(screen, $('screen')));
$('publish').addEventListener('submit', (e) => { e.preventDefault(); if (!publication) live(); });
$('stop').addEventListener('click', stop);
window.addEventListener('hashchange', takeKey);
window.addEventListener('pagehide', stop);
