// Uses a node's page by keyboard and mouse, in light and dark, wide, narrow and framed:
// node controls.mjs URL DIR CHROMIUM FRAMING
// FRAMING is a page of another origin with two frames: the player alone, and the page.
// It leaves screenshots in DIR.
import assert from 'node:assert/strict';
import { accessible, launch, open, playing, untouched } from './browser.mjs';

const [url, dir, chromium, framing] = process.argv.slice(2);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const state = (page) => page.evaluate(() => {
  const v = document.querySelector('video');
  const live = document.querySelector('.row .live');
  return {
    time: v.currentTime, rate: v.playbackRate, paused: v.paused, muted: v.muted, volume: v.volume,
    live: live.classList.contains('on'), says: live.innerText.replace(/\s+/g, ' '),
    seek: document.querySelector('.seek input').getAttribute('aria-valuetext'),
    full: document.fullscreenElement?.className ?? '',
    pip: document.pictureInPictureElement !== null,
    resting: document.querySelector('.player').classList.contains('resting'),
  };
});

// until waits for the state to be as wanted, and returns it.
async function until(page, what, wanted) {
  let now;
  for (let i = 0; i < 100; i++) {
    now = await state(page);
    if (wanted(now)) return now;
    await wait(100);
  }
  throw new Error(`never ${what}: ${JSON.stringify(now)}`);
}

// Begins without sound where the browser wants that, and a button turns it on.
async function sound(page) {
  assert.equal((await state(page)).muted, true, 'it plays with sound that the browser forbids');
  await page.waitForSelector('.unmute', { visible: true });
  await page.click('.unmute');
  await until(page, 'has sound', (s) => !s.muted && !s.paused);
  await page.waitForSelector('.unmute', { hidden: true });
}

async function keyboard(page) {
  const press = (key) => page.keyboard.press(key);
  await press('Space');
  await until(page, 'pauses', (s) => s.paused);
  await page.waitForSelector('.toggle[aria-label="Play"]'); // the element tells that it pauses a moment after
  await press('k');
  await until(page, 'plays', (s) => !s.paused);
  await press('m');
  await until(page, 'is silent', (s) => s.muted);
  await press('m');
  await until(page, 'is heard', (s) => !s.muted);
  await page.focus('.toggle');
  const { volume } = await state(page);
  await press('ArrowDown');
  await until(page, 'is softer', (s) => s.volume < volume);
  await press('ArrowUp');
  await until(page, 'is louder', (s) => s.volume === volume);
  await press('f');
  await until(page, 'fills the screen', (s) => s.full.includes('player'));
  await press('f');
  await until(page, 'leaves full screen', (s) => !s.full);
  await press('p');
  await until(page, 'is in a picture of its own', (s) => s.pip);
  await press('p');
  await until(page, 'is back', (s) => !s.pip);
  await press('?');
  await page.waitForSelector('dialog.help[open]');
  assert.deepEqual(await accessible(page), [], 'the help is not accessible');
  await page.screenshot({ path: `${dir}/help.png` });
  await press('Escape');
  await page.waitForSelector('dialog.help[open]', { hidden: true });
}

async function rewind(page) {
  await page.keyboard.press('l');
  const live = await until(page, 'is live', (s) => s.live && /^Live \d+\.\d s$/.test(s.says));
  await page.waitForFunction(() => {
    const { buffered, seekable } = document.querySelector('video');
    return seekable.end(0) - seekable.start(0) > 18 && buffered.length > 0;
  }, { timeout: 30000 });
  const before = await state(page);
  await page.keyboard.press('ArrowLeft');
  const back = await until(page, 'rewinds', (s) => !s.live && s.time < before.time - 5);
  assert.match(back.says, /^Go to live −0:\d\d$/);
  assert.match(back.seek, /^\d+ seconds behind live$/);
  await playing(page, 1);
  await page.keyboard.press('ArrowRight');
  await until(page, 'goes forward', (s) => s.time > back.time + 5);
  // The same with the bar and the badge.
  const bar = await (await page.$('.seek input')).boundingBox();
  await page.mouse.click(bar.x + bar.width * 0.3, bar.y + bar.height / 2);
  await until(page, 'rewinds to where the bar is pressed', (s) => !s.live);
  await page.click('.row .live');
  await until(page, 'is live again', (s) => s.live);
  await playing(page, 1);
  return live.says;
}

