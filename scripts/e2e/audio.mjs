// Chooses between audio languages on a page, and listens to what it plays:
// node audio.mjs URL DIR CHROMIUM LABEL HERTZ LABEL HERTZ
// LABELs are those of the menu, the first is the default; HERTZ are what each sounds like.
import assert from 'node:assert/strict';
import { launch, open, playing } from './browser.mjs';

const [url, dir, chromium, ...pairs] = process.argv.slice(2);
const sounds = [];
for (let i = 0; i < pairs.length; i += 2) sounds.push({ label: pairs[i], hertz: Number(pairs[i + 1]) });

const choose = (page, label) => page.evaluate((label) => {
  const field = [...document.querySelectorAll('.menu fieldset')].find((f) => f.querySelector('legend').textContent === 'Audio');
  [...field.querySelectorAll('label')].find((l) => l.innerText.trim() === label).click();
}, label);

// listen lets hertz() tell the frequency that is loudest.
const listen = (page) => page.evaluate(() => {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
  context.createMediaElementSource(document.querySelector('video')).connect(analyser);
  analyser.connect(context.destination);
  globalThis.hertz = () => {
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    let loudest = 0;
    bins.forEach((power, i) => { if (power > bins[loudest]) loudest = i; });
    return bins[loudest] > -60 ? (loudest * context.sampleRate) / analyser.fftSize : 0;
  };
  return context.resume();
});

const heard = (page, hertz) => page.waitForFunction((want) => Math.abs(globalThis.hertz() - want) < 10, { timeout: 30000, polling: 50 }, hertz)
  .catch(async () => { throw new Error(`${await page.evaluate(() => globalThis.hertz())} Hz is heard, want ${hertz}`); });

const browser = await launch(chromium);
try {
  const { page, failures } = await open(browser, url);
  await playing(page, 2);
  await listen(page);
  await page.waitForSelector('.settings', { visible: true });
  await page.click('.settings');
  const offered = await page.evaluate(() => [...document.querySelectorAll('.menu fieldset')]
    .find((f) => f.querySelector('legend').textContent === 'Audio')?.innerText.split('\n').map((l) => l.trim()).filter((l) => l && l !== 'Audio'));
  assert.deepEqual(offered, sounds.map((s) => s.label));
  await heard(page, sounds[0].hertz);
  let longest = 0;
  for (const { label, hertz } of [...sounds.slice(1), ...sounds]) {
    const since = Date.now();
    await choose(page, label);
    await heard(page, hertz);
    longest = Math.max(longest, Date.now() - since);
    await playing(page, 2);
    await heard(page, hertz); // and stays
  }
  await page.screenshot({ path: `${dir}/audio.png` });
  assert.deepEqual(failures, []);
  console.log(`another language is heard after ${(longest / 1000).toFixed(1)} s at most`);
} finally {
  await browser.close();
}
