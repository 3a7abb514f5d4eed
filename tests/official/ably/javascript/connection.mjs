// Connect states, resume, faults of the transport.
import assert from 'node:assert/strict';
import { KEY, collector, event, jwt, refused, sleep, state, test, until } from './runner.mjs';

test('connects and passes through its states', async (t) => {
  const seen = [];
  const client = t.realtime({ autoConnect: false });
  client.connection.on((change) => seen.push(change.current));
  assert.equal(client.connection.state, 'initialized');
  client.connect();
  await state(client.connection, 'connected');
  assert.deepEqual(seen, ['connecting', 'connected']);
  assert(client.connection.id);
  assert(client.connection.key);
  assert.equal(client.connection.errorReason, null);
});

test('closes gracefully and cannot be resumed', async (t) => {
  const client = await t.connected();
  const before = client.connection.id;
  client.close();
  await state(client.connection, 'closed');
  assert(!client.connection.key);
  client.connect();
  await state(client.connection, 'connected');
  assert.notEqual(client.connection.id, before);
  assert.equal(client.connection.errorReason, null);
});

test('connects, disconnects and connects again', async (t) => {
  const client = await t.connected();
  for (let round = 0; round < 2; round += 1) {
    client.close();
    await state(client.connection, 'closed');
    client.connect();
    await state(client.connection, 'connected');
  }
});

test('an unknown application fails the connection', async (t) => {
  const client = t.realtime({ key: 'nonexistent.keyname:keysecret' });
  await event(client.connection, 'failed');
  assert.equal(client.connection.errorReason.code, 40101);
  assert.equal(client.connection.errorReason.statusCode, 401);
});

test('a wrong secret fails the connection', async (t) => {
  const client = t.realtime({ key: 'app.key:wrong' });
  await event(client.connection, 'failed');
  assert.equal(client.connection.errorReason.code, 40101);
});

test('an unknown key fails the connection', async (t) => {
  const client = t.realtime({ key: 'app.revoked:secret' });
  await event(client.connection, 'failed');
  assert(!(client.connection.errorReason.code >= 40140 && client.connection.errorReason.code < 40150));
});

test('a ping is answered', async (t) => {
  const client = await t.connected();
  assert((await client.connection.ping()) >= 0);
});

test('a cut transport is resumed with the same connection id', async (t) => {
  const client = await t.connected();
  const { id, key } = client.connection;
  const seen = [];
  client.connection.on((change) => seen.push(change.current));
  const disconnected = event(client.connection, 'disconnected');
  await t.cut(client);
  await disconnected;
  await state(client.connection, 'connected');
  assert.equal(client.connection.id, id);
  assert.notEqual(client.connection.key, key);
  assert.equal(client.connection.errorReason, null);
  assert.deepEqual(seen, ['disconnected', 'connecting', 'connected']);
});

test('a socket closed with a close frame is resumed', async (t) => {
  const client = await t.connected();
  const { id } = client.connection;
  const { sockets } = await t.control('', undefined, 'GET');
  const [name] = Object.entries(sockets).find(([, each]) => each.connection === id);
  const disconnected = event(client.connection, 'disconnected');
  await t.control(`/sockets/${name}/close`, { code: 1011 });
  await disconnected;
  await state(client.connection, 'connected');
  assert.equal(client.connection.id, id);
});

test('messages sent while the transport was gone are not lost', async (t) => {
  const name = t.name();
  const reader = await t.connected();
  const writer = await t.connected();
  const got = await collector(reader.channels.get(name));
  await writer.channels.get(name).publish('n', '0');
  await got.reach(1);
  await t.fault({ does: 'abort', action: 'CONNECT', connection: reader.connection.id, times: 2 });
  const disconnected = event(reader.connection, 'disconnected');
  await t.cut(reader);
  await disconnected;
  for (let index = 1; index < 10; index += 1) await writer.channels.get(name).publish('n', String(index));
  await got.reach(10);
  assert.deepEqual(got.map((message) => message.data), [...'0123456789']);
});

test('a channel attached through a resume says so', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await channel.attach();
  const changes = [];
  channel.on((change) => changes.push(change));
  const disconnected = event(client.connection, 'disconnected');
  await t.cut(client);
  await disconnected;
  await state(client.connection, 'connected');
  await until(() => changes.some((change) => change.current === 'attached'));
  assert.equal(changes.find((change) => change.current === 'attached').resumed, true);
});

