// Goes live from the page of a WHIP input: node golive.mjs URL KEY DIR CHROMIUM
// It writes "live" when it sends, and stops when its standard input ends.
import assert from 'node:assert/strict';
import { accessible, launch, open } from './browser.mjs';

const [url, key, dir, chromium] = process.argv.slice(2);

const says = (page, pattern) => page
  .waitForFunction((source) => new RegExp(source).test(document.querySelector('#status').textContent), { timeout: 30000 }, pattern)
  .catch(async () => { throw new Error(`the page never says ${pattern}, but ${await page.$eval('#status', (e) => e.textContent)}`); });

const browser = await launch(chromium, { args: ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'] });
try {
  const { page, failures, foreign } = await open(browser, url + '#wrong-horse');
  assert.equal(await page.evaluate(() => location.hash), '', 'the key stays in the address');
  assert.deepEqual(await accessible(page), []);
  await page.click('#camera');
  await says(page, '^Ready');
  await page.click('#live');
  await says(page, 'stream key is wrong');
  assert.equal(failures.length, 1); // Chromium's own word on the status 401
  failures.length = 0;

  await page.$eval('#key', (e, value) => { e.value = value; }, key);
  await page.click('#live');
  await says(page, '^Live .* fps .* Mbit/s');
  await page.screenshot({ path: `${dir}/golive.png` });
  console.log('live');
  await new Promise((resolve) => process.stdin.on('end', resolve).resume());
  await says(page, '^Live');
  await page.click('#stop');
  await says(page, '^Stopped');
  assert.deepEqual(failures, []);
  assert.deepEqual(foreign, []);
} finally {
  await browser.close();
}
