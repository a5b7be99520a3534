// Plays a low-latency playlist with hls.js as it comes in Chromium, on a page of another
// origin, and prints as JSON what it shows, until it is killed:
// node hlsjs.mjs URL CHROMIUM             four times a second how many pictures it has shown
// node hlsjs.mjs ages CHROMIUM            their ages; it prints "ready" and then reads the
//                                         address, a playlist or a node's page, from stdin
// Loaded from the directory that NODE_PATH names.
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';

let [url, executablePath] = process.argv.slice(2);
const ages = url === 'ages';
const puppeteer = createRequire(process.env.NODE_PATH + '/')('puppeteer-core');

const files = {
  '/': ['hlsjs.html', 'text/html'],
  '/hls.js': ['../../hls/page/hls.min.js', 'text/javascript'],
};
const server = createServer(async (req, res) => {
  const file = files[req.url];
  if (!file) return res.writeHead(404).end();
  res.setHeader('Content-Type', file[1]);
  res.end(await readFile(new URL(file[0], import.meta.url)));
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const browser = await puppeteer.launch({
  executablePath,
  pipe: true, // it ends with this process, however that ends
  args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required', '--disable-gpu', '--mute-audio'],
});
const page = await browser.newPage();
page.on('pageerror', (err) => console.error(String(err)));
await page.goto(`http://localhost:${server.address().port}/`, { waitUntil: 'load' });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
if (ages) {
  const script = await readFile(new URL('ages.js', import.meta.url), 'utf8');
  console.log('{"ready":true}');
  url = (await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()).value;
  if (url.endsWith('.m3u8')) await page.evaluate((u) => play(u), url);
  else await page.goto(url);
  await page.evaluate(script);
  for (;;) {
    console.log(JSON.stringify({ ages: await page.evaluate(() => ages.splice(0)) }));
    await pause(20);
  }
}
await page.evaluate((u) => play(u), url);
for (;;) {
  const { problems, ...now } = await page.evaluate(() => look());
  for (const p of problems) console.error(new Date().toISOString(), p);
  console.log(JSON.stringify(now));
  await pause(250);
}