// After a stall it plays faster until it is live again, unless it was put behind.
async function catchesUp(browser) {
  const { page } = await open(browser, url);
  await playing(page, 1);
  const late = wait(8000); // what is asked for meanwhile comes then
  await page.setRequestInterception(true);
  page.on('request', (req) => (/ll\.m3u8|\.m4s/.test(req.url()) ? late : Promise.resolve()).then(() => req.continue()));
  await late;
  await until(page, 'is late', (s) => !s.live && s.rate > 1);
  const speed = await page.evaluate(async () => {
    const v = document.querySelector('video');
    const [time, began] = [v.currentTime, performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 4000));
    return (v.currentTime - time) / (performance.now() - began) * 1000;
  });
  assert.ok(speed > 1.02 && speed < 1.08, `it catches up at a speed of ${speed}`);
  assert.equal(await page.$eval('video', (v) => v.preservesPitch), true, 'it sounds higher');
  await page.keyboard.press('ArrowLeft');
  await until(page, 'plays as fast as it should where it was put', (s) => !s.live && s.rate === 1);
  await playing(page, 1);
  assert.equal((await state(page)).rate, 1, 'it leaves where it was put');
  await page.close();
}

// Nothing rests while the keyboard is used; all rests when the mouse does.
async function resting(page) {
  await page.mouse.move(300, 300);
  await page.mouse.move(310, 300);
  await page.evaluate(() => document.activeElement.blur());
  await page.mouse.move(320, 300);
  await until(page, 'rests', (s) => s.resting);
  await page.keyboard.press('Tab');
  await until(page, 'comes back for the keyboard', (s) => !s.resting);
  await wait(4000); // longer than a pointer may rest
  assert.equal((await state(page)).resting, false, 'the controls left whoever uses the keyboard');
}

// Screen readers are told nothing while all is well.
async function quiet(page) {
  const said = await page.evaluate(async () => {
    const said = [];
    const observer = new MutationObserver((list) => said.push(...list.map((m) => m.target.textContent)));
    for (const e of document.querySelectorAll('[role=status], [role=alert], [aria-live]')) {
      observer.observe(e, { childList: true, characterData: true, subtree: true, attributes: true });
    }
    await new Promise((resolve) => setTimeout(resolve, 5000));
    return said;
  });
  assert.deepEqual(said, [], 'it announces what is no news');
}

async function sharing(page) {
  await page.click('#show-qr');
  await page.waitForFunction(() => document.getElementById('qr').naturalWidth > 0);
  assert.deepEqual(await accessible(page), [], 'the QR code is not accessible');
  await page.screenshot({ path: `${dir}/qr.png` });
  await page.keyboard.press('Escape');
  await page.click('[data-copy=address]');
  await page.waitForFunction(() => document.querySelector('[data-copy=address]').textContent === 'Copied');
}

async function framed(browser) {
  const { page } = await open(browser, framing, { width: 720, height: 480 });
  const player = await (await page.waitForSelector('iframe#player')).contentFrame();
  await player.waitForSelector('video');
  await playing(player, 2);
  assert.equal(await player.$('#peers'), null, 'the player alone shows peers');
  assert.deepEqual(await accessible(page), [], 'the framed player is not accessible');
  await page.screenshot({ path: `${dir}/embed.png` });
  const other = await (await page.$('iframe#page')).contentFrame();
  assert.equal(await other.$('video').catch(() => null), null, 'another site may frame the page');
}

const browser = await launch(chromium, { sound: false });
try {
  const { page, failures } = await open(browser, url);
  await untouched(page);
  assert.equal(await page.$eval('.settings', (b) => b.hidden), true, 'one quality is no choice');
  await sound(page);
  await keyboard(page);
  await sharing(page);
  const says = await rewind(page);
  await resting(page);
  await quiet(page);
  await page.screenshot({ path: `${dir}/wide.png` });
  assert.deepEqual(failures, []);
  await page.close();
  for (const [name, view] of Object.entries({
    light: {}, dark: { scheme: 'dark' },
    narrow: { width: 390, height: 844 }, 'narrow-dark': { width: 320, height: 640, scheme: 'dark' },
  })) {
    const shown = await open(browser, url, view);
    await playing(shown.page, 1);
    assert.deepEqual(await accessible(shown.page), [], `${name}: not accessible`);
    const over = await shown.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(over, 0, `${name}: wider than the window`);
    await shown.page.screenshot({ path: `${dir}/${name}.png`, fullPage: true });
    assert.deepEqual(shown.failures, [], name);
    await shown.page.close();
  }
  await framed(browser);
  await catchesUp(browser);
  console.log(says);
} finally {
  await browser.close();
}
