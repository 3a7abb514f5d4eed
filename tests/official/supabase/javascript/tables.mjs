// Tables, functions and files over HTTP.
import assert from 'node:assert/strict';
import { ADA, test } from './runner.mjs';

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

test('a file is uploaded, replaced, downloaded and removed', async (t) => {
  const files = signedIn(t).storage.from('files');
  const path = `${ADA}/${t.name('räume ')}.txt`.replace('ä', 'a');
  const bytes = Uint8Array.from([0, 1, 255]);
  const made = await files.upload(path, bytes, { contentType: 'application/x-test' });
  assert.equal(made.error, null);
  assert.equal(made.data.path, path);
  assert.match((await files.upload(path, bytes)).error.message, /already exists/);
  assert.equal((await files.upload(path, new Blob(['é']), { upsert: true })).error, null);
  assert.equal(await (await files.download(path)).data.text(), 'é');
  assert.equal((await files.update(path, bytes, { contentType: 'application/x-test' })).error, null);
  const { data } = await files.download(path);
  assert.deepEqual(new Uint8Array(await data.arrayBuffer()), bytes);
  assert.equal(data.type, 'application/x-test');
  assert.equal((await files.remove([path])).data.length, 1);
  assert((await files.download(path)).error);
});

test('a file is refused where the policies say so', async (t) => {
  const name = t.name();
  const files = signedIn(t).storage.from('files');
  const denied = await files.upload(`${EVE}/${name}`, new Blob(['x']));
  assert.match(denied.error.message, /row-level security/);
  await files.upload(`${ADA}/${name}`, new Blob(['x']));
  assert((await t.supabase().storage.from('files').download(`${ADA}/${name}`)).error);
});

test('signed URLs let others download and upload', async (t) => {
  const path = `${ADA}/${t.name()}`;
  const files = signedIn(t).storage.from('files');
  const { data: upload } = await files.createSignedUploadUrl(path);
  const anon = t.supabase().storage.from('files');
  assert.equal((await anon.uploadToSignedUrl(path, upload.token, new Blob(['by url']))).error, null);
  const { data } = await files.createSignedUrl(path, 60);
  assert.equal(await (await fetch(data.signedUrl)).text(), 'by url');
  assert.equal((await fetch(data.signedUrl.replace(path, `${path}x`))).status, 400);
  const old = await files.createSignedUrl(path, -60);
  assert.equal((await fetch(old.data.signedUrl)).status, 400);
  const open = signedIn(t).storage.from('open');
  await open.upload(path, new Blob(['public']));
  assert.equal(await (await fetch(open.getPublicUrl(path).data.publicUrl)).text(), 'public');
});