test('a refused resume gives a new connection with its error', async (t) => {
  const client = await t.connected();
  const { id } = client.connection;
  await t.fault({ does: 'refuse', action: 'CONNECT', connection: id, error: { code: 80018 } });
  const connected = event(client.connection, 'connected');
  await t.cut(client);
  const change = await connected;
  assert.notEqual(client.connection.id, id);
  assert.equal(change.reason.code, 80018);
  assert.equal(client.connection.errorReason.code, 80018);
  await client.channels.get(t.name()).publish('n', 'goes on');
});

test('a moved node gives a new connection and channels keep continuity', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const writer = await t.connected();
  const got = await collector(client.channels.get(name));
  const { id } = client.connection;
  const channel = client.channels.get(name);
  await writer.channels.get(name).publish('n', 'before');
  await got.reach(1);
  await t.fault({ does: 'abort', action: 'CONNECT', connection: id });
  const disconnected = event(client.connection, 'disconnected');
  const attached = new Promise((resolve) => channel.on('attached', resolve));
  await t.deed('move', { connection: id });
  await disconnected;
  await writer.channels.get(name).publish('n', 'meanwhile');
  await state(client.connection, 'connected');
  assert.notEqual(client.connection.id, id);
  assert.equal((await attached).resumed, true);
  await got.reach(2);
  assert.deepEqual(got.map((message) => message.data), ['before', 'meanwhile']);
});

test('lost continuity is told, not hidden', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await channel.attach();
  await t.deed('lose-continuity', { channel: channel.name });
  const attached = new Promise((resolve) => channel.on('attached', resolve));
  await t.cut(client);
  const change = await attached;
  assert.equal(change.resumed, false);
  assert.equal(change.reason.code, 90003);
});

test('DISCONNECTED without an error is followed by a resume', async (t) => {
  const client = await t.connected();
  const { id } = client.connection;
  const disconnected = event(client.connection, 'disconnected');
  await t.deed('disconnect', { connection: id });
  await disconnected;
  await state(client.connection, 'connected');
  assert.equal(client.connection.id, id);
});

test('DISCONNECTED with an error is followed by a resume', async (t) => {
  const client = await t.connected();
  const { id } = client.connection;
  const disconnected = event(client.connection, 'disconnected');
  await t.deed('disconnect', { connection: id, error: { code: 80003, status: 500 } });
  assert.equal((await disconnected).reason.code, 80003);
  await state(client.connection, 'connected');
  assert.equal(client.connection.id, id);
  assert.equal(client.connection.errorReason, null);
});

test('ERROR on an established connection fails it and its channels', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  const other = client.channels.get(t.name());
  await channel.attach();
  await other.attach();
  const failed = event(client.connection, 'failed');
  await t.deed('fail', { connection: client.connection.id, error: { code: 50000 } });
  await failed;
  assert.equal(client.connection.errorReason.code, 50000);
  for (const each of [channel, other]) {
    assert.equal(each.state, 'failed');
    assert.equal(each.errorReason.code, 50000);
  }
});

test('a fatal error instead of CONNECTED fails the connection', async (t) => {
  const tag = t.name();
  await t.fault({ does: 'error', action: 'CONNECT', query: { tag }, error: { code: 40005, status: 400 } });
  const client = t.realtime({ transportParams: { tag } });
  await event(client.connection, 'failed');
  assert.equal(client.connection.errorReason.code, 40005);
});

test('a server error instead of CONNECTED fails the connection', async (t) => {
  const tag = t.name();
  await t.fault({ does: 'error', action: 'CONNECT', query: { tag }, error: { code: 50000, status: 500 } });
  const client = t.realtime({ transportParams: { tag } });
  await event(client.connection, 'failed');
  assert.equal(client.connection.errorReason.code, 50000);
  assert.equal(client.connection.errorReason.statusCode, 500);
});

test('a refused transport is tried again', async (t) => {
  const tag = t.name();
  await t.fault({ does: 'abort', action: 'CONNECT', query: { tag }, times: 2 });
  const client = t.realtime({ transportParams: { tag }, autoConnect: false });
  const disconnected = event(client.connection, 'disconnected');
  client.connect();
  await disconnected;
  await state(client.connection, 'connected');
});

test('a connection that gets no CONNECTED times out and is tried again', async (t) => {
  const tag = t.name();
  await t.fault({ does: 'drop', action: 'CONNECT', query: { tag } });
  const client = t.realtime({ transportParams: { tag }, realtimeRequestTimeout: 1000, webSocketConnectTimeout: 1000 });
  const change = await event(client.connection, 'disconnected');
  assert(change.reason);
  await state(client.connection, 'connected');
});

