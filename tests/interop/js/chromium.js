// MQTT.js inside headless Chromium: chromium.js BROWSER URL... (ws:// and wss://). The page comes
// from a small HTTP server on loopback, as a web application would.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const files = {
    '/': ['text/html', '<!doctype html><title>MQTT</title><script src="/mqtt.js"></script>'],
    '/mqtt.js': ['text/javascript', readFileSync(join(here, 'node_modules/mqtt/dist/mqtt.min.js'))],
    '/scenarios.js': ['text/javascript', readFileSync(join(here, 'scenarios.js'))],
};
const server = createServer((request, response) => {
    const found = files[request.url];
    response.writeHead(found ? 200 : 404, { 'Content-Type': found ? found[0] : 'text/plain' });
    response.end(found ? found[1] : '');
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const [executablePath, ...urls] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox',
    '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage',
    '--no-first-run', '--ignore-certificate-errors'] });
let failed = false;
try {
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    await page.exposeFunction('report', (line) => {
        failed ||= line.startsWith('FAIL');
        console.log(line);
    });
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    for (const url of urls) {
        await page.evaluate(async (target) => {
            const { runScenarios } = await import('/scenarios.js');
            const bytes = (text) => new TextEncoder().encode(text);
            await runScenarios(globalThis.mqtt, { ...target, options: {}, bytes },
                globalThis.report);
        }, { name: `chromium ${url.split(':')[0]}`, url });
    }
} finally {
    await browser.close();
    server.close();
}
process.exit(failed ? 1 : 0);
