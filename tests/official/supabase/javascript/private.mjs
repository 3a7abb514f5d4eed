// Private channels, tokens, broadcasts from the database and replay.
import assert from 'node:assert/strict';
import { test, until } from './runner.mjs';

const say = (joined, payload) => joined.channel.send({ type: 'broadcast', event: 'e', payload });
const owner = (t) => t.supabase({ token: t.token() });

test('a private channel is joined by who is signed in', async (t) => {
  const name = t.name();
  const reader = await t.joined(name, { private: true });
  const writer = await t.joined(name, { private: true });
  await say(writer, { n: 1 });
  assert.deepEqual(await reader.reach(1), [{ n: 1 }]);
});

test('a private channel that the policies deny is refused', async (t) => {
  const tried = await t.tried(t.name('', ':denied'), { private: true });
  assert.equal(tried.states[0], 'CHANNEL_ERROR');
  assert.match(String(tried.error), /Unauthorized: You do not have permissions to read from this Channel topic/);
});

test('nobody signed in is refused on a private channel', async (t) => {
  const tried = await t.tried(t.name(), { private: true, client: t.realtime({ key: t.project.anon }) });
  assert.match(String(tried.error), /Unauthorized/);
});

test('the token of the whole project\u2019s client is that of its channels', async (t) => {
  const client = owner(t);
  await client.realtime.setAuth();
  await t.joined(t.name(), { private: true, client });
});

test('an expired token is refused by a join', async (t) => {
  const accessToken = async () => t.token({ seconds: -60 });
  const client = t.realtime({ key: t.project.anon, accessToken });
  await client.setAuth();
  const tried = await t.tried(t.name(), { client });
  assert.match(String(tried.error), /InvalidJWTToken: Token has expired \d+ seconds ago/);
});

test('a public and a private channel of one name never meet', async (t) => {
  const name = t.name();
  const both = [
    await t.joined(name, { broadcast: { self: true } }),
    await t.joined(name, { private: true, broadcast: { self: true } }),
  ];
  for (const [n, joined] of both.entries()) await say(joined, { n });
  for (const [n, joined] of both.entries()) assert.deepEqual(await joined.reach(1), [{ n }]);
});

test('what may not be written is silently lost, ack or not', async (t) => {
  const name = t.name('', ':silent');
  const reader = await t.joined(name, { private: true });
  const writer = await t.joined(name, { private: true, broadcast: { ack: true } });
  const told = await writer.channel.send({ type: 'broadcast', event: 'e', payload: {} }, { timeout: 300 });
  assert.equal(told, 'timed out');
  const messages = [{ topic: name, event: 'e', payload: { n: 2 }, private: true }];
  for (const token of [t.token(), t.project.service]) {
    assert.equal((await t.post('/realtime/v1/api/broadcast', { messages }, token)).status, 202);
  }
  assert.deepEqual(await reader.reach(1), [{ n: 2 }]);
  const channel = t.realtime().channel(name, { config: { private: true } });
  await assert.rejects(channel.httpSend('e', {}), /Unauthorized/);
});

test('a token is renewed on a joined channel', async (t) => {
  const name = t.name();
  const reader = await t.joined(name, { private: true });
  const writer = await t.joined(name, { private: true, broadcast: { ack: true } });
  await reader.client.setAuth(t.token({ renewed: true }));
  assert.equal(await say(writer, { n: 1 }), 'ok');
  assert.deepEqual(await reader.reach(1), [{ n: 1 }]);
});

test('a renewal with a token that may not read closes the channel', async (t) => {
  const joined = await t.joined(t.name(), { private: true });
  await joined.client.setAuth(t.project.anon);
  await until(() => joined.states.at(-1) === 'CLOSED');
  assert.match(joined.told[0].message, /You do not have permissions to read from this Channel topic/);
});

test('a channel is closed when its token expires', async (t) => {
  const client = t.realtime({ key: t.token({ seconds: 2 }) });
  const joined = await t.joined(t.name(), { client });
  await until(() => joined.states.at(-1) === 'CLOSED');
  assert.match(joined.told[0].message, /Token has expired \d+ seconds ago/);
});

test('what a transaction sends arrives in its order, with its id', async (t) => {
  const name = t.name();
  const joined = await t.ready(name);
  const { error } = await owner(t).rpc('say', { topic: name, many: 3 });
  assert.equal(error, null);
  assert.deepEqual((await joined.reach(3)).map(({ n }) => n), [0, 1, 2]);
  for (const { meta, payload } of joined.heard) assert.equal(meta.id, payload.id);
});

test('what a transaction sent and rolled back does not arrive', async (t) => {
  const name = t.name();
  const joined = await t.ready(name);
  const client = owner(t);
  const { error } = await client.rpc('say_and_fail', { topic: name });
  assert.deepEqual([error.code, error.message], ['P0001', 'no']);
  await client.rpc('say', { topic: name, many: 1 });
  assert.deepEqual((await joined.reach(1)).map(({ n }) => n), [0]);
});

test('a trigger broadcasts a new row', async (t) => {
  const name = t.name();
  const joined = await t.ready(name, { events: ['INSERT'] });
  await owner(t).from('notes').insert({ topic: name, body: 'é' });
  const [told] = await joined.reach(1);
  assert.deepEqual([told.operation, told.table, told.record.body], ['INSERT', 'notes', 'é']);
});

test('replay gives the latest, oldest first, and marks them', async (t) => {
  const name = t.name();
  const since = Date.now() - 60_000;
  const client = owner(t);
  for (let n = 0; n < 4; n += 1) await client.rpc('say', { topic: name, many: 1 });
  const joined = await t.joined(name, { private: true, broadcast: { replay: { since, limit: 3 } } });
  await joined.reach(3);
  assert(joined.heard.every(({ meta }) => meta.replayed));
});

test('who signs up is signed in, and may use private channels and tables', async (t) => {
  const name = t.name();
  const client = t.supabase();
  const { data } = await client.auth.signUp({ email: `${name}@example.org`, password: 'a password' });
  assert(data.session.access_token);
  await client.realtime.setAuth();
  await t.joined(name, { client, private: true });
  const made = await client.from('notes').insert({ topic: name, body: 'mine' }).select('author').single();
  assert.equal(made.data.author, data.user.id);
});

test('a session is refreshed once by each of its tokens', async (t) => {
  const address = { email: `${t.name()}@example.org`, password: 'a password' };
  const [client, other] = [t.supabase(), t.supabase()];
  const first = (await client.auth.signUp(address)).data.session;
  const wrong = await other.auth.signInWithPassword({ ...address, password: 'another one' });
  assert.equal(wrong.error.code, 'invalid_credentials');
  const second = (await other.auth.signInWithPassword(address)).data.session;
  assert.equal(second.user.id, first.user.id);
  const third = (await client.auth.refreshSession()).data.session;
  assert.notEqual(third.refresh_token, first.refresh_token);
  assert.equal((await client.auth.getUser()).data.user.email, address.email);
  const used = await other.auth.refreshSession({ refresh_token: first.refresh_token });
  assert.equal(used.error.code, 'refresh_token_already_used');
  await client.auth.signOut();
  const gone = await other.auth.refreshSession({ refresh_token: second.refresh_token });
  assert.equal(gone.error.code, 'refresh_token_not_found');
});