test('silence beyond the idle interval ends the transport, and it resumes', async (t) => {
  // One that does not show its state to the client: CONNECTED says 100 ms, then nothing comes any more.
  const tag = t.name();
  const client = t.realtime({ transportParams: { tag }, realtimeRequestTimeout: 1000, autoConnect: false });
  await t.fault({
    does: 'replace',
    way: 'out',
    action: 'CONNECTED',
    query: { tag },
    frame: {
      action: 4,
      connectionId: 'replaced',
      connectionDetails: { connectionKey: 'replaced!key', maxIdleInterval: 100, connectionStateTtl: 120000 },
    },
  });
  const [ids, reasons] = [[], []];
  client.connection.on('connected', () => ids.push(client.connection.id));
  client.connection.on('disconnected', (change) => reasons.push(change.reason.code));
  client.connect();
  await until(() => ids.length === 2);
  assert.equal(ids[0], 'replaced');
  assert.notEqual(ids[1], 'replaced');
  assert.equal(reasons[0], 80003);
  assert.equal(client.connection.errorReason.code, 80023);
});

test('a stalled transport is given up and resumed elsewhere', async (t) => {
  const client = await t.connected({ realtimeRequestTimeout: 1000 });
  const { id } = client.connection;
  await t.deed('stall', { connection: id });
  await assert.rejects(client.connection.ping());
  const disconnected = event(client.connection, 'disconnected');
  await t.cut(client);
  await disconnected;
  await state(client.connection, 'connected');
  assert.equal(client.connection.id, id);
});

test('an unacknowledged publish is sent again after a resume and is there once', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const reader = await t.connected();
  const got = await collector(reader.channels.get(name));
  const { id } = client.connection;
  await t.fault({ does: 'abort', way: 'out', action: 'ACK', connection: id });
  const { serials } = await client.channels.get(name).publish('n', 'once');
  assert.equal(client.connection.id, id);
  await reader.channels.get(name).publish('n', 'end');
  await got.reach(2);
  assert.deepEqual(got.map((message) => message.data), ['once', 'end']);
  assert.equal(got[0].serial, serials[0]);
});

test('without ids a publish whose ACK was lost is there twice after a failed resume', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const reader = await t.connected();
  const got = await collector(reader.channels.get(name));
  const { id } = client.connection;
  await t.fault({ does: 'refuse', action: 'CONNECT', connection: id, error: { code: 80018 } });
  await t.fault({ does: 'abort', way: 'out', action: 'ACK', connection: id });
  await client.channels.get(name).publish('n', 'twice');
  await got.reach(2);
  assert.notEqual(got[0].id, got[1].id);
});

test('with an id a publish whose ACK was lost is there once after a failed resume', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const reader = await t.connected();
  const got = await collector(reader.channels.get(name));
  const { id } = client.connection;
  await t.fault({ does: 'refuse', action: 'CONNECT', connection: id, error: { code: 80018 } });
  await t.fault({ does: 'abort', way: 'out', action: 'ACK', connection: id });
  await client.channels.get(name).publish({ id: t.name(), name: 'n', data: 'once' });
  await reader.channels.get(name).publish('n', 'end');
  await got.reach(2);
  assert.deepEqual(got.map((message) => message.data), ['once', 'end']);
});

test('a duplicated frame is there once', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const got = await collector(client.channels.get(name));
  await t.fault({ does: 'duplicate', action: 'MESSAGE', channel: name });
  await client.channels.get(name).publish('n', 'once');
  await client.channels.get(name).publish('n', 'end');
  await got.reach(2);
  assert.deepEqual(got.map((message) => message.data), ['once', 'end']);
});

test('a NACK fails the publish with its error', async (t) => {
  const name = t.name();
  const client = await t.connected();
  await t.fault({ does: 'nack', action: 'MESSAGE', channel: name, error: { code: 42911 } });
  await refused(client.channels.get(name).publish('n', 'x'), 42911, 429);
  await client.channels.get(name).publish('n', 'x');
});

test('a delayed frame holds what is behind it and keeps order', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const got = await collector(client.channels.get(name));
  await t.fault({ does: 'delay', way: 'out', action: 'MESSAGE', channel: name, seconds: 0.2 });
  const begun = Date.now();
  await Promise.all([...'abc'].map((data) => client.channels.get(name).publish('n', data)));
  await got.reach(3);
  assert(Date.now() - begun >= 190);
  assert.deepEqual(got.map((message) => message.data), [...'abc']);
});

