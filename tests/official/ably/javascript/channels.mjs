// Attach, detach, modes, rewind, channel faults, occupancy.
import assert from 'node:assert/strict';
import { RESTRICTED, collector, event, refused, state, test, until } from './runner.mjs';

test('a channel attaches', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  const change = await channel.attach();
  assert.equal(channel.state, 'attached');
  assert.equal(change.current, 'attached');
  assert.equal(change.resumed, false);
  assert(channel.properties.attachSerial);
});

test('a channel detaches and attaches again', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await channel.attach();
  await channel.detach();
  assert.equal(channel.state, 'detached');
  const got = await collector(channel);
  assert.equal(channel.state, 'attached');
  await channel.publish('n', 'x');
  await got.reach(1);
});

test('a detached channel gets nothing', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const writer = await t.connected();
  const channel = client.channels.get(name);
  const got = await collector(channel);
  await writer.channels.get(name).publish('n', 'a');
  await got.reach(1);
  await channel.detach();
  await writer.channels.get(name).publish('n', 'b');
  await channel.attach();
  await writer.channels.get(name).publish('n', 'c');
  await got.reach(2);
  assert.deepEqual(got.map((message) => message.data), ['a', 'c']);
});

test('bad channel names fail the channel', async (t) => {
  const client = await t.connected();
  for (const name of [':starts-with-colon', '[unknown]name', 'two\nlines', ' ']) {
    const channel = client.channels.get(name);
    await refused(channel.attach(), 40010, 400);
    assert.equal(channel.state, 'failed');
  }
  assert.equal(client.connection.state, 'connected');
});

test('names beyond ASCII and with slashes are channels of their own', async (t) => {
  const client = await t.connected();
  for (const name of [t.name('räume/'), t.name('a:b/c%2Fd?e#'), t.name('日本 x')]) {
    const channel = client.channels.get(name);
    const got = await collector(channel);
    await channel.publish('n', name);
    await got.reach(1);
    assert.equal((await t.rest().channels.get(name).history()).items[0].data, name);
  }
});

test('an attach that gets no answer suspends the channel', async (t) => {
  const name = t.name();
  const client = await t.connected({ realtimeRequestTimeout: 800 });
  await t.fault({ does: 'drop', action: 'ATTACH', channel: name });
  const channel = client.channels.get(name);
  await assert.rejects(channel.attach());
  assert.equal(channel.state, 'suspended');
  assert.equal(client.connection.state, 'connected');
});

test('a suspended channel attaches by itself', async (t) => {
  const name = t.name();
  const client = await t.connected({ realtimeRequestTimeout: 800, channelRetryTimeout: 100 });
  await t.fault({ does: 'drop', action: 'ATTACH', channel: name });
  const channel = client.channels.get(name);
  await assert.rejects(channel.attach());
  await state(channel, 'attached');
});

test('an ERROR instead of ATTACHED fails the channel', async (t) => {
  const name = t.name();
  const client = await t.connected();
  await t.fault({ does: 'error', action: 'ATTACH', channel: name, error: { code: 40160, status: 403 } });
  const channel = client.channels.get(name);
  await refused(channel.attach(), 40160, 403);
  assert.equal(channel.state, 'failed');
  assert.equal(client.connection.state, 'connected');
});

test('a detach that gets no answer leaves the channel attached', async (t) => {
  const name = t.name();
  const client = await t.connected({ realtimeRequestTimeout: 800 });
  const channel = client.channels.get(name);
  await channel.attach();
  await t.fault({ does: 'drop', action: 'DETACH', channel: name });
  await assert.rejects(channel.detach());
  assert.equal(channel.state, 'attached');
});

test('DETACHED unasked is followed by an attach', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  const got = await collector(channel);
  const attaching = event(channel, 'attaching');
  await t.deed('detach', { channel: channel.name, error: { code: 90198, status: 500 } });
  assert.equal((await attaching).reason.code, 90198);
  await state(channel, 'attached');
  await channel.publish('n', 'x');
  await got.reach(1);
});

test('ERROR of a channel fails it alone', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  const other = client.channels.get(t.name());
  await channel.attach();
  await other.attach();
  const failed = event(channel, 'failed');
  await t.deed('fail-channel', { channel: channel.name, error: { code: 40160, status: 403 } });
  assert.equal((await failed).reason.code, 40160);
  assert.equal(channel.errorReason.statusCode, 403);
  assert.equal(other.state, 'attached');
  assert.equal(client.connection.state, 'connected');
});

test('ATTACHED without RESUMED on an attached channel is an update', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await channel.attach();
  const updated = event(channel, 'update');
  await t.deed('attached', { channel: channel.name, error: { code: 90003, status: 400 } });
  const change = await updated;
  assert.equal(change.resumed, false);
  assert.equal(change.reason.code, 90003);
  assert.equal(channel.state, 'attached');
});

test('all channels attach again after a reconnect', async (t) => {
  const client = await t.connected();
  const channels = [t.name(), t.name(), t.name()].map((name) => client.channels.get(name));
  await Promise.all(channels.map((channel) => channel.attach()));
  const again = Promise.all(channels.map((channel) => event(channel, 'attached')));
  await t.cut(client);
  for (const change of await again) assert.equal(change.resumed, true);
  const got = await collector(channels[2]);
  await channels[2].publish('n', 'x');
  await got.reach(1);
});

