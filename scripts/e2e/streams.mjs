// Chooses between the two streams of a node's page: node streams.mjs URL DIR CHROMIUM
import assert from 'node:assert/strict';
import { accessible, launch, open, playing } from './browser.mjs';

const [url, dir, chromium] = process.argv.slice(2);

const chosen = (page) => page.$eval('#streams [aria-current]', (a) => a.hash.slice(1));
const plays = (page, id) => page.waitForRequest((r) => r.url().includes(`/${id}/`) && r.url().endsWith('.m4s'), { timeout: 30000 });

const browser = await launch(chromium);
try {
  const { page, failures } = await open(browser, url);
  await playing(page);
  const ids = await page.$$eval('#streams a', (list) => list.map((a) => a.hash.slice(1)));
  assert.equal(ids.length, 2);
  assert.equal(await chosen(page), ids[0]);
  await Promise.all([plays(page, ids[1]), page.click('#streams a:nth-child(2)')]);
  assert.equal(await chosen(page), ids[1]);
  await playing(page, 1);
  assert.deepEqual(await accessible(page), []);
  await page.screenshot({ path: `${dir}/streams.png` });
  await Promise.all([plays(page, ids[1]), page.reload()]);
  await playing(page, 1);
  assert.equal(await chosen(page), ids[1], 'the choice is lost with a reload');
  assert.match(await page.$eval('#address', (e) => e.value), new RegExp(`/${ids[1]}/index.m3u8$`));
  assert.deepEqual(failures, []);
} finally {
  await browser.close();
}
