// Chooses quality, language and subtitles on a page, and rewinds into the archive:
// node levels.mjs URL DIR CHROMIUM WITHOUT
// WITHOUT is the same page of a node without an archive. It leaves screenshots in DIR.
import assert from 'node:assert/strict';
import { accessible, launch, open, playing } from './browser.mjs';

const [url, dir, chromium, without] = process.argv.slice(2);

const width = (page, want) => page.waitForFunction((w) => document.querySelector('video').videoWidth === w, { timeout: 30000 }, want);
const behind = (page) => page.evaluate(() => parseFloat(document.getElementById('delay').textContent));
const asked = (page, what) => page.waitForRequest((r) => r.url().includes(what), { timeout: 30000 });
const choose = async (page, group, label) => {
  const chosen = await page.evaluate((group, label) => {
    const field = [...document.querySelectorAll('.menu fieldset')].find((f) => f.querySelector('legend').textContent === group);
    const option = [...field.querySelectorAll('label')].find((l) => l.innerText.trim().startsWith(label));
    option.click();
    return option.querySelector('input').checked;
  }, group, label);
  assert.equal(chosen, true, `${group}: ${label}`);
};
const delayed = (page, least, most) => page.waitForFunction((least, most) => {
  const delay = parseFloat(document.getElementById('delay').textContent);
  return delay >= least && delay <= most;
}, { timeout: 20000 }, least, most)
  .catch(async () => { throw new Error(`${await behind(page)} s behind live, want ${least} to ${most}`); });

async function tracks(page) {
  await page.waitForSelector('.settings', { visible: true });
  await page.click('.settings');
  const groups = await page.$$eval('.menu fieldset', (fs) => fs.map((f) => [f.querySelector('legend').textContent, [...f.querySelectorAll('label')].map((l) => l.innerText.trim().replace(/\s+\d+p$/, ''))]));
  assert.deepEqual(groups, [['Quality', ['Auto', '180p', '90p']], ['Audio', ['English', 'Deutsch']], ['Subtitles', ['Off', 'English']]]);
  assert.deepEqual(await accessible(page), [], 'the menu is not accessible');
  await choose(page, 'Quality', '180p');
  await width(page, 320);
  await choose(page, 'Quality', '90p');
  await width(page, 160);
  await Promise.all([asked(page, '/de-'), choose(page, 'Audio', 'Deutsch')]);
  await choose(page, 'Subtitles', 'English');
  await page.waitForFunction(() => [...document.querySelector('video').textTracks].some((t) => t.mode === 'showing' && t.activeCues?.length > 0), { timeout: 20000 });
  await page.screenshot({ path: `${dir}/menu.png` });
  await page.keyboard.press('Escape');
  await page.keyboard.press('c');
  await page.waitForFunction(() => [...document.querySelector('video').textTracks].every((t) => t.mode !== 'showing'));
}

// Beyond what the live playlist lists, and back.
async function archive(page) {
  const before = await behind(page);
  const request = asked(page, 'dvr.m3u8');
  for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowLeft');
  await request;
  await delayed(page, before + 25, before + 40);
  await playing(page, 2);
  const once = await behind(page);
  await page.keyboard.press('ArrowLeft');
  await delayed(page, once + 5, once + 15);
  await playing(page, 2);
  const far = await behind(page);
  await width(page, 160); // what was chosen stays
  await page.screenshot({ path: `${dir}/archive.png` });
  const back = asked(page, 'll.m3u8');
  await page.keyboard.press('l');
  await back;
  await playing(page, 1);
  await delayed(page, 0, before + 5);
  await width(page, 160);
  return far;
}

const browser = await launch(chromium);
try {
  const { page, failures } = await open(browser, url);
  await playing(page, 2);
  await tracks(page);
  const far = await archive(page);
  assert.deepEqual(failures, []);
  await page.close();

  const plain = await open(browser, without);
  await playing(plain.page, 2);
  const refused = plain.page.waitForResponse((r) => r.url().includes('dvr.m3u8') && r.status() === 404);
  for (let i = 0; i < 3; i++) await plain.page.keyboard.press('ArrowLeft');
  await refused;
  await playing(plain.page, 2);
  assert.ok(await behind(plain.page) < 20, 'it is where nothing can be');
  console.log(`two qualities, two languages, subtitles; ${far} s back in the archive and live again; without one it plays on`);
} finally {
  await browser.close();
}
