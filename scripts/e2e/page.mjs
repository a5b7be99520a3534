// Opens a node's page in Chromium as a user would, and prints what it plays as JSON:
// node page.mjs URL SCREENSHOT CHROMIUM SECONDS
// Loaded from the directory that NODE_PATH names.
import { createRequire } from 'node:module';

const [url, screenshot, executablePath, seconds] = process.argv.slice(2);
const puppeteer = createRequire(process.env.NODE_PATH + '/')('puppeteer-core');

const browser = await puppeteer.launch({
  executablePath,
  args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required', '--disable-gpu', '--mute-audio'],
});
const failures = [];
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 800 });
  page.on('pageerror', (err) => failures.push(String(err)));
  page.on('requestfailed', (req) => failures.push(`${req.url()}: ${req.failure()?.errorText}`));
  const foreign = [];
  page.on('request', (req) => {
    const { protocol, host } = new URL(req.url());
    if (protocol.startsWith('http') && host !== new URL(url).host) foreign.push(req.url());
  });
  await page.goto(url, { waitUntil: 'load' });
  const state = () => page.evaluate(() => {
    const v = document.querySelector('video');
    return v && {
      time: v.currentTime, paused: v.paused, width: v.videoWidth,
      frames: v.getVideoPlaybackQuality().totalVideoFrames,
      audio: v.webkitAudioDecodedByteCount,
      delay: parseFloat(document.getElementById('delay').textContent),
    };
  });
  // Playback starts by itself, or with a click on the page's own control.
  await page.waitForFunction(() => document.querySelector('video')?.currentTime > 0, { timeout: 30000 })
    .catch(async () => { throw new Error(`the video does not start: ${JSON.stringify(await state())}`); });
  const before = await state();
  await new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1000));
  const after = await state();
  await page.screenshot({ path: screenshot });
  console.log(JSON.stringify({
    advanced: after.time - before.time,
    frames: after.frames - before.frames,
    audio: after.audio - before.audio,
    width: after.width,
    delay: after.delay,
    foreign,
    failures,
  }));
} catch (err) {
  console.error(String(err), JSON.stringify(failures));
  process.exitCode = 1;
} finally {
  await browser.close();
}
