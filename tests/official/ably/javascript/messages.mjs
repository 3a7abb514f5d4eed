// Publish, acknowledgement, order, encodings, history over realtime.
import assert from 'node:assert/strict';
import { Ably, RESTRICTED, collector, jwt, refused, state, test, until } from './runner.mjs';

const DATA = {
  text: 'Hello, world \u{1F44B}',
  object: { name: 'test', value: 42, nested: { key: ['x', 1, null, true] } },
  array: [1, 'two', { three: 3 }],
  bytes: Buffer.from([0, 1, 2, 127, 128, 254, 255]),
};

/** The message has the data of the kind that its name says, wholly decoded. */
function intact(message) {
  assert.deepEqual(message.name === 'bytes' ? Buffer.from(message.data) : message.data, DATA[message.name]);
  assert(!message.encoding);
}

async function roundtrip(t, kind) {
  const name = t.name();
  const writer = await t.connected();
  const got = await collector((await t.connected()).channels.get(name));
  await writer.channels.get(name).publish(kind, DATA[kind]);
  await got.reach(1);
  assert.equal(got[0].name, kind);
  intact(got[0]);
}

test('text arrives as it was sent', (t) => roundtrip(t, 'text'));
test('objects and arrays arrive as they were sent', async (t) => {
  await roundtrip(t, 'object');
  await roundtrip(t, 'array');
});
test('bytes arrive as they were sent', (t) => roundtrip(t, 'bytes'));

test('data of every kind crosses from JSON to msgpack and back', async (t) => {
  const name = t.name();
  const clients = [await t.connected({ useBinaryProtocol: false }), await t.connected({ useBinaryProtocol: true })];
  const collected = await Promise.all(clients.map((client) => collector(client.channels.get(name))));
  for (const client of clients) {
    for (const [kind, data] of Object.entries(DATA)) await client.channels.get(name).publish(kind, data);
  }
  for (const got of collected) (await got.reach(8)).forEach(intact);
  for (const useBinaryProtocol of [false, true]) {
    const { items } = await t.rest({ useBinaryProtocol }).channels.get(name).history();
    assert.equal(items.length, 8);
    items.forEach(intact);
  }
});

test('encrypted data arrives readable at who has the key, and not at others', async (t) => {
  const name = t.name();
  const key = await Ably.Realtime.Crypto.generateRandomKey(256);
  const writer = await t.connected();
  const reader = await t.connected();
  const stranger = await t.connected();
  const got = await collector(reader.channels.get(name, { cipher: { key } }));
  const unread = await collector(stranger.channels.get(name));
  await writer.channels.get(name, { cipher: { key } }).publish('event', { secret: true });
  await got.reach(1);
  await unread.reach(1);
  assert.deepEqual(got[0].data, { secret: true });
  assert.match(unread[0].encoding, /cipher\+aes-256-cbc/);
});

test('extras arrive as they were sent', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  const got = await collector(channel);
  const extras = { headers: { foo: 'bar', n: '1' } };
  await channel.publish({ name: 'n', data: 'x', extras });
  await got.reach(1);
  assert.deepEqual(got[0].extras, extras);
});

test('a message says who published it', async (t) => {
  const client = await t.connected({ clientId: 'ann' });
  const reader = await t.connected();
  const name = t.name();
  const got = await collector(reader.channels.get(name));
  await client.channels.get(name).publish('n', 'x');
  await got.reach(1);
  assert.equal(got[0].connectionId, client.connection.id);
  assert.equal(got[0].clientId, 'ann');
  assert(Math.abs(got[0].timestamp - (await t.time())) < 60_000);
  assert.equal(got[0].action, 'message.create');
  assert.equal(got[0].version.serial, got[0].serial);
});

test('another client id than its own is refused', async (t) => {
  const client = await t.connected({ token: jwt({ clientId: 'ann' }) });
  const channel = client.channels.get(t.name());
  await refused(channel.publish({ name: 'n', data: 'x', clientId: 'bob' }), 40012, 400);
});

