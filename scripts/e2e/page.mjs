// Opens a node's page in Chromium as a user would, and prints what it plays as JSON:
// node page.mjs URL SCREENSHOT CHROMIUM SECONDS
import { launch, open, playing } from './browser.mjs';

const [url, screenshot, chromium, seconds] = process.argv.slice(2);

const browser = await launch(chromium);
try {
  const { page, failures, foreign } = await open(browser, url);
  const state = () => page.evaluate(() => {
    const v = document.querySelector('video');
    return {
      time: v.currentTime, paused: v.paused, width: v.videoWidth,
      frames: v.getVideoPlaybackQuality().totalVideoFrames,
      audio: v.webkitAudioDecodedByteCount,
      delay: parseFloat(document.getElementById('delay').textContent),
      swarm: document.getElementById('swarm-picture').ariaLabel,
      feeds: [...document.querySelectorAll('#swarm-picture .line')].filter((l) => l.getBBox().width + l.getBBox().height > 0).length,
    };
  });
  await playing(page);
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
    swarm: after.swarm,
    feeds: after.feeds,
    foreign,
    failures,
  }));
} finally {
  await browser.close();
}
