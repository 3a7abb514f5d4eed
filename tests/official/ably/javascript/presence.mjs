// Members, sync, several clients, leaves.
import assert from 'node:assert/strict';
import { Ably, LISTENER, RESTRICTED, collector, event, jwt, refused, sleep, state, test, until } from './runner.mjs';

async function watcher(channel) {
  const seen = [];
  await channel.presence.subscribe((item) => seen.push(item));
  seen.find_ = (action, clientId) => until(() => seen.find((item) => item.action === action && item.clientId === clientId), `${action} of ${clientId}`);
  return seen;
}

test('a member enters, updates and leaves before another\u2019s eyes', async (t) => {
  const name = t.name();
  const [ann, bob] = [await t.connected({ clientId: 'ann' }), await t.connected({ clientId: 'bob' })];
  const seen = await watcher(bob.channels.get(name));
  const channel = ann.channels.get(name);
  await channel.presence.enter('hello');
  await channel.presence.update('busy');
  await channel.presence.leave('bye');
  await seen.find_('leave', 'ann');
  assert.deepEqual(seen.map(({ action, data }) => [action, data]), [['enter', 'hello'], ['update', 'busy'], ['leave', 'bye']]);
  assert(seen.every((item) => item.connectionId === ann.connection.id));
});

test('one who comes later is told who is present', async (t) => {
  const name = t.name();
  const ann = await t.connected({ clientId: 'ann' });
  await ann.channels.get(name).presence.enter({ mood: 'good' });
  const bob = await t.connected({ clientId: 'bob' });
  const members = await bob.channels.get(name).presence.get();
  assert.equal(members.length, 1);
  assert.equal(members[0].clientId, 'ann');
  assert.equal(members[0].action, 'present');
  assert.deepEqual(members[0].data, { mood: 'good' });
});

test('many members come in several pages of a sync', async (t) => {
  const name = t.name();
  const crowd = await t.connected();
  const channel = crowd.channels.get(name);
  await channel.attach();
  const ids = Array.from({ length: 150 }, (_, index) => `user-${index}`);
  await Promise.all(ids.map((id) => channel.presence.enterClient(id, id)));
  const client = await t.connected();
  const members = await client.channels.get(name).presence.get();
  assert.deepEqual(members.map((member) => member.clientId).sort(), [...ids].sort());
  assert(members.every((member) => member.data === member.clientId));
});

test('fifty enters are seen by another', async (t) => {
  const name = t.name();
  const [one, two] = [await t.connected(), await t.connected()];
  const seen = await watcher(two.channels.get(name));
  const channel = one.channels.get(name);
  await Promise.all(Array.from({ length: 50 }, (_, index) => channel.presence.enterClient(`user-${index}`)));
  await until(() => seen.length >= 50);
  assert.equal(new Set(seen.map((item) => item.clientId)).size, 50);
});

test('several clients are members of their own', async (t) => {
  const name = t.name();
  const clients = await Promise.all(['ann', 'bob', 'eve'].map((clientId) => t.connected({ clientId })));
  for (const client of clients) await client.channels.get(name).presence.enter();
  const present = async () => (await clients[0].channels.get(name).presence.get()).map((member) => member.clientId).sort();
  await until(async () => (await present()).length === 3);
  assert.deepEqual(await present(), ['ann', 'bob', 'eve']);
});

test('one user on two connections is two members', async (t) => {
  const name = t.name();
  const clients = [await t.connected({ clientId: 'ann' }), await t.connected({ clientId: 'ann' })];
  for (const client of clients) await client.channels.get(name).presence.enter();
  const members = await t.rest().channels.get(name).presence.get();
  assert.equal(members.items.length, 2);
  assert.equal(new Set(members.items.map((member) => member.connectionId)).size, 2);
});

test('a closed connection leaves at once', async (t) => {
  const name = t.name();
  const [ann, bob] = [await t.connected({ clientId: 'ann' }), await t.connected({ clientId: 'bob' })];
  const seen = await watcher(bob.channels.get(name));
  await ann.channels.get(name).presence.enter('data');
  await seen.find_('enter', 'ann');
  ann.close();
  const left = await seen.find_('leave', 'ann');
  assert.equal(left.data, 'data');
});

test('a detached channel leaves at once', async (t) => {
  const name = t.name();
  const [ann, bob] = [await t.connected({ clientId: 'ann' }), await t.connected({ clientId: 'bob' })];
  const seen = await watcher(bob.channels.get(name));
  await ann.channels.get(name).presence.enter();
  await ann.channels.get(name).detach();
  await seen.find_('leave', 'ann');
});

test('a short drop is not seen by others', async (t) => {
  const name = t.name();
  const [ann, bob] = [await t.connected({ clientId: 'ann' }), await t.connected({ clientId: 'bob' })];
  const seen = await watcher(bob.channels.get(name));
  await ann.channels.get(name).presence.enter();
  await seen.find_('enter', 'ann');
  const attached = event(ann.channels.get(name), 'attached');
  await t.cut(ann);
  await attached;
  await ann.channels.get(name).presence.update('still here');
  await seen.find_('update', 'ann');
  assert(!seen.some((item) => item.action === 'leave'));
});

