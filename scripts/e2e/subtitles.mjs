// Shows subtitles on a page, in one language and the other:
// node subtitles.mjs URL DIR CHROMIUM LABEL WORD LABEL WORD
// LABELs are those of the menu; each cue is the WORD of its language and a number, which
// rises with time.
import assert from 'node:assert/strict';
import { launch, open, playing } from './browser.mjs';

const [url, dir, chromium, ...pairs] = process.argv.slice(2);
const languages = [];
for (let i = 0; i < pairs.length; i += 2) languages.push({ label: pairs[i], word: pairs[i + 1] });

const choose = (page, label) => page.evaluate((label) => {
  const field = [...document.querySelectorAll('.menu fieldset')].find((f) => f.querySelector('legend').textContent === 'Subtitles');
  [...field.querySelectorAll('label')].find((l) => l.innerText.trim() === label).click();
}, label);

// shown returns what is shown now.
const shown = () => [...document.querySelector('video').textTracks]
  .filter((t) => t.mode === 'showing').flatMap((t) => [...(t.activeCues ?? [])]).map((c) => c.text).join('|');

const browser = await launch(chromium);
try {
  const { page, failures } = await open(browser, url);
  await playing(page, 2);
  await page.evaluate(`globalThis.shown = ${shown}`);
  await page.waitForSelector('.settings', { visible: true });
  await page.click('.settings');
  const offered = await page.evaluate(() => [...document.querySelectorAll('.menu fieldset')]
    .find((f) => f.querySelector('legend').textContent === 'Subtitles')?.innerText.split('\n').map((l) => l.trim()).filter((l) => l && l !== 'Subtitles'));
  assert.deepEqual(offered.slice().sort(), ['Off', ...languages.map((l) => l.label)].sort());
  for (const { label, word } of languages) {
    await choose(page, label);
    const seen = new Set();
    for (let i = 0; i < 3; i++) {
      const text = await page.waitForFunction((word, seen) => {
        const now = globalThis.shown();
        return now.startsWith(`${word} `) && !seen.includes(now) && now;
      }, { timeout: 20000, polling: 50 }, word, [...seen]).then((h) => h.jsonValue())
        .catch(async () => { throw new Error(`${JSON.stringify(await page.evaluate(() => globalThis.shown()))} is shown after ${[...seen]}`); });
      seen.add(text);
    }
    const numbers = [...seen].map((s) => Number(s.split(' ')[1]));
    for (let i = 1; i < numbers.length; i++) assert.ok(numbers[i] === numbers[i - 1] + 1 || numbers[i] === 0, `cues ${numbers}`);
    if (label === languages[0].label) await page.screenshot({ path: `${dir}/subtitles.png` });
  }
  await choose(page, 'Off');
  await page.waitForFunction(() => globalThis.shown() === '');
  assert.deepEqual(failures, []);
  console.log(`${languages.length} languages shown, cue after cue`);
} finally {
  await browser.close();
}
