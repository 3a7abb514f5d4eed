// Broadcasts over sockets and by HTTP.
import assert from 'node:assert/strict';
import { sleep, test, until } from './runner.mjs';

const DATA = { text: 'Hello, world \u{1f44b}', nested: { key: ['x', 1, 1.5, null, true] }, empty: {}, long: 'é'.repeat(100) };
const say = (joined, payload, event = 'e') => joined.channel.send({ type: 'broadcast', event, payload });

test('a broadcast of any payload arrives as it was sent', async (t) => {
  const name = t.name();
  const reader = await t.joined(name);
  const writer = await t.joined(name);
  const payloads = [DATA, {}, [1, 2], 'text', 7, true];
  for (const payload of payloads) await say(writer, payload);
  assert.deepEqual(await reader.reach(payloads.length), payloads);
});

test('a broadcast comes back only if that was asked for', async (t) => {
  const name = t.name();
  const silent = await t.joined(name);
  const echoed = await t.joined(name, { broadcast: { self: true, ack: true } });
  await say(silent, { n: 1 });
  await echoed.reach(1);
  await say(echoed, { n: 2 });
  assert.deepEqual(await echoed.reach(2), [{ n: 1 }, { n: 2 }]);
  assert.deepEqual(await silent.reach(1), [{ n: 2 }]);
});

test('a broadcast is acknowledged if that was asked for', async (t) => {
  const joined = await t.joined(t.name(), { broadcast: { ack: true } });
  assert.equal(await say(joined, { n: 1 }), 'ok');
});

test('a lost ack is no lost broadcast', async (t) => {
  const name = t.name();
  const reader = await t.joined(name);
  const writer = await t.joined(name, { broadcast: { ack: true } });
  await t.fault({ does: 'drop', event: 'broadcast', moment: 'after', topic: name });
  const options = { type: 'broadcast', event: 'e', payload: { n: 1 } };
  assert.equal(await writer.channel.send(options, { timeout: 300 }), 'timed out');
  assert.deepEqual(await reader.reach(1), [{ n: 1 }]);
});

test('a thousand broadcasts arrive in order', async (t) => {
  const name = t.name();
  const reader = await t.joined(name);
  const writer = await t.joined(name);
  const sent = Array.from({ length: 1000 }, (_, n) => ({ n }));
  for (const payload of sent) say(writer, payload);
  assert.deepEqual(await reader.reach(1000), sent);
});

test('fifty kilobytes arrive whole', async (t) => {
  const name = t.name();
  const reader = await t.joined(name);
  const writer = await t.joined(name);
  const payload = { text: 'é€'.repeat(10_000) };
  await say(writer, payload);
  assert.deepEqual(await reader.reach(1), [payload]);
});

test('bytes arrive as bytes where the protocol has them', async (t) => {
  const name = t.name();
  const reader = await t.joined(name);
  const writer = await t.joined(name, { client: t.realtime({ vsn: '2.0.0' }) });
  const bytes = Uint8Array.from([0, 1, 127, 128, 255]);
  await say(writer, bytes.buffer);
  await say(writer, { last: true });
  if (t.vsn === '1.0.0') assert.deepEqual(await reader.reach(1), [{ last: true }]); // it cannot say bytes
  else assert.deepEqual(new Uint8Array((await reader.reach(2))[0]), bytes);
});

test('one version of the protocol hears the other', async (t) => {
  const name = t.name();
  const [one, two] = await Promise.all(
    ['1.0.0', '2.0.0'].map((vsn) => t.joined(name, { client: t.realtime({ vsn }) })),
  );
  await say(one, { by: 1 });
  assert.deepEqual(await two.reach(1), [{ by: 1 }]);
  await say(two, { by: 2 });
  assert.deepEqual(await one.reach(1), [{ by: 2 }]);
});

test('several channels of one connection keep apart', async (t) => {
  const client = t.realtime();
  const names = [t.name(), t.name()];
  const joined = await Promise.all(names.map((name) => t.joined(name, { client })));
  for (const name of names) await say(await t.joined(name), { to: name });
  for (const [n, name] of names.entries()) assert.deepEqual(await joined[n].reach(1), [{ to: name }]);
});

test('a listener of one event hears no other', async (t) => {
  const name = t.name();
  const reader = await t.joined(name, { events: ['a'] });
  const writer = await t.joined(name);
  await say(writer, { n: 1 }, 'b');
  await say(writer, { n: 2 }, 'a');
  assert.deepEqual(await reader.reach(1), [{ n: 2 }]);
});

test('a channel that is not joined sends by HTTP, in a batch of one', async (t) => {
  const name = t.name();
  const reader = await t.joined(name);
  const channel = t.realtime().channel(name);
  assert.equal(await channel.send({ type: 'broadcast', event: 'e', payload: { by: 'http' } }), 'ok');
  assert.deepEqual(await reader.reach(1), [{ by: 'http' }]);
});

test('a batch by HTTP arrives, and a wrong one says how', async (t) => {
  const name = t.name();
  const reader = await t.joined(name, { events: ['e', 'f'] });
  const messages = ['e', 'f'].map((event) => ({ topic: name, event, payload: { of: event } }));
  assert.equal((await t.post('/realtime/v1/api/broadcast', { messages })).status, 202);
  assert.deepEqual(await reader.reach(2), [{ of: 'e' }, { of: 'f' }]);
  const wrong = await t.post('/realtime/v1/api/broadcast', { messages: [{ topic: name }] });
  assert.equal(wrong.status, 422);
  assert.deepEqual((await wrong.json()).errors.messages, [{ event: ["can't be blank"], payload: ["can't be blank"] }]);
});

test('a single broadcast by HTTP arrives, also as bytes', async (t) => {
  const name = t.name();
  const reader = await t.joined(name, { client: t.realtime({ vsn: '2.0.0' }) });
  const channel = t.realtime().channel(name);
  assert.deepEqual(await channel.httpSend('e', { n: 1 }), { success: true });
  await channel.httpSend('e', Uint8Array.from([1, 255]));
  const [first, second] = await reader.reach(2);
  assert.deepEqual(first, { n: 1 });
  assert.deepEqual(new Uint8Array(second), Uint8Array.from([1, 255]));
});

test(
  'a failing call is told to who sends by HTTP',
  async (t) => {
    for (const status of [429, 503]) {
      await t.control('/faults/call', { does: 'fail', path: '/api/broadcast', status });
      await assert.rejects(t.realtime().channel(t.name()).httpSend('e', {}));
    }
  },
  { alone: true },
);

test(
  'an answer that comes after the caller gave up had its effect',
  async (t) => {
    const name = t.name();
    const reader = await t.joined(name);
    await t.control('/faults/call', { does: 'delay', moment: 'after', path: '/api/broadcast', seconds: 1.0 });
    await assert.rejects(t.realtime().channel(name).httpSend('e', { n: 1 }, { timeout: 200 }));
    assert.deepEqual(await reader.reach(1), [{ n: 1 }]);
    await sleep(1000);
    await until(() => reader.heard.length === 1);
  },
  { alone: true },
);
