// Chromium for the page's checks. Modules are loaded from the directory that NODE_PATH
// names.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const require = createRequire(process.env.NODE_PATH + '/');
const puppeteer = require('puppeteer-core');

// launch starts a browser; with sound: false, it lets pages begin without sound only, as
// browsers do that nobody has set up.
export function launch(executablePath, { sound = true, args = [] } = {}) {
  const policy = sound ? 'no-user-gesture-required' : 'document-user-activation-required';
  // By a pipe, it ends with this process, however that ends.
  return puppeteer.launch({ executablePath, pipe: true, args: ['--no-sandbox', '--disable-gpu', '--mute-audio', `--autoplay-policy=${policy}`, ...args] });
}

// open opens a page, and collects in failures what it complains of and in foreign what it
// asks of other hosts.
export async function open(browser, url, { width = 1280, height = 800, scheme = 'light' } = {}) {
  const page = await browser.newPage();
  const failures = [];
  const foreign = [];
  page.on('pageerror', (err) => failures.push(String(err)));
  page.on('console', (m) => ['error', 'warn'].includes(m.type()) && failures.push(m.text()));
  page.on('requestfailed', (req) => {
    // What the player itself gives up, as when it goes elsewhere in the stream.
    const reason = req.failure()?.errorText;
    if (reason !== 'net::ERR_ABORTED') failures.push(`${req.url()}: ${reason}`);
  });
  page.on('request', (req) => {
    const { protocol, host } = new URL(req.url());
    if (protocol.startsWith('http') && host !== new URL(url).host) foreign.push(req.url());
  });
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.goto(url, { waitUntil: 'load' });
  return { page, failures, foreign };
}

// playing waits until a video's time advances, in a page or a frame.
export async function playing(frame, seconds = 0) {
  const from = await frame.evaluate(() => document.querySelector('video')?.currentTime ?? 0);
  const state = () => frame.evaluate(() => {
    const v = document.querySelector('video');
    return { time: v?.currentTime, paused: v?.paused, says: document.querySelector('.veil')?.textContent };
  });
  await frame.waitForFunction((least) => document.querySelector('video')?.currentTime > least, { timeout: 30000 }, from + seconds)
    .catch(async () => { throw new Error(`the video stays at ${from}: ${JSON.stringify(await state())}`); });
}

// untouched waits until the video plays, and lets the browser believe that nobody has
// touched the page: what puppeteer evaluates counts as a user's gesture.
export async function untouched(page) {
  const client = await page.createCDPSession();
  const expression = '(document.querySelector("video")?.currentTime ?? 0) > 0';
  for (let i = 0; i < 300; i++) {
    const { result } = await client.send('Runtime.evaluate', { expression, userGesture: false });
    if (result.value) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the video does not start');
}

let axe = '';

// accessible returns what axe-core finds wrong.
export async function accessible(page) {
  axe ||= await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 100)).join(' ')}`);
}
