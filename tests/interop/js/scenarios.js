// What MQTT.js does with the broker, in Node and in a browser alike. No imports: the caller hands
// over `mqtt`. Every scenario throws when something is not as it should be.

const DEADLINE = 10000;
let serial = 0;

function unique(name) {
    serial += 1;
    return `js-${name}-${Math.floor(Math.random() * 1e9).toString(36)}-${serial}`;
}

function assert(condition, what) {
    if (!condition) throw new Error(what);
}

function within(promise, what) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), DEADLINE);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A connected client with `inbox` and `next()`. Options as of MQTT.js. Messages are kept from the
// first byte on, since a resumed session may send them right behind CONNACK.
async function connect(mqtt, target, options) {
    const client = mqtt.connect(target.url, { reconnectPeriod: 0, connectTimeout: DEADLINE,
        ...target.options, ...options });
    client.inbox = [];
    client.waiting = [];
    client.on('message', (topic, payload, packet) => {
        const message = { topic, text: payload.toString(), packet };
        const waiter = client.waiting.shift();
        if (waiter) waiter(message);
        else client.inbox.push(message);
    });
    client.next = (what) => within(new Promise((resolve) => {
        if (client.inbox.length) resolve(client.inbox.shift());
        else client.waiting.push(resolve);
    }), what);
    client.connack = await within(new Promise((resolve, reject) => {
        client.once('connect', resolve);
        client.once('error', reject);
        client.once('close', () => reject(new Error('closed')));
    }), 'CONNACK');
    client.on('error', () => {});
    return client;
}

async function everyQos(mqtt, target, version) {
    const topic = unique('qos');
    const client = await connect(mqtt, target, { protocolVersion: version });
    const [granted] = await client.subscribeAsync(topic, { qos: 2 });
    assert(granted.qos === 2, `granted QoS ${granted.qos}`);
    for (const qos of [0, 1, 2]) {
        await within(client.publishAsync(topic, `message ${qos}`, { qos }), 'acknowledgement');
        const message = await client.next(`QoS ${qos}`);
        assert(message.text === `message ${qos}` && message.packet.qos === qos, message.text);
    }
    const large = 'x'.repeat(300000);
    await within(client.publishAsync(topic, large, { qos: 1 }), 'acknowledgement');
    assert((await client.next('large message')).text === large, 'large message differs');
    await client.unsubscribeAsync(topic);
    await client.endAsync();
}

async function retained(mqtt, target, version) {
    const topic = unique('retained');
    const writer = await connect(mqtt, target, { protocolVersion: version });
    await within(writer.publishAsync(topic, 'kept', { qos: 1, retain: true }), 'PUBACK');
    const reader = await connect(mqtt, target, { protocolVersion: version });
    await reader.subscribeAsync(topic, { qos: 1 });
    const message = await reader.next('retained message');
    assert(message.text === 'kept' && message.packet.retain, 'not the retained message');
    await within(writer.publishAsync(topic, '', { qos: 1, retain: true }), 'PUBACK');
    assert((await reader.next('removal')).text === '', 'removal is delivered');
    await reader.endAsync();
    const late = await connect(mqtt, target, { protocolVersion: version });
    await late.subscribeAsync([topic, `${topic}/end`], { qos: 1 });
    await within(writer.publishAsync(`${topic}/end`, 'end', { qos: 1 }), 'PUBACK');
    assert((await late.next('end')).text === 'end', 'a removed message was sent');
    await late.endAsync();
    await writer.endAsync();
}

async function will(mqtt, target, version) {
    const topic = unique('will');
    const reader = await connect(mqtt, target, { protocolVersion: version });
    await reader.subscribeAsync(topic, { qos: 1 });
    const options = { protocolVersion: version, will: { topic, payload: 'gone', qos: 1 } };
    const polite = await connect(mqtt, target, options);
    await polite.endAsync();
    const lost = await connect(mqtt, target, options);
    lost.end(true);
    assert((await reader.next('will')).text === 'gone', 'not the will');
    await within(reader.publishAsync(topic, 'end', { qos: 1 }), 'PUBACK');
    assert((await reader.next('end')).text === 'end', 'a second will');
    await reader.endAsync();
}