test('modes are asked for and granted', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name(), { modes: ['PUBLISH', 'PRESENCE'] });
  await channel.attach();
  assert.deepEqual([...channel.modes].sort(), ['presence', 'publish']);
  await channel.publish('n', 'x');
});

test('a channel without the mode subscribe gets nothing', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const deaf = client.channels.get(name, { modes: ['PUBLISH'] });
  const got = [];
  deaf.subscribe((message) => got.push(message)).catch(() => {});
  await deaf.attach();
  const reader = await t.connected();
  const heard = await collector(reader.channels.get(name));
  await deaf.publish('n', 'x');
  await heard.reach(1);
  await client.connection.ping();
  assert.equal(got.length, 0);
});

test('a channel without the mode publish takes no publish', async (t) => {
  const client = await t.connected({ clientId: 'ann' });
  const channel = client.channels.get(t.name(), { modes: ['SUBSCRIBE'] });
  await channel.attach();
  await refused(channel.publish('n', 'x'), 40165, 401);
});

test('granted modes are those that the capability allows', async (t) => {
  const client = await t.connected({ key: RESTRICTED });
  const channel = client.channels.get('channel4');
  await channel.attach();
  assert.deepEqual([...channel.modes].sort(), ['presence', 'presence_subscribe', 'publish', 'subscribe']);
  const listener = client.channels.get('channel3');
  await listener.attach();
  assert.deepEqual([...listener.modes].sort(), ['presence_subscribe', 'subscribe']);
});

test('rewind gives the last messages at the first attach', async (t) => {
  const name = t.name();
  const writer = await t.connected();
  for (const data of 'abcde') await writer.channels.get(name).publish('n', data);
  const client = await t.connected();
  const got = await collector(client.channels.get(name, { params: { rewind: '3' } }));
  await got.reach(3);
  await writer.channels.get(name).publish('n', 'f');
  await got.reach(4);
  assert.deepEqual(got.map((message) => message.data), [...'cdef']);
});

test('rewind by time', async (t) => {
  const name = t.name();
  const writer = await t.connected();
  for (const data of 'abc') await writer.channels.get(name).publish('n', data);
  const client = await t.connected();
  const got = await collector(client.channels.get(name, { params: { rewind: '30s' } }));
  await got.reach(3);
  assert.deepEqual(got.map((message) => message.data), [...'abc']);
});

test('rewind in the channel name', async (t) => {
  const name = t.name();
  const writer = await t.connected();
  for (const data of 'abc') await writer.channels.get(name).publish('n', data);
  const client = await t.connected();
  const got = await collector(client.channels.get(`[?rewind=1]${name}`));
  await got.reach(1);
  assert.equal(got[0].data, 'c');
});

test('an unreadable rewind fails the attach', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name(), { params: { rewind: 'soon' } });
  await refused(channel.attach(), 40003, 400);
});

test('rewound messages and history until attach join without gap or overlap', async (t) => {
  const name = t.name();
  const writer = await t.connected();
  for (const data of 'abcde') await writer.channels.get(name).publish('n', data);
  const client = await t.connected();
  const channel = client.channels.get(name, { params: { rewind: '2' } });
  const got = await collector(channel);
  await got.reach(2);
  const { items } = await channel.history({ untilAttach: true });
  assert.deepEqual([...items.reverse(), ...got].map((message) => message.data), [...'abcde']);
});

test('an event of a channel option change keeps continuity', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await channel.attach();
  await channel.setOptions({ modes: ['SUBSCRIBE', 'PUBLISH'] });
  assert.deepEqual([...channel.modes].sort(), ['publish', 'subscribe']);
  const got = await collector(channel);
  await channel.publish('n', 'x');
  await got.reach(1);
});

test('a channel that asks for deltas gets whole messages', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name(), { params: { delta: 'vcdiff' } });
  const got = await collector(channel);
  for (const data of ['x'.repeat(1000), `${'x'.repeat(1000)}y`, 'other']) await channel.publish('n', data);
  await got.reach(3);
  assert.deepEqual(got.map((message) => message.data.length), [1000, 1001, 5]);
});

test('occupancy is told to those who ask', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const got = await collector(client.channels.get(name, { params: { occupancy: 'metrics' } }));
  await until(() => got.some((message) => message.name === '[meta]occupancy' && message.data.metrics.subscribers === 1));
  const other = await t.connected({ clientId: 'ann' });
  await other.channels.get(name).presence.enter();
  await until(() => got.some(({ data }) => data.metrics.subscribers === 2 && data.metrics.presenceMembers === 1));
});

test('status tells occupancy', async (t) => {
  const client = await t.connected({ clientId: 'ann' });
  const channel = client.channels.get(t.name());
  await channel.attach();
  await channel.presence.enter();
  const { channelId, status } = await t.rest().channels.get(channel.name).status();
  assert.equal(channelId, channel.name);
  assert.equal(status.isActive, true);
  assert.equal(status.occupancy.metrics.presenceMembers, 1);
  assert.equal(status.occupancy.metrics.connections, 1);
});

test('a channel beyond the limit of a connection is refused', async (t) => {
  const client = await t.connected();
  await t.control('/settings', { connection_channels: 2 }, 'PATCH');
  try {
    await client.channels.get(t.name()).attach();
    await client.channels.get(t.name()).attach();
    await refused(client.channels.get(t.name()).attach(), 90010, 400);
  } finally {
    await t.control('/settings', { connection_channels: 200 }, 'PATCH');
  }
}, { alone: true });
