// Presence of several clients.
import assert from 'node:assert/strict';
import { test, until } from './runner.mjs';

const members = ({ channel }) =>
  Object.fromEntries(
    Object.entries(channel.presenceState()).map(([key, metas]) => [
      key,
      metas.map(({ presence_ref: _, ...rest }) => rest),
    ]),
  );
const present = (t, name, key) => t.joined(name, { presence: { key, enabled: true } });
const same = (joined, wanted) => until(() => JSON.stringify(members(joined)) === JSON.stringify(wanted), () => JSON.stringify(members(joined)));

test('two clients see one another come, change and go', async (t) => {
  const name = t.name();
  const ann = await present(t, name, 'ann');
  assert.equal(await ann.channel.track({ mood: 'good' }), 'ok');
  await same(ann, { ann: [{ mood: 'good' }] });
  const ben = await present(t, name, 'ben');
  await same(ben, { ann: [{ mood: 'good' }] });
  await ben.channel.track({ mood: 'odd' });
  await same(ann, { ann: [{ mood: 'good' }], ben: [{ mood: 'odd' }] });
  await ann.channel.track({ mood: 'bad' });
  await same(ben, { ann: [{ mood: 'bad' }], ben: [{ mood: 'odd' }] });
  await ben.channel.untrack();
  await same(ann, { ann: [{ mood: 'bad' }] });
  ann.client.disconnect();
  await same(ben, {});
});

test('joins and leaves are told with who and what', async (t) => {
  const name = t.name();
  const watcher = t.realtime().channel(name, { config: { presence: { key: 'w' } } });
  const seen = [];
  for (const event of ['join', 'leave']) {
    watcher.on('presence', { event }, ({ key, newPresences, leftPresences }) =>
      seen.push([event, key, (newPresences ?? leftPresences).length]),
    );
  }
  await new Promise((resolve) => watcher.subscribe((state) => state === 'SUBSCRIBED' && resolve()));
  const ann = await present(t, name, 'ann');
  await ann.channel.track({ n: 1 });
  await until(() => seen.length === 1);
  await ann.channel.unsubscribe();
  await until(() => seen.length === 2);
  assert.deepEqual(seen, [
    ['join', 'ann', 1],
    ['leave', 'ann', 1],
  ]);
});

test('two devices of one key are two members of it', async (t) => {
  const name = t.name();
  const first = await present(t, name, 'ann');
  const second = await present(t, name, 'ann');
  await first.channel.track({ on: 'phone' });
  await second.channel.track({ on: 'desk' });
  await until(() => members(first).ann?.length === 2);
  await first.channel.unsubscribe();
  await same(second, { ann: [{ on: 'desk' }] });
});

test('the sixth presence call in half a minute closes the channel', async (t) => {
  const joined = await present(t, t.name(), 'ann');
  for (let n = 0; n < 5; n += 1) assert.equal(await joined.channel.track({ n }), 'ok');
  joined.channel.track({ n: 5 });
  await until(() => joined.states.at(-1) === 'CLOSED');
  assert.equal(joined.told[0].message, 'Client presence rate limit exceeded');
});