async function persistentSession(mqtt, target, version) {
    const topic = unique('session');
    const options = { protocolVersion: version, clean: false, clientId: unique('id') };
    if (version === 5) options.properties = { sessionExpiryInterval: 3600 };
    const first = await connect(mqtt, target, options);
    assert(!first.connack.sessionPresent, 'a session before there was one');
    await first.subscribeAsync(topic, { qos: 2 });
    await first.endAsync();
    const writer = await connect(mqtt, target, { protocolVersion: version });
    for (let n = 0; n < 10; n += 1) {
        await within(writer.publishAsync(topic, `${n}`, { qos: 1 + (n % 2) }), 'acknowledgement');
    }
    const second = await connect(mqtt, target, options);
    assert(second.connack.sessionPresent, 'the session is gone');
    // Order holds for each QoS: a receiver hands on QoS 2 later than QoS 1.
    const received = [[], []];
    for (let n = 0; n < 10; n += 1) {
        const { text } = await second.next(`message ${n}`);
        received[text % 2].push(text);
    }
    assert(received.flat().join('') === '0246813579', `got ${received.flat()}`);
    await within(writer.publishAsync(topic, 'end', { qos: 2 }), 'acknowledgement');
    assert((await second.next('end')).text === 'end', 'something came twice');
    await second.endAsync();
    await writer.endAsync();
}

async function propertiesOfVersion5(mqtt, target) {
    const topic = unique('properties');
    const client = await connect(mqtt, target, { protocolVersion: 5,
        properties: { topicAliasMaximum: 5, receiveMaximum: 10, requestResponseInformation: true } });
    assert(client.connack.properties, 'CONNACK without properties');
    await client.subscribeAsync(topic, { qos: 1, nl: false, rap: true, rh: 0,
        properties: { subscriptionIdentifier: 21, userProperties: { a: 'b' } } });
    await within(client.publishAsync(topic, 'text', { qos: 1, properties: {
        payloadFormatIndicator: true, messageExpiryInterval: 100, contentType: 'text/plain',
        responseTopic: 'answer', correlationData: target.bytes('c\u0000d'),
        userProperties: { key: ['one', 'two'], other: 'x' } } }), 'PUBACK');
    const { properties } = (await client.next('message')).packet;
    assert(properties.payloadFormatIndicator === true, 'payload format');
    assert([99, 100].includes(properties.messageExpiryInterval), 'message expiry');
    assert(properties.contentType === 'text/plain', 'content type');
    assert(properties.responseTopic === 'answer', 'response topic');
    assert(properties.correlationData.toString() === 'c\u0000d', 'correlation data');
    assert(properties.userProperties.key.join() === 'one,two', 'user properties');
    assert(properties.userProperties.other === 'x', 'user property');
    assert(properties.subscriptionIdentifier === 21, 'subscription identifier');
    const unmatched = await within(client.publishAsync(unique('nobody'), 'x', { qos: 1 }), 'PUBACK');
    assert([undefined, 0, 16].includes(unmatched && unmatched.reasonCode), 'reason code');
    await client.endAsync();
}

async function reconnectsByItself(mqtt, target) {
    const topic = unique('takeover');
    const clientId = unique('same');
    const options = { protocolVersion: 5, clean: false, clientId, reconnectPeriod: 200,
        properties: { sessionExpiryInterval: 60 } };
    const client = await connect(mqtt, target, options);
    await client.subscribeAsync(topic, { qos: 1 });
    const told = within(new Promise((resolve) => client.once('disconnect', resolve)), 'DISCONNECT');
    const back = within(new Promise((resolve) => client.once('connect', resolve)), 'reconnect');
    const thief = await connect(mqtt, target, { ...options, reconnectPeriod: 0 });
    assert((await told).reasonCode === 0x8e, 'reason code of the takeover');
    const connack = await back;
    assert(connack.sessionPresent, 'session lost');
    await within(client.publishAsync(topic, 'still subscribed', { qos: 1 }), 'PUBACK');
    assert((await client.next('message')).text === 'still subscribed', 'subscription lost');
    thief.end(true);
    await client.endAsync();
}

// Runs everything against one target {name, url, options, bytes}; `report(line)` gets PASS and FAIL.
export async function runScenarios(mqtt, target, report) {
    const list = [['reconnects by itself after a takeover', () => reconnectsByItself(mqtt, target)],
        ['v5 properties', () => propertiesOfVersion5(mqtt, target)]];
    for (const version of [4, 5]) {
        for (const [name, run] of [['QoS 0, 1, 2', everyQos], ['retained', retained],
            ['will', will], ['persistent session', persistentSession]]) {
            list.push([`${name}, version ${version}`, () => run(mqtt, target, version)]);
        }
    }
    for (const [name, run] of list) {
        try {
            await run();
            report(`PASS ${target.name}: ${name}`);
        } catch (error) {
            report(`FAIL ${target.name}: ${name}: ${error.message}`);
        }
    }
}
