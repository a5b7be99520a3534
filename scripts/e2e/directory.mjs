// Reads what a node's page lists as on air: node directory.mjs URL LINK TITLE DIR CHROMIUM
// The title is as much HTML as its broadcaster likes; the page shows it as text.
import assert from 'node:assert/strict';
import { accessible, launch, open } from './browser.mjs';

const [url, link, title, dir, chromium] = process.argv.slice(2);

const browser = await launch(chromium);
try {
  const { page, failures, foreign } = await open(browser, url);
  await page.waitForSelector('#directory-list h3', { visible: true, timeout: 30000 });
  assert.equal(await page.$eval('#directory-list h3', (e) => e.textContent), title);
  assert.deepEqual(await page.$$eval('#directory-list h3 *', (list) => list.map((e) => e.tagName)), [], 'the title is HTML');
  assert.equal(await page.$eval('#directory-list input', (e) => e.value), `grapevine watch '${link}'`);
  assert.deepEqual(await accessible(page), []);
  await page.screenshot({ path: `${dir}/directory.png` });
  assert.deepEqual(failures, []);
  assert.deepEqual(foreign, []);
} finally {
  await browser.close();
}
