// MQTT.js in Node: node.js URL [CA-FILE]
import { readFileSync } from 'node:fs';
import mqtt from 'mqtt';
import { runScenarios } from './scenarios.js';

const [url, caFile] = process.argv.slice(2);
const options = caFile ? { ca: readFileSync(caFile) } : {};
let failed = false;
await runScenarios(mqtt, { name: `node ${url.split(':')[0]}`, url, options, bytes: Buffer.from },
    (line) => {
        failed ||= line.startsWith('FAIL');
        console.log(line);
    });
process.exit(failed ? 1 : 0);
