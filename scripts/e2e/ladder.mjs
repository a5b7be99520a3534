// Changes between two qualities on a page, and checks that no picture is missing:
// node ladder.mjs URL DIR CHROMIUM HIGH WIDTH LOW WIDTH
// HIGH and LOW are labels in the menu, followed by the widths of their pictures.
import assert from 'node:assert/strict';
import { launch, open, playing } from './browser.mjs';

const [url, dir, chromium, high, highWidth, low, lowWidth] = process.argv.slice(2);

const choose = (page, label) => page.evaluate((label) => {
  const option = [...document.querySelectorAll('.menu label')].find((l) => l.innerText.trim().startsWith(label));
  option.click();
}, label);
const width = (page, want) => page.waitForFunction((w) => document.querySelector('video').videoWidth === w, { timeout: 40000 }, Number(want));

// watch notes each picture that is shown: its time in the stream, and when.
const watch = (page) => page.evaluate(() => {
  const video = document.querySelector('video');
  globalThis.shown = { last: null, jump: 0, wait: 0, back: 0, stalls: 0 };
  const { shown } = globalThis;
  video.addEventListener('waiting', () => shown.stalls++);
  const note = (now, { mediaTime }) => {
    if (shown.last) {
      shown.jump = Math.max(shown.jump, mediaTime - shown.last.mediaTime);
      shown.wait = Math.max(shown.wait, (now - shown.last.now) / 1000);
      if (mediaTime < shown.last.mediaTime) shown.back++;
    }
    shown.last = { now, mediaTime };
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
});

const browser = await launch(chromium);
try {
  const { page, failures } = await open(browser, url);
  await playing(page, 2);
  await page.waitForSelector('.settings', { visible: true });
  await page.click('.settings');
  const offered = await page.$$eval('.menu fieldset:first-of-type label', (ls) => ls.map((l) => l.innerText.trim().split(/\s+/)[0]));
  assert.deepEqual(offered, ['Auto', high, low]);
  await watch(page);
  for (const [label, pixels] of [[low, lowWidth], [high, highWidth], [low, lowWidth], [high, highWidth]]) {
    await choose(page, label);
    await width(page, pixels);
    await playing(page, 1);
  }
  await page.screenshot({ path: `${dir}/ladder.png` });
  const { jump, wait, back, stalls } = await page.evaluate(() => globalThis.shown);
  const figures = `four changes; ${stalls} stalls, longest time without a new picture ${wait.toFixed(2)} s, largest step in the stream ${jump.toFixed(2)} s`;
  assert.deepEqual(failures, []);
  // A picture may be late on a machine that is busy, but the stream has no hole.
  assert.ok(jump < 0.5 && back === 0 && wait < 1, `${figures}, ${back} steps back`);
  console.log(figures);
} finally {
  await browser.close();
}
