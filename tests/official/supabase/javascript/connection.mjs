// Connecting, joining, leaving, and coming back.
import assert from 'node:assert/strict';
import { sleep, test, until } from './runner.mjs';

test('a public channel is joined', async (t) => {
  const joined = await t.joined(t.name());
  assert.equal(joined.channel.state, 'joined');
});

test('a channel is joined through the client of the whole project', async (t) => {
  await t.joined(t.name(), { client: t.supabase() });
});

test('a publishable key opens a connection', async (t) => {
  await t.joined(t.name(), { client: t.realtime({ key: t.project.publishable }) });
});

test('a key that is none opens nothing', async (t) => {
  for (const key of ['x', t.token({ seconds: -9 })]) {
    const client = t.realtime({ key, reconnectAfterMs: () => 60_000 });
    client.connect();
    await sleep(300);
    assert.equal(client.isConnected(), false);
  }
});

test('names beyond ASCII are topics like others', async (t) => {
  for (const name of [t.name('räume/'), t.name('a:b c%2F'), t.name('日本 ')]) {
    const reader = await t.joined(name);
    const writer = await t.joined(name);
    await writer.channel.httpSend('e', { name });
    assert.deepEqual(await reader.reach(1), [{ name }]);
  }
});

test('a channel that is left hears nothing, and may be joined again', async (t) => {
  const name = t.name();
  const client = t.realtime();
  const keeper = await t.joined(t.name(), { client });
  const left = await t.joined(name, { client });
  const writer = await t.joined(name, { broadcast: { ack: true } });
  assert.equal(await client.removeChannel(left.channel), 'ok');
  assert.equal(await writer.channel.send({ type: 'broadcast', event: 'e', payload: { n: 1 } }), 'ok');
  const again = await t.joined(name, { client });
  await writer.channel.send({ type: 'broadcast', event: 'e', payload: { n: 2 } });
  assert.deepEqual(await again.reach(1), [{ n: 2 }]);
  assert.deepEqual(left.heard, []);
  assert.equal(keeper.channel.state, 'joined');
});

test('a cut connection is made anew and its channels are joined again', async (t) => {
  const name = t.name();
  const reader = await t.joined(name);
  await t.deed('abort', { socket: await t.socketOf(name) });
  await until(() => reader.states.at(-1) === 'SUBSCRIBED' && reader.states.length > 1);
  const writer = await t.joined(name);
  await writer.channel.send({ type: 'broadcast', event: 'e', payload: { n: 1 } });
  assert.deepEqual(await reader.reach(1), [{ n: 1 }]);
});

test('a clean close by the server is followed by a new connection', async (t) => {
  for (const code of [1001, 1012]) {
    const name = t.name();
    const reader = await t.joined(name);
    await t.deed('close', { socket: await t.socketOf(name), code });
    await until(() => reader.states.length > 1 && reader.states.at(-1) === 'SUBSCRIBED');
  }
});

test('a connection that is drained is made anew', async (t) => {
  const name = t.name();
  const reader = await t.joined(name);
  await t.deed('drain', { socket: await t.socketOf(name) });
  await until(() => reader.states.length > 1 && reader.states.at(-1) === 'SUBSCRIBED');
});

test('phx_close on a living connection leaves its channel closed', async (t) => {
  const name = t.name();
  const client = t.realtime();
  const other = await t.joined(t.name(), { client });
  const joined = await t.joined(name, { client });
  await t.deed('close-channel', { topic: name });
  await until(() => joined.states.at(-1) === 'CLOSED');
  assert.equal(other.channel.state, 'joined');
  assert(client.isConnected());
});

test('a channel that crashed is joined again', async (t) => {
  const name = t.name();
  const joined = await t.joined(name);
  await t.deed('crash', { topic: name });
  await until(() => joined.states.length > 2 && joined.states.at(-1) === 'SUBSCRIBED');
});

test('a channel that is shut down says why before it is closed', async (t) => {
  const name = t.name();
  const joined = await t.joined(name);
  await t.deed('shut', { topic: name, text: 'Too many messages per second' });
  await until(() => joined.states.at(-1) === 'CLOSED');
  const [told] = joined.told;
  assert.deepEqual(told, {
    extension: 'system',
    status: 'error',
    message: 'Too many messages per second',
    channel: name,
  });
});

test('a join that gets no answer times out and is tried again', async (t) => {
  const name = t.name();
  await t.fault({ does: 'drop', event: 'phx_join', topic: name });
  const tried = await t.tried(name, { timeout: 300 });
  assert.equal(tried.states[0], 'TIMED_OUT');
  await until(() => tried.states.at(-1) === 'SUBSCRIBED');
});

test('heartbeats are answered, and their silence ends the connection', async (t) => {
  const beats = [];
  const client = t.realtime({ heartbeatIntervalMs: 800, heartbeatCallback: (status) => beats.push(status) });
  const name = t.name();
  const joined = await t.joined(name, { client });
  await until(() => beats.includes('ok'));
  const socket = await t.socketOf(name);
  await t.fault({ does: 'drop', event: 'heartbeat', socket, times: 1000 });
  await until(() => beats.includes('timeout'));
  await until(() => joined.states.length > 1 && joined.states.at(-1) === 'SUBSCRIBED');
});

test('a half-open connection is noticed by its heartbeats', async (t) => {
  const client = t.realtime({ heartbeatIntervalMs: 800 });
  const name = t.name();
  const joined = await t.joined(name, { client });
  await t.deed('stall', { socket: await t.socketOf(name) });
  await until(() => joined.states.length > 1 && joined.states.at(-1) === 'SUBSCRIBED');
});

test(
  'a join beyond the channels of a connection is refused',
  async (t) => {
    await t.settings({ channels: 2 });
    try {
      const client = t.realtime();
      for (let n = 0; n < 2; n += 1) await t.joined(t.name(), { client });
      const tried = await t.tried(t.name(), { client });
      assert.match(String(tried.error), /ChannelRateLimitReached: Too many channels/);
    } finally {
      await t.settings({ channels: 100 });
    }
  },
  { alone: true },
);

test(
  'too many joins are refused and close the connection',
  async (t) => {
    const client = t.realtime({ reconnectAfterMs: () => 60_000 });
    await t.joined(t.name(), { client });
    await t.settings({ joins_per_second: 0 });
    try {
      const tried = await t.tried(t.name(), { client });
      assert.match(String(tried.error), /ClientJoinRateLimitReached: Too many joins per second/);
      await until(() => !client.isConnected());
    } finally {
      await t.settings({ joins_per_second: 10_000 });
    }
  },
  { alone: true },
);

test(
  'too many events close every channel that hears one',
  async (t) => {
    const name = t.name();
    const reader = await t.joined(name);
    const writer = await t.joined(name);
    await t.settings({ events_per_second: 0 });
    try {
      await writer.channel.send({ type: 'broadcast', event: 'e', payload: {} });
      await until(() => reader.states.at(-1) === 'CLOSED');
      assert.equal(reader.told[0].message, 'Too many messages per second');
      assert.equal(writer.channel.state, 'joined');
    } finally {
      await t.settings({ events_per_second: 1_000_000 });
    }
  },
  { alone: true },
);
