// Follows a tail in Chromium while the server is killed, stopped and started again, and holds what the
// page saw against what was acknowledged. The control: a page that begins anew sees events twice.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { chromium } = createRequire(join(process.env.TOOLS, 'x.js'))('playwright-core');
const EVERLOG = new URL('../../target/release/everlog', import.meta.url).pathname;
const ROUNDS = 6;
const EVENTS = 25;

const folder = mkdtempSync(join(tmpdir(), 'everlog-browser-'));
let address = '127.0.0.1:0';

/** Starts the server where it was before. */
async function serve() {
    const args = ['serve', '--store', 'sqlite:browser.db', '--listen', address];
    const server = spawn(EVERLOG, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    for await (const text of server.stderr) {
        said += text;
        const url = / listens on http:\/\/(\S+)/.exec(said);
        if (url) {
            address = url[1];
            server.stderr.resume();
            return server;
        }
    }
    throw new Error(`it did not start: ${said}`);
}

/** Publishes; a connection that the old server left is tried again, with the same id. */
async function publish(payload) {
    const url = `http://${address}/v1/logs/default/categories/browser/streams/s/events`;
    const body = JSON.stringify({ events: [{ name: 'e', id: randomUUID(), payload }] });
    const headers = { 'content-type': 'application/json' };
    const send = () => fetch(url, { method: 'POST', headers, body });
    const answer = await send().catch(send);
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
}

/** Follows the log in the page, counting how often the stream was opened. */
function follow() {
    window.seen = [];
    window.opened = 0;
    window.told = {};
    const source = new EventSource('/v1/logs/default/tail');
    source.onopen = () => { window.opened += 1; };
    source.onmessage = (message) => window.seen.push(JSON.parse(message.data).sequence_number);
    for (const name of ['start', 'caught-up', 'bye', 'error']) {
        source.addEventListener(name, (e) => {
            if (e.data) window.told[name] = (window.told[name] ?? 0) + 1;
        });
    }
}

let server = await serve();
const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic'],
});
try {
    const page = await browser.newPage();
    // Any page of the server's: the tail is of the same origin.
    await page.goto(`http://${address}/livez`);
    await page.evaluate(follow);
    let published = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
        for (let i = 0; i < EVENTS; i += 1) await publish(published += 1);
        await page.waitForFunction((n) => window.seen.length >= n, published, { timeout: 60_000 });
        server.kill(round % 2 ? 'SIGTERM' : 'SIGKILL');
        await once(server, 'exit');
        server = await serve();
        // Nobody follows now: this is what the browser has to come back for.
        await publish(published += 1);
    }
    await page.waitForFunction((n) => window.seen.length >= n, published, { timeout: 60_000 });
    const { seen, opened, told } = await page.evaluate(() => ({
        seen: window.seen, opened: window.opened, told: window.told,
    }));
    const expected = Array.from({ length: published }, (_, i) => i + 1);
    if (JSON.stringify(seen) !== JSON.stringify(expected)) {
        throw new Error(`seen ${JSON.stringify(seen)} of ${published}`);
    }
    if (opened <= ROUNDS || !told.bye) throw new Error(`opened ${opened}, ${JSON.stringify(told)}`);
    await page.evaluate(follow);
    await page.waitForFunction((n) => window.seen.length >= n, published, { timeout: 60_000 });
    console.log(`${browser.version()}: ${published} events, ${ROUNDS} restarts, `
        + `opened ${opened} times: all seen once, in order; ${JSON.stringify(told)}`);
} finally {
    await browser.close();
    server.kill('SIGKILL');
    rmSync(folder, { recursive: true });
}
