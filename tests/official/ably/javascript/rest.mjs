// The REST client: publish, history pages, batch, time, stats, retries.
import assert from 'node:assert/strict';
import { RESTRICTED, collector, jwt, refused, test } from './runner.mjs';

async function filled(t, count = 5, prefix = '') {
  const channel = t.rest().channels.get(t.name(prefix));
  for (let index = 0; index < count; index += 1) await channel.publish('n', String(index));
  return channel;
}

async function all(page) {
  const items = [...page.items];
  while (page.hasNext()) {
    page = await page.next();
    items.push(...page.items);
  }
  return items;
}

test('a REST publish reaches subscribers and gives serials', async (t) => {
  const client = await t.connected();
  const name = t.name();
  const got = await collector(client.channels.get(name));
  const { serials } = await t.rest().channels.get(name).publish('n', { a: 1 });
  await got.reach(1);
  assert.deepEqual(got[0].data, { a: 1 });
  assert.equal(got[0].serial, serials[0]);
});

test('a REST publish of several messages gives a serial each', async (t) => {
  const channel = t.rest().channels.get(t.name());
  const { serials } = await channel.publish([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
  assert.equal(new Set(serials).size, 3);
  const { items } = await channel.history({ direction: 'forwards' });
  assert.deepEqual(items.map((item) => item.name), ['a', 'b', 'c']);
  assert.deepEqual(items.map((item) => item.serial), serials);
});

test('a REST publish as another client than the token\u2019s is refused', async (t) => {
  const { token } = await t.rest().auth.requestToken({ clientId: 'ann' });
  const channel = t.rest({ token }).channels.get(t.name());
  await refused(channel.publish({ name: 'n', data: 'x', clientId: 'bob' }), 40012, 400);
});

test('a REST publish with an id is idempotent', async (t) => {
  const channel = t.rest().channels.get(t.name());
  const id = t.name();
  for (const data of ['1', '2', '3']) await channel.publish({ id, name: 'n', data });
  const { items } = await channel.history();
  assert.deepEqual(items.map((item) => [item.id, item.data]), [[id, '1']]);
});

test('a REST publish whose answer was lost is tried again and is there once', async (t) => {
  const name = t.name();
  await t.callFault({ does: 'reset', moment: 'after', method: 'POST', path: `/channels/${name}/messages` });
  const rest = t.rest({ fallbackHosts: ['localhost'] });
  await rest.channels.get(name).publish('n', 'once');
  assert.equal((await rest.channels.get(name).history()).items.length, 1);
});

test('history is newest first', async (t) => {
  const channel = await filled(t);
  const { items } = await channel.history();
  assert.deepEqual(items.map((item) => item.data), ['4', '3', '2', '1', '0']);
  assert(items.every((item) => item.timestamp > 0 && item.id));
});

test('history of an empty channel is empty', async (t) => {
  const page = await t.rest().channels.get(t.name()).history();
  assert.deepEqual(page.items, []);
  assert.equal(page.hasNext(), false);
  assert.equal(page.isLast(), true);
});

test('history forwards is oldest first', async (t) => {
  const channel = await filled(t);
  const { items } = await channel.history({ direction: 'forwards' });
  assert.deepEqual(items.map((item) => item.data), ['0', '1', '2', '3', '4']);
});

test('history pages backwards cover everything once', async (t) => {
  const channel = await filled(t, 7);
  const first = await channel.history({ limit: 3 });
  assert.equal(first.items.length, 3);
  assert.equal(first.hasNext(), true);
  assert.deepEqual((await all(first)).map((item) => item.data), ['6', '5', '4', '3', '2', '1', '0']);
});

test('history pages forwards cover everything once, also while more is written', async (t) => {
  const channel = await filled(t, 5);
  const first = await channel.history({ limit: 2, direction: 'forwards' });
  await channel.publish('n', '5');
  assert.deepEqual((await all(first)).map((item) => item.data), ['0', '1', '2', '3', '4', '5']);
});

test('history pages backwards do not shift while more is written', async (t) => {
  const channel = await filled(t, 5);
  const first = await channel.history({ limit: 2 });
  await channel.publish('n', 'later');
  assert.deepEqual((await all(first)).map((item) => item.data), ['4', '3', '2', '1', '0']);
});

test('the first page is found again, and the last has no next', async (t) => {
  const channel = await filled(t, 5);
  const first = await channel.history({ limit: 3 });
  const second = await first.next();
  assert.equal(second.items.length, 2);
  assert.equal(second.hasNext(), false);
  assert.equal(await second.next(), null);
  const again = await second.first();
  assert.deepEqual(again.items.map((item) => item.id), first.items.map((item) => item.id));
});

test('history between two times', async (t) => {
  const channel = await filled(t, 2);
  await t.control('/clock', { advance: 1 });
  const begin = await t.time();
  await channel.publish('n', 'between');
  const end = await t.time();
  await t.control('/clock', { advance: 1 });
  await channel.publish('n', 'after');
  const { items } = await channel.history({ start: Math.floor(begin), end: Math.ceil(end) });
  assert.deepEqual(items.map((item) => item.data), ['between']);
}, { alone: true });

test('unpersisted history reaches two minutes back, persisted further', async (t) => {
  const short = await filled(t, 1);
  const long = await filled(t, 1, 'persisted:');
  await t.control('/clock', { advance: 121 });
  assert.equal((await short.history()).items.length, 0);
  assert.equal((await long.history()).items.length, 1);
}, { alone: true });

test('history with bad parameters is refused', async (t) => {
  const channel = t.rest().channels.get(t.name());
  await refused(channel.history({ limit: 1001 }), 40003, 400);
  await refused(channel.history({ start: 2, end: 1 }), 40003, 400);
});

test('history needs its capability', async (t) => {
  const name = t.name();
  const rest = t.rest({ token: jwt({ capability: { [name]: ['publish'] } }) });
  await refused(rest.channels.get(name).history(), 40160, 401);
});

test('a REST publish without the capability is refused', async (t) => {
  await refused(t.rest({ key: RESTRICTED }).channels.get(t.name()).publish('n', 'x'), 40160, 401);
});

test('time is the server\u2019s', async (t) => {
  assert(Math.abs((await t.rest().time()) - (await t.time())) < 60_000);
});

test('stats are a page', async (t) => {
  await t.rest().channels.get(t.name()).publish('n', 'x');
  const page = await t.rest().stats();
  assert(page.items.length >= 1);
  assert.equal(page.items[0].unit, 'minute');
  const bounded = await t.rest().stats({ limit: 1, direction: 'forwards', unit: 'hour', end: await t.rest().time() });
  assert(bounded.items.length <= 1);
});

test('batch publish reaches several channels', async (t) => {
  const [one, two] = [t.name(), t.name()];
  const result = await t.rest().batchPublish({ channels: [one, two], messages: [{ name: 'n', data: 'x' }] });
  assert.equal(result.successCount, 2);
  for (const name of [one, two]) {
    assert.deepEqual((await t.rest().channels.get(name).history()).items.map((item) => item.data), ['x']);
  }
});

test('batch publish refuses a channel alone', async (t) => {
  const results = await t.rest({ key: RESTRICTED }).batchPublish([
    { channels: ['channel0', t.name()], messages: [{ data: 'x' }] },
  ]);
  assert.equal(results[0].successCount, 1);
  assert.equal(results[0].results[1].error.code, 40160);
});

test('a request of one\u2019s own is answered in pages', async (t) => {
  const channel = await filled(t, 3);
  const page = await t.rest().request('get', `/channels/${channel.name}/messages`, 3, { limit: 2 });
  assert.equal(page.statusCode, 200);
  assert.equal(page.success, true);
  assert.equal(page.items.length, 2);
  assert.equal((await page.next()).items.length, 1);
});

test('a request that fails tells its code', async (t) => {
  const page = await t.rest().request('get', '/nothing/here', 3);
  assert.equal(page.statusCode, 404);
  assert.equal(page.success, false);
  assert.equal(page.errorCode, 40400);
  assert(page.errorMessage);
});

const unavailable = (path, more = {}) => ({ does: 'fail', path, status: 503, body: '{}', headers: { 'Content-Type': 'application/json' }, ...more });

test('a 503 goes to a fallback host', async (t) => {
  const name = t.name();
  await t.callFault(unavailable(`/channels/${name}/`));
  await t.rest({ fallbackHosts: ['localhost'] }).channels.get(name).publish('n', 'x');
});

test('a 503 without a fallback host is an error', async (t) => {
  const name = t.name();
  await t.callFault(
    unavailable(`/channels/${name}/`, { body: JSON.stringify({ error: { code: 50300, statusCode: 503, message: 'down' } }) }),
  );
  await refused(t.rest({ useBinaryProtocol: false }).channels.get(name).history(), 50300, 503);
});

test('a 5xx without an error in its body is an error with its status', async (t) => {
  const name = t.name();
  await t.callFault(unavailable(`/channels/${name}/`, { body: 'Service down', headers: { 'Content-Type': 'text/plain' } }));
  const error = await t.rest().channels.get(name).history().then(() => null, (caught) => caught);
  assert.equal(error.statusCode, 503);
});

test('a 4xx goes to no fallback host', async (t) => {
  const name = t.name();
  await t.callFault(
    unavailable(`/channels/${name}/`, { status: 400, body: JSON.stringify({ error: { code: 40000, statusCode: 400, message: 'bad' } }) }),
  );
  await refused(t.rest({ fallbackHosts: ['localhost'], useBinaryProtocol: false }).channels.get(name).history(), 40000, 400);
});

test('a cut call goes to a fallback host', async (t) => {
  const name = t.name();
  await t.callFault({ does: 'reset', path: `/channels/${name}/` });
  assert.equal((await t.rest({ fallbackHosts: ['localhost'] }).channels.get(name).history()).items.length, 0);
});

test('a call that takes too long goes to a fallback host', async (t) => {
  const name = t.name();
  await t.callFault({ does: 'delay', path: `/channels/${name}/`, seconds: 8 });
  const rest = t.rest({ fallbackHosts: ['localhost'], httpRequestTimeout: 2000 });
  assert.equal((await rest.channels.get(name).history()).items.length, 0);
});

test('an unreachable host is an error', async (t) => {
  const rest = t.rest({ port: 1 });
  await assert.rejects(rest.time());
});

test('a message for a connection is published as it', async (t) => {
  const client = await t.connected({ clientId: 'ann' });
  const name = t.name();
  const got = await collector(client.channels.get(name));
  await t.rest().channels.get(name).publish({ name: 'n', data: 'x', connectionKey: client.connection.key });
  await got.reach(1);
  assert.equal(got[0].connectionId, client.connection.id);
  assert.equal(got[0].clientId, 'ann');
});