test('a drop of fifteen seconds is a leave, and the member enters again', async (t) => {
  const name = t.name();
  const [ann, bob] = [await t.connected({ clientId: 'ann' }), await t.connected({ clientId: 'bob' })];
  const seen = await watcher(bob.channels.get(name));
  await ann.channels.get(name).presence.enter('data');
  await seen.find_('enter', 'ann');
  await t.fault({ does: 'abort', action: 'CONNECT', connection: ann.connection.id, times: 3 });
  const disconnected = event(ann.connection, 'disconnected');
  await t.cut(ann);
  await disconnected;
  await t.control('/clock', { advance: 16 });
  await seen.find_('leave', 'ann');
  await until(() => seen.filter((item) => item.action === 'enter').length === 2);
  assert.equal(ann.connection.state, 'connected');
}, { alone: true });

test('a client may ask to remain present for another time', async (t) => {
  const name = t.name();
  const [ann, bob] = [
    await t.connected({ clientId: 'ann', transportParams: { remainPresentFor: '1000' } }),
    await t.connected({ clientId: 'bob' }),
  ];
  const seen = await watcher(bob.channels.get(name));
  await ann.channels.get(name).presence.enter();
  await seen.find_('enter', 'ann');
  await t.fault({ does: 'abort', action: 'CONNECT', connection: ann.connection.id, times: 100 });
  await t.cut(ann);
  await seen.find_('leave', 'ann');
  await t.control('/ably/faults', {}, 'DELETE');
}, { alone: true });

test('after a channel lost continuity its member enters again', async (t) => {
  const name = t.name();
  const [ann, bob] = [await t.connected({ clientId: 'ann' }), await t.connected({ clientId: 'bob' })];
  const seen = await watcher(bob.channels.get(name));
  await ann.channels.get(name).presence.enter('data');
  await seen.find_('enter', 'ann');
  await t.deed('attached', { channel: name, connection: ann.connection.id });
  // The others see nothing of it: it enters under the id that it had.
  const { presence } = t.rest().channels.get(name);
  await until(async () => (await presence.history()).items.filter((item) => item.action === 'enter').length === 2);
  assert.equal((await bob.channels.get(name).presence.get()).length, 1);
});

test('a member whose connection could not be resumed enters again', async (t) => {
  const name = t.name();
  const [ann, bob] = [await t.connected({ clientId: 'ann' }), await t.connected({ clientId: 'bob' })];
  const seen = await watcher(bob.channels.get(name));
  await ann.channels.get(name).presence.enter('data');
  await seen.find_('enter', 'ann');
  const { id } = ann.connection;
  await t.deed('move', { connection: id });
  await until(() => seen.some((item) => item.action === 'enter' && item.clientId === 'ann' && item.connectionId !== id));
  await seen.find_('leave', 'ann');
  const members = await bob.channels.get(name).presence.get();
  assert.deepEqual(members.map((member) => member.connectionId), [ann.connection.id]);
});

test('one without a client id cannot enter', async (t) => {
  const client = await t.connected({ token: jwt() });
  const channel = client.channels.get(t.name());
  await channel.attach();
  await assert.rejects(channel.presence.enter());
});

test('entering as another is refused', async (t) => {
  const client = await t.connected({ token: jwt({ clientId: 'ann' }) });
  const channel = client.channels.get(t.name());
  await channel.attach();
  const error = await channel.presence.enterClient('bob').then(() => null, (caught) => caught);
  assert(error);
  assert.equal(error.code, 40012);
});

test('entering needs the capability', async (t) => {
  const name = t.name();
  const client = await t.connected({ token: jwt({ clientId: 'ann', capability: { [name]: ['subscribe'] } }) });
  await refused(client.channels.get(name).presence.enter(), 40160, 401);
});

test('more members than allowed are refused', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await channel.attach();
  const results = await Promise.allSettled(
    Array.from({ length: 201 }, (_, index) => channel.presence.enterClient(`user-${index}`)),
  );
  const failed = results.filter(({ status }) => status === 'rejected');
  assert.equal(failed.length, 1);
  assert.equal(failed[0].reason.code, 91003);
});

test('REST tells who is present', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  await channel.presence.enterClient('text', 'some text');
  await channel.presence.enterClient('object', { a: 1 });
  await channel.presence.enterClient('bytes', Buffer.from([1, 255]));
  const { items } = await t.rest().channels.get(channel.name).presence.get();
  const by = Object.fromEntries(items.map((item) => [item.clientId, item]));
  assert.equal(by.text.data, 'some text');
  assert.deepEqual(by.object.data, { a: 1 });
  assert.deepEqual(Buffer.from(by.bytes.data), Buffer.from([1, 255]));
  assert(items.every((item) => item.action === 'present' && item.connectionId === client.connection.id));
});