test('the publish result has the serial that subscribers see', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  const got = await collector(channel);
  const { serials } = await channel.publish([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
  await got.reach(3);
  assert.deepEqual(serials, got.map((message) => message.serial));
  assert.equal(new Set(serials).size, 3);
});

test('publishes are acknowledged in bundles', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await channel.attach();
  const results = await Promise.all(Array.from({ length: 100 }, (_, index) => channel.publish('n', String(index))));
  const serials = results.flatMap((result) => result.serials);
  assert.equal(new Set(serials).size, 100);
  assert.deepEqual([...serials].sort(), serials);
});

test('all subscribers get everything', async (t) => {
  const name = t.name();
  const [one, two] = [await t.connected(), await t.connected()];
  const [atOne, atTwo] = [await collector(one.channels.get(name)), await collector(two.channels.get(name))];
  await one.channels.get(name).publish('n', 'from one');
  await two.channels.get(name).publish('n', 'from two');
  for (const got of [atOne, atTwo]) {
    await got.reach(2);
    assert.deepEqual(got.map((message) => message.data), ['from one', 'from two']);
  }
});

test('a subscriber by name gets only that', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  const [wanted, all] = [await collector(channel, 'wanted'), await collector(channel)];
  await channel.publish('other', 'x');
  await channel.publish('wanted', 'y');
  await all.reach(2);
  assert.deepEqual(wanted.map((message) => message.data), ['y']);
});

test('echo off keeps own messages away, and others\u2019 not', async (t) => {
  const name = t.name();
  const client = await t.connected({ echoMessages: false });
  const other = await t.connected();
  const got = await collector(client.channels.get(name));
  await client.channels.get(name).publish('n', 'own');
  await other.channels.get(name).publish('n', 'other');
  await got.reach(1);
  assert.deepEqual(got.map((message) => message.data), ['other']);
});

test('echo off holds over a resume', async (t) => {
  const name = t.name();
  const client = await t.connected({ echoMessages: false });
  const other = await t.connected();
  const got = await collector(client.channels.get(name));
  await t.fault({ does: 'abort', way: 'out', action: 'ACK', connection: client.connection.id });
  await client.channels.get(name).publish('n', 'own');
  await other.channels.get(name).publish('n', 'other');
  await got.reach(1);
  assert.deepEqual(got.map((message) => message.data), ['other']);
});

test('a thousand messages arrive in order', async (t) => {
  const name = t.name();
  const writer = await t.connected();
  const reader = await t.connected();
  const got = await collector(reader.channels.get(name));
  const channel = writer.channels.get(name);
  await Promise.all(Array.from({ length: 1000 }, (_, index) => channel.publish('n', String(index))));
  await got.reach(1000);
  assert.deepEqual(got.map((message) => Number(message.data)), Array.from({ length: 1000 }, (_, index) => index));
  const serials = got.map((message) => message.serial);
  assert.deepEqual([...serials].sort(), serials);
});

test('publishing needs no attach', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await channel.publish('n', 'x');
  assert.equal(channel.state, 'initialized');
  assert.equal((await t.rest().channels.get(channel.name).history()).items.length, 1);
});

test('the same id twice is one message', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  const got = await collector(channel);
  const id = t.name();
  const first = await channel.publish({ id, name: 'n', data: '1' });
  const second = await channel.publish({ id, name: 'n', data: '2' });
  await channel.publish('n', 'end');
  await got.reach(2);
  assert.deepEqual(got.map((message) => message.data), ['1', 'end']);
  assert.equal(got[0].id, id);
  assert.deepEqual(first.serials, second.serials);
});

test('the same id after its window is another message', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  const got = await collector(channel);
  const id = t.name();
  await channel.publish({ id, name: 'n', data: '1' });
  await t.control('/clock', { advance: 121 });
  await channel.publish({ id, name: 'n', data: '2' });
  await got.reach(2);
}, { alone: true });

test('ids of one publish that are not BASE:INDEX are refused', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await refused(channel.publish([{ id: 'a', data: '1' }, { id: 'b', data: '2' }]), 40031, 400);
  const base = t.name();
  await channel.publish([{ id: `${base}:0`, data: '1' }, { id: `${base}:1`, data: '2' }]);
});

