// Tables and functions over HTTP.
import assert from 'node:assert/strict';
import { test } from './runner.mjs';

const EVE = '00000000-0000-4000-8000-00000000e4e0';
const signedIn = (t, claims) => t.supabase({ token: t.token(claims) });

test('rows are inserted, read, changed and deleted by whose they are', async (t) => {
  const name = t.name();
  const [ada, eve] = [signedIn(t), signedIn(t, { sub: EVE })];
  const made = await ada.from('notes').insert(['0', '1', '2'].map((body) => ({ topic: name, body }))).select();
  assert.equal(made.status, 201);
  const [first, second] = made.data.map(({ id }) => id);
  const found = await ada
    .from('notes')
    .select('id,body', { count: 'exact' })
    .eq('topic', name)
    .gt('id', first)
    .order('id')
    .limit(1);
  assert.deepEqual([found.data, found.count, found.status], [[{ id: second, body: '1' }], 2, 206]);
  assert.deepEqual((await eve.from('notes').update({ body: 'x' }).eq('id', first).select()).data, []);
  const { data } = await ada.from('notes').update({ body: 'y' }).eq('id', first).select().single();
  assert.equal(data.body, 'y');
  await ada.from('notes').delete().eq('topic', name);
  assert.deepEqual((await eve.from('notes').select().eq('topic', name)).data, []);
});

test('a row that is there already is told, ignored or merged', async (t) => {
  const name = t.name();
  const ada = signedIn(t);
  const row = { topic: name, body: 'a', key: name };
  await ada.from('notes').insert(row);
  const again = await ada.from('notes').insert(row);
  assert.deepEqual([again.status, again.error.code], [409, '23505']);
  const ignored = await ada.from('notes').upsert(row, { onConflict: 'key', ignoreDuplicates: true }).select();
  assert.deepEqual(ignored.data, []);
  const merged = await ada.from('notes').upsert({ ...row, body: 'b' }, { onConflict: 'key' }).select('body');
  assert.deepEqual(merged.data, [{ body: 'b' }]);
});

test('errors of tables and functions have their codes', async (t) => {
  const name = t.name();
  const [ada, anon, late] = [signedIn(t), t.supabase(), signedIn(t, { seconds: -60 })];
  const wrong = {
    23502: ada.from('notes').insert({ topic: name }),
    42501: anon.from('notes').insert({ topic: name, body: 'a' }),
    42703: ada.from('notes').select('nothing'),
    '42P01': ada.from('nowhere').select(),
    '22P02': ada.from('notes').select().eq('id', 'x'),
    PGRST202: ada.rpc('nothing'),
    PGRST116: ada.from('notes').select().eq('topic', 'none').single(),
    PGRST301: late.from('notes').select(),
    P0001: ada.rpc('say_and_fail', { topic: name }),
  };
  for (const [code, call] of Object.entries(wrong)) assert.equal((await call).error?.code, code);
});

test('a publishable key stands for the anon key', async (t) => {
  assert.equal((await t.supabase({ key: t.project.publishable }).rpc('whoami')).data, 'anon');
  assert.equal((await signedIn(t).rpc('whoami')).data, 'authenticated');
});