test('REST tells members one client id or a page at a time', async (t) => {
  const client = await t.connected();
  const channel = client.channels.get(t.name());
  for (const id of ['a', 'b', 'c', 'd', 'e']) await channel.presence.enterClient(id);
  const { presence } = t.rest().channels.get(channel.name);
  assert.deepEqual((await presence.get({ clientId: 'c' })).items.map((item) => item.clientId), ['c']);
  const all = [];
  for (let page = await presence.get({ limit: 2 }); page; page = page.hasNext() ? await page.next() : null) {
    assert(page.items.length <= 2);
    all.push(...page.items.map((item) => item.clientId));
  }
  assert.deepEqual(all.sort(), ['a', 'b', 'c', 'd', 'e']);
});

test('REST tells an empty channel', async (t) => {
  const page = await t.rest().channels.get(t.name()).presence.get();
  assert.deepEqual(page.items, []);
  assert.equal(page.hasNext(), false);
});

test('presence history tells what happened', async (t) => {
  const client = await t.connected({ clientId: 'ann' });
  const channel = client.channels.get(t.name());
  const begun = await t.time();
  await channel.presence.enter('first');
  await channel.presence.update('second');
  await channel.presence.update('third');
  await channel.presence.leave('last');
  const { presence } = t.rest().channels.get(channel.name);
  const back = await presence.history();
  assert.deepEqual(back.items.map(({ action, data }) => [action, data]), [
    ['leave', 'last'],
    ['update', 'third'],
    ['update', 'second'],
    ['enter', 'first'],
  ]);
  const forth = await presence.history({ direction: 'forwards', limit: 3 });
  assert.deepEqual(forth.items.map((item) => item.data), ['first', 'second', 'third']);
  assert.deepEqual((await forth.next()).items.map((item) => item.data), ['last']);
  const during = await presence.history({ start: begun - 1000, end: (await t.time()) + 1000 });
  assert.equal(during.items.length, 4);
  assert.equal((await presence.history({ start: begun - 2000, end: begun - 1000 })).items.length, 0);
});

test('encrypted presence data is readable to who has the key', async (t) => {
  const cipher = { key: await Ably.Realtime.Crypto.generateRandomKey(128) };
  const client = await t.connected({ clientId: 'ann' });
  const channel = client.channels.get(t.name(), { cipher });
  await channel.presence.enter({ secret: 1 });
  const { presence } = t.rest().channels.get(channel.name, { cipher });
  assert.deepEqual((await presence.get()).items[0].data, { secret: 1 });
  assert.deepEqual((await presence.history()).items[0].data, { secret: 1 });
});

test('REST presence needs subscribe and nothing more', async (t) => {
  const client = await t.connected({ clientId: 'ann' });
  const channel = client.channels.get(t.name());
  await channel.presence.enter();
  assert.equal((await t.rest({ key: LISTENER }).channels.get(channel.name).presence.get()).items.length, 1);
  await refused(t.rest({ key: 'app.key:wrong' }).channels.get(channel.name).presence.get(), 40101, 401);
});

test('batch presence tells several channels at once', async (t) => {
  const client = await t.connected();
  const [one, two, empty] = [t.name(), t.name(), t.name()];
  await client.channels.get(one).presence.enterClient('user-1', 'data-1');
  await client.channels.get(one).presence.enterClient('user-2');
  await client.channels.get(two).presence.enterClient('user-3', 'data-3');
  const result = await t.rest().batchPresence([one, two, empty]);
  assert.equal(result.successCount, 3);
  assert.equal(result.failureCount, 0);
  const by = Object.fromEntries(result.results.map((each) => [each.channel, each.presence]));
  assert.deepEqual(by[one].map((member) => member.clientId).sort(), ['user-1', 'user-2']);
  assert.equal(by[two][0].data, 'data-3');
  assert.deepEqual(by[empty], []);
});

test('batch presence refuses a channel alone', async (t) => {
  const [client, member] = [await t.connected(), t.name()];
  await client.channels.get('channel6').presence.enterClient(member);
  const result = await t.rest({ key: RESTRICTED }).batchPresence(['channel6', t.name()]);
  assert.equal(result.successCount, 1);
  assert.equal(result.failureCount, 1);
  assert(result.results[0].presence.some(({ clientId }) => clientId === member));
  assert.equal(result.results[1].error.code, 40160);
  assert.equal(result.results[1].error.statusCode, 401);
});

test('one without presence_subscribe sees its own and no others', async (t) => {
  const name = t.name();
  const [ann, bob] = [await t.connected({ clientId: 'ann' }), await t.connected({ clientId: 'bob' })];
  const channel = ann.channels.get(name, { modes: ['PRESENCE', 'PUBLISH', 'SUBSCRIBE'] });
  const got = await collector(channel);
  const seen = [];
  channel.presence.subscribe((item) => seen.push(item)).catch(() => {});
  await bob.channels.get(name).presence.enter();
  await channel.presence.enter();
  await bob.channels.get(name).publish('n', 'end');
  await got.reach(1);
  await sleep(0);
  assert.deepEqual([...new Set(seen.map((item) => item.clientId))], ['ann']);
  await state(ann.connection, 'connected');
});
