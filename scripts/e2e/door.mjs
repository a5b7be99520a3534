// Tries who gets in at a node's door: node door.mjs URL HLS CHROMIUM OTHER BEYOND
// OTHER is a page of another origin, with two frames of the node at URL and a link to BEYOND,
// the address with the token of a node that serves other machines.
import assert from 'node:assert/strict';
import { launch, open, playing } from './browser.mjs';

const [url, hls, chromium, other, beyond] = process.argv.slice(2);
const { port } = new URL(url);
const status = async () => (await (await fetch(`${url}api/v1/status`)).json()).http;

// The page uses all that it has without breaking its own policy.
async function strict(browser) {
  const page = await browser.newPage();
  const violations = [];
  await page.exposeFunction('violated', (v) => violations.push(v));
  await page.evaluateOnNewDocument(() => addEventListener('securitypolicyviolation', (e) => globalThis.violated(`${e.violatedDirective} ${e.blockedURI}`)));
  page.on('console', (m) => ['error', 'warn'].includes(m.type()) && violations.push(m.text()));
  page.on('pageerror', (err) => violations.push(String(err)));
  const answer = await page.goto(url, { waitUntil: 'load' });
  const headers = answer.headers();
  assert.match(headers['content-security-policy'], /^default-src 'none'; .*frame-ancestors 'none'$/);
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['referrer-policy'], 'no-referrer');
  assert.match(headers['permissions-policy'], /camera=\(\), microphone=\(\)/);
  await playing(page, 1);
  await page.click('#show-qr');
  await page.waitForFunction(() => document.querySelector('#qr').naturalWidth > 0);
  await page.click('#qr-done');
  await page.waitForFunction(() => document.querySelector('#graph-in').children.length > 0);
  assert.equal(await page.$eval('#embed-row', (e) => e.hidden), true, 'the page offers a frame that no page may have');
  await page.keyboard.press('?');
  await page.keyboard.press('Escape');
  await playing(page, 2);
  // The policy itself holds, which its report shows.
  await page.evaluate(() => { const s = document.createElement('script'); s.textContent = 'globalThis.broken = true'; document.head.append(s); });
  assert.equal(await page.evaluate(() => globalThis.broken), undefined, 'a script within the page runs');
  assert.ok(violations.length > 0 && violations.every((v) => /script-src|Content Security Policy/.test(v)), violations.join('\n'));
  await page.close();
}

// A page of another origin reads nothing, and frames nothing.
async function foreign(browser) {
  const before = await status();
  const page = await browser.newPage();
  await page.goto(other, { waitUntil: 'load' });
  for (const address of [`${url}api/v1/status`, hls]) {
    const got = await page.evaluate((a) => fetch(a).then((r) => `read ${r.status}`, (e) => String(e)), address);
    assert.match(got, /Failed to fetch/, `another origin reads ${address}`);
    const blind = await page.evaluate((a) => fetch(a, { mode: 'no-cors' }).then((r) => r.type, () => 'failed'), address);
    assert.ok(['failed', 'opaque'].includes(blind), blind);
  }
  const sees = await page.evaluate((a) => new Promise((done) => {
    const img = new Image();
    img.onload = () => done('loaded');
    img.onerror = () => done('failed');
    img.src = a;
  }), `${url}icon.svg`);
  assert.equal(sees, 'failed', 'another origin sees that the node is there');
  for (const id of ['page', 'player']) {
    const frame = await (await page.$(`iframe#${id}`)).contentFrame();
    assert.equal(await frame.$('video').catch(() => null), null, `another origin frames the ${id}`);
  }
  const { refused_sites: refused } = await status();
  assert.ok(refused - before.refused_sites >= 6, `${refused - before.refused_sites} refusals are counted`);
  await page.close();
}

// A name that leads here is not enough.
async function rebound() {
  const browser = await launch(chromium, { args: ['--host-resolver-rules=MAP evil.example 127.0.0.1'] });
  try {
    const page = await browser.newPage();
    for (const path of ['', 'api/v1/status', new URL(hls).pathname.slice(1)]) {
      const answer = await page.goto(`http://evil.example:${port}/${path}`);
      assert.equal(answer.status(), 421, path);
      assert.match(await answer.text(), /^This node is not known as "evil\.example"/);
    }
    // As a page would that came from that name before it led here.
    const read = await page.evaluate(() => fetch('/api/v1/status').then((r) => r.status));
    assert.equal(read, 421, 'a page of a name that leads here reads the status');
  } finally {
    await browser.close();
  }
}

// Another machine needs the token, once.
async function withToken(browser) {
  const { origin } = new URL(beyond);
  const page = await browser.newPage();
  for (const path of ['/', '/api/v1/status', new URL(hls).pathname, '/t/wrong-token-altogether/']) {
    const answer = await page.goto(origin + path);
    assert.equal(answer.status(), 401, path);
    assert.match(await answer.text(), /^This node serves other machines by its token only/);
  }
  const cookie = { name: `grapevine-${new URL(origin).port}`, url: origin };
  await page.setCookie({ ...cookie, value: 'wrong-token-altogether' });
  assert.equal((await page.goto(`${origin}/`)).status(), 401, 'a wrong token in a cookie is let in');
  await page.deleteCookie(cookie);
  // From a link on another site's page, as from a chat.
  await page.goto(other, { waitUntil: 'load' });
  await Promise.all([page.waitForFunction((o) => location.href === `${o}/`, {}, origin), page.click('a')]);
  await playing(page, 1);
  assert.equal(await page.evaluate(() => document.cookie), '', 'scripts can read the cookie');
  assert.ok((await page.$eval('#address', (e) => e.value)).startsWith(beyond), 'the address for players has no token');
  const again = await browser.newPage();
  assert.ok((await again.goto(`${origin}/`)).status() < 400, 'the cookie is not kept');
  await again.close();
  await page.close();
}

const browser = await launch(chromium);
try {
  await strict(browser);
  await foreign(browser);
  await rebound();
  await withToken(browser);
} finally {
  await browser.close();
}