test('too large a message is refused here and by the server', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await refused(channel.publish('n', 'x'.repeat(70_000)), 40009, 400);
  const rest = t.rest({ maxMessageSize: 1_000_000 });
  await refused(rest.channels.get(channel.name).publish('n', 'x'.repeat(70_000)), 40009, 413);
  await channel.publish('n', 'x'.repeat(60_000));
});

test('a number as data is refused', async (t) => {
  const client = await t.connected();
  await refused(client.channels.get(t.name()).publish('n', 42), 40013);
});

test('ephemeral messages are delivered and not remembered', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  const got = await collector(channel);
  await channel.publish({ name: 'n', data: 'gone', extras: { ephemeral: true } });
  await channel.publish('n', 'kept');
  await got.reach(2);
  assert.deepEqual((await channel.history()).items.map((message) => message.data), ['kept']);
});

test('a forced NACK is a NACK', async (t) => {
  const rest = t.rest();
  await refused(rest.channels.get(t.name()).publish({ name: 'n' }, { _forceNack: 'true' }), 40099);
});

test('too high a rate is refused', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await t.control('/settings', { connection_rate: 5 }, 'PATCH');
  try {
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => channel.publish('n', 'x')));
    const failed = results.filter(({ status }) => status === 'rejected');
    assert(failed.length >= 10);
    assert.equal(failed[0].reason.code, 42911);
    assert.equal(failed[0].reason.statusCode, 429);
    await t.control('/clock', { advance: 1 });
    await channel.publish('n', 'x');
  } finally {
    await t.control('/settings', { connection_rate: 0 }, 'PATCH');
  }
}, { alone: true });

test('another client sees history', async (t) => {
  const name = t.name();
  const [one, two] = [await t.connected(), await t.connected()];
  for (const data of 'abc') await one.channels.get(name).publish('n', data);
  const { items } = await two.channels.get(name).history();
  assert.deepEqual(items.map((message) => message.data), [...'cba']);
});

test('history until attach joins live messages without gap or overlap', async (t) => {
  const name = t.name();
  const writer = await t.connected();
  const client = await t.connected();
  for (const data of 'abc') await writer.channels.get(name).publish('n', data);
  const channel = client.channels.get(name);
  const got = await collector(channel);
  for (const data of 'def') await writer.channels.get(name).publish('n', data);
  await got.reach(3);
  const past = [];
  let page = await channel.history({ untilAttach: true, limit: 2 });
  for (;;) {
    past.push(...page.items);
    if (!page.hasNext()) break;
    page = await page.next();
  }
  assert.deepEqual([...past.reverse(), ...got].map((message) => message.data), [...'abcdef']);
});

test('history until an attach of long ago is refused', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name('persisted:'));
  await channel.attach();
  await channel.publish('n', 'x');
  await t.control('/clock', { advance: 121 });
  await refused(channel.history({ untilAttach: true }), 90008, 400);
  assert.equal((await channel.history()).items.length, 1);
}, { alone: true });

test('history that is unavailable for now comes at the next try', async (t) => {
  const name = t.name();
  const rest = t.rest({ useBinaryProtocol: false });
  await rest.channels.get(name).publish('n', 'x');
  await t.callFault({
    does: 'fail',
    method: 'GET',
    path: `/channels/${name}/messages`,
    status: 500,
    body: JSON.stringify({ error: { code: 50000, statusCode: 500, message: 'unavailable' } }),
    headers: { 'Content-Type': 'application/json' },
  });
  await refused(rest.channels.get(name).history(), 50000, 500);
  assert.equal((await rest.channels.get(name).history()).items.length, 1);
});

test('a restricted key reads and writes where it may', async (t) => {
  const client = await t.connected({ key: RESTRICTED });
  const got = await collector(client.channels.get('channel2'));
  const mine = t.name();
  await client.channels.get('channel2').publish(mine, 'x');
  await until(() => got.some((message) => message.name === mine));
  await state(client.connection, 'connected');
});