test('a connection is recovered by another client', async (t) => {
  const name = t.name();
  const first = await t.connected();
  const writer = await t.connected();
  await first.channels.get(name).attach();
  await writer.channels.get(name).publish('n', 'a');
  const recover = first.connection.createRecoveryKey();
  const { id } = first.connection;
  await t.fault({ does: 'abort', action: 'CONNECT', connection: id, times: 1000 });
  const disconnected = event(first.connection, 'disconnected');
  await t.cut(first);
  await disconnected;
  await writer.channels.get(name).publish('n', 'b');
  first.close();
  await t.control('/ably/faults', {}, 'DELETE');
  const second = await t.connected({ recover });
  assert.equal(second.connection.id, id);
  const got = await collector(second.channels.get(name));
  await got.reach(1);
  assert.equal(got.at(-1).data, 'b');
}, { alone: true });

test('a failed recovery gives a fresh connection with its error', async (t) => {
  const recover = JSON.stringify({ connectionKey: 'gone!key', msgSerial: 5, channelSerials: {} });
  const client = t.realtime({ recover });
  const change = await state(client.connection, 'connected');
  assert.notEqual(client.connection.id, 'gone');
  assert.equal(change.reason.code, 80023);
  await client.channels.get(t.name()).publish('n', 'first');
});

test('after two minutes the state is gone', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const channel = client.channels.get(name);
  await channel.attach();
  await channel.publish('n', 'old');
  const { id } = client.connection;
  await t.fault({ does: 'abort', action: 'CONNECT', connection: id, times: 5 });
  const disconnected = event(client.connection, 'disconnected');
  await t.cut(client);
  await disconnected;
  await t.control('/clock', { advance: 121 });
  const attached = new Promise((resolve) => channel.on('attached', resolve));
  const change = await state(client.connection, 'connected');
  assert.notEqual(client.connection.id, id);
  assert.equal(change.reason.code, 80023);
  assert.equal((await attached).resumed, false);
}, { alone: true });

test('within two minutes the state is there', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await channel.attach();
  const { id } = client.connection;
  await t.fault({ does: 'abort', action: 'CONNECT', connection: id, times: 5 });
  const disconnected = event(client.connection, 'disconnected');
  await t.cut(client);
  await disconnected;
  await t.control('/clock', { advance: 100 });
  const attached = new Promise((resolve) => channel.on('attached', resolve));
  await state(client.connection, 'connected');
  assert.equal(client.connection.id, id);
  assert.equal((await attached).resumed, true);
}, { alone: true });

test('a connection lost for longer than its state lives is suspended, then made anew', async (t) => {
  const tag = t.name();
  const client = t.realtime({ transportParams: { tag }, autoConnect: false });
  const details = { connectionKey: 'short!key', maxIdleInterval: 15000, connectionStateTtl: 200 };
  const frame = { action: 4, connectionId: 'short', connectionDetails: details };
  await t.fault({ does: 'replace', way: 'out', action: 'CONNECTED', query: { tag }, frame });
  const ids = [];
  client.connection.on('connected', () => ids.push(client.connection.id));
  const suspended = event(client.connection, 'suspended');
  client.connect();
  await until(() => ids.length === 1);
  assert.equal(ids[0], 'short');
  await t.fault({ does: 'abort', action: 'CONNECT', query: { tag }, times: 20 });
  const { sockets } = await t.control('', undefined, 'GET');
  const mine = Object.entries(sockets).find(([, socket]) => socket.query?.tag === tag);
  await t.control(`/sockets/${mine[0]}/abort`);
  await suspended;
  await until(() => ids.length === 2);
  assert.notEqual(ids[1], 'short');
});

test('queued publishes go out once the connection is back', async (t) => {
  const name = t.name();
  const client = await t.connected();
  const got = await collector(client.channels.get(name));
  const disconnected = event(client.connection, 'disconnected');
  await t.cut(client);
  await disconnected;
  await Promise.all([...'abc'].map((data) => client.channels.get(name).publish('n', data)));
  await got.reach(3);
  assert.deepEqual(got.map((message) => message.data), [...'abc']);
});

test('two clients of one key have connections of their own', async (t) => {
  const [one, two] = [await t.connected({ key: KEY }), await t.connected({ token: jwt() })];
  assert.notEqual(one.connection.id, two.connection.id);
  await sleep(0);
});
