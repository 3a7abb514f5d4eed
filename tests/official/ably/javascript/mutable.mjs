// Updates, deletes, appends, versions, annotations.
import assert from 'node:assert/strict';
import { collector, event, jwt, refused, test, until } from './runner.mjs';

async function pair(t, options = {}) {
  const name = t.name('mutable:');
  const [writer, reader] = [await t.connected({ clientId: 'ann' }), await t.connected()];
  const got = await collector(reader.channels.get(name, options));
  return { name, channel: writer.channels.get(name), got, reader };
}

test('an update is observed', async (t) => {
  const { channel, got } = await pair(t);
  const { serials } = await channel.publish({ name: 'n', data: 'first', extras: { headers: { a: '1' } } });
  await got.reach(1);
  const { versionSerial } = await channel.updateMessage({ serial: serials[0], data: 'second' }, { description: 'typo', metadata: { why: 'x' } });
  await got.reach(2);
  const [before, after] = got;
  assert.equal(after.action, 'message.update');
  assert.equal(after.serial, before.serial);
  assert.equal(after.data, 'second');
  assert.equal(after.name, 'n');
  assert.deepEqual(after.extras, { headers: { a: '1' } });
  assert.equal(after.timestamp, before.timestamp);
  assert.equal(after.version.serial, versionSerial);
  assert(after.version.serial > before.version.serial);
  assert.equal(after.version.description, 'typo');
  assert.deepEqual(after.version.metadata, { why: 'x' });
  assert.equal(after.version.clientId, 'ann');
});

test('a delete is observed', async (t) => {
  const { channel, got } = await pair(t);
  const { serials } = await channel.publish('n', 'first');
  await got.reach(1);
  await channel.deleteMessage({ serial: serials[0] }, { description: 'gone' });
  await got.reach(2);
  assert.equal(got[1].action, 'message.delete');
  assert.equal(got[1].serial, serials[0]);
  assert.equal(got[1].version.description, 'gone');
});

test('an append is observed, as its slice or whole', async (t) => {
  const { name, channel, got } = await pair(t);
  const { serials } = await channel.publish('n', 'Hello');
  await got.reach(1);
  await channel.appendMessage({ serial: serials[0], data: ', world' });
  await got.reach(2);
  assert.equal(got[1].action, 'message.append');
  assert.equal(got[1].data, ', world');
  const late = await t.connected();
  const seen = await collector(late.channels.get(name));
  await channel.appendMessage({ serial: serials[0], data: '!' });
  await seen.reach(1);
  assert.equal(seen[0].action, 'message.update');
  assert.equal(seen[0].data, 'Hello, world!');
  await channel.appendMessage({ serial: serials[0], data: '!' });
  await seen.reach(2);
  assert.equal(seen[1].action, 'message.append');
  assert.equal((await t.rest().channels.get(name).getMessage(serials[0])).data, 'Hello, world!!');
});

test('a message through its whole life', async (t) => {
  const { name, channel, got } = await pair(t);
  const { serials } = await channel.publish('n', 'v1');
  await channel.updateMessage({ serial: serials[0], data: 'v2' });
  await channel.updateMessage({ serial: serials[0], data: 'v3' });
  await channel.deleteMessage({ serial: serials[0] });
  await got.reach(4);
  assert.deepEqual(got.map(({ action }) => action), ['message.create', 'message.update', 'message.update', 'message.delete']);
  const versions = got.map((message) => message.version.serial);
  assert.deepEqual([...versions].sort(), versions);
  const { items } = await t.rest().channels.get(name).history();
  assert.equal(items.length, 1);
  assert.equal(items[0].action, 'message.delete');
});

test('a message and its versions are read', async (t) => {
  const { channel } = await pair(t);
  const { serials } = await channel.publish('n', 'v1');
  await channel.updateMessage({ serial: serials[0], data: 'v2' });
  const message = await channel.getMessage(serials[0]);
  assert.equal(message.data, 'v2');
  assert.equal(message.action, 'message.update');
  const versions = await channel.getMessageVersions(serials[0]);
  assert.deepEqual(versions.items.map((item) => item.data), ['v1', 'v2']);
  const page = await channel.getMessageVersions(serials[0], { limit: 1 });
  assert.deepEqual((await page.next()).items.map((item) => item.data), ['v2']);
});

test('REST updates, deletes and appends', async (t) => {
  const { name, got } = await pair(t);
  const channel = t.rest({ clientId: 'ann' }).channels.get(name);
  const { serials } = await channel.publish('n', 'v1');
  const { versionSerial } = await channel.updateMessage({ serial: serials[0], data: 'v2' }, { description: 'd' });
  assert(versionSerial > serials[0]);
  await channel.appendMessage({ serial: serials[0], data: '+' });
  await channel.deleteMessage({ serial: serials[0] });
  await got.reach(4);
  assert.deepEqual(got.map(({ action }) => action), ['message.create', 'message.update', 'message.append', 'message.delete']);
  assert.deepEqual((await channel.getMessageVersions(serials[0])).items.map((item) => item.data), ['v1', 'v2', 'v2+', 'v2+']);
});

test('an unknown message is not found', async (t) => {
  const { channel } = await pair(t);
  await refused(channel.getMessage('01700000000000-000@none:000'), 40400, 404);
  await refused(channel.updateMessage({ serial: '01700000000000-000@none:000', data: 'x' }), 40400, 404);
});

test('without the rule a channel has no updates and no annotations', async (t) => {
  const client = await t.connected({ clientId: 'ann' });
  const channel = client.channels.get(t.name(), { modes: ['PUBLISH', 'SUBSCRIBE', 'ANNOTATION_PUBLISH'] });
  const { serials } = await channel.publish('n', 'x');
  await refused(channel.updateMessage({ serial: serials[0], data: 'y' }), 93002, 400);
  await channel.attach();
  await refused(channel.annotations.publish(serials[0], { type: 'reaction:distinct.v1', name: 'x' }), 93002, 400);
});

test('only the author changes a message where the capability says own', async (t) => {
  const name = t.name('mutable:');
  const capability = { [name]: ['publish', 'subscribe', 'history', 'message-update-own'] };
  const ann = t.rest({ token: jwt({ clientId: 'ann', capability }) }).channels.get(name);
  const bob = t.rest({ token: jwt({ clientId: 'bob', capability }) }).channels.get(name);
  const { serials } = await ann.publish('n', 'x');
  await refused(bob.updateMessage({ serial: serials[0], data: 'y' }), 40160, 401);
  await refused(ann.deleteMessage({ serial: serials[0] }), 40160, 401);
  await ann.updateMessage({ serial: serials[0], data: 'y' });
});

test('annotations are published, summed up and deleted', async (t) => {
  const name = t.name('mutable:');
  const modes = ['PUBLISH', 'SUBSCRIBE', 'ANNOTATION_PUBLISH', 'ANNOTATION_SUBSCRIBE'];
  const client = await t.connected({ clientId: 'ann' });
  const channel = client.channels.get(name, { modes });
  const got = await collector(channel);
  const raw = [];
  await channel.annotations.subscribe((annotation) => raw.push(annotation));
  const { serials } = await channel.publish('n', 'x');
  await channel.annotations.publish(serials[0], { type: 'reaction:distinct.v1', name: '👍', data: { a: 1 } });
  await until(() => raw.length === 1);
  assert.equal(raw[0].action, 'annotation.create');
  assert.equal(raw[0].messageSerial, serials[0]);
  assert.equal(raw[0].clientId, 'ann');
  assert.deepEqual(raw[0].data, { a: 1 });
  await got.reach(2);
  assert.equal(got[1].action, 'message.summary');
  assert.equal(got[1].serial, serials[0]);
  assert.deepEqual(got[1].annotations.summary['reaction:distinct.v1'], { '👍': { total: 1, clientIds: ['ann'], clipped: false } });
  await channel.annotations.delete(serials[0], { type: 'reaction:distinct.v1', name: '👍' });
  await until(() => raw.length === 2);
  assert.equal(raw[1].action, 'annotation.delete');
  await got.reach(3);
  assert.deepEqual(got[2].annotations.summary['reaction:distinct.v1'], {});
});

test('annotations of one type reach who asked for it', async (t) => {
  const name = t.name('mutable:');
  const client = await t.connected({ clientId: 'ann' });
  const channel = client.channels.get(name, { modes: ['PUBLISH', 'ANNOTATION_PUBLISH', 'ANNOTATION_SUBSCRIBE'] });
  const [wanted, all] = [[], []];
  await channel.annotations.subscribe('reaction:unique.v1', (annotation) => wanted.push(annotation));
  await channel.annotations.subscribe((annotation) => all.push(annotation));
  const { serials } = await channel.publish('n', 'x');
  await channel.annotations.publish(serials[0], { type: 'reaction:distinct.v1', name: 'a' });
  await channel.annotations.publish(serials[0], { type: 'reaction:unique.v1', name: 'b' });
  await until(() => all.length === 2);
  assert.deepEqual(wanted.map((annotation) => annotation.name), ['b']);
});

test('subscribing to annotations attaches', async (t) => {
  const client = await t.connected({ clientId: 'ann' });
  const channel = client.channels.get(t.name('mutable:'), { modes: ['ANNOTATION_SUBSCRIBE'] });
  const attached = event(channel, 'attached');
  await channel.annotations.subscribe(() => {});
  await attached;
});

test('REST annotations are published, listed in pages and deleted', async (t) => {
  const channel = t.rest({ clientId: 'ann' }).channels.get(t.name('mutable:'));
  const { serials } = await channel.publish('n', 'x');
  for (const name of ['a', 'b', 'c']) await channel.annotations.publish(serials[0], { type: 'reaction:distinct.v1', name });
  const page = await channel.annotations.get(serials[0], { limit: 2 });
  assert.deepEqual(page.items.map(({ name }) => name), ['a', 'b']);
  assert(page.items.every((item) => item.type === 'reaction:distinct.v1' && item.messageSerial === serials[0] && item.serial));
  assert.deepEqual((await page.next()).items.map(({ name }) => name), ['c']);
  await channel.annotations.delete(serials[0], { type: 'reaction:distinct.v1', name: 'a' });
  const { items } = await channel.annotations.get(serials[0], { limit: null });
  assert.equal(items.at(-1).action, 'annotation.delete');
  assert.deepEqual(Object.keys((await channel.getMessage(serials[0])).annotations.summary['reaction:distinct.v1']).sort(), ['b', 'c']);
});

test('every method sums up as published', async (t) => {
  const name = t.name('mutable:');
  const serial = (await t.rest().channels.get(name).publish('n', 'x')).serials[0];
  const add = (clientId, annotation) => t.rest({ clientId }).channels.get(name).annotations.publish(serial, annotation);
  await add('ann', { type: 'x:total.v1' });
  await add('bob', { type: 'x:total.v1' });
  await add('ann', { type: 'x:flag.v1' });
  await add('ann', { type: 'x:flag.v1' });
  await add('ann', { type: 'x:unique.v1', name: 'old' });
  await add('ann', { type: 'x:unique.v1', name: 'new' });
  await add('ann', { type: 'x:multiple.v1', name: 'star', count: 3 });
  await add('ann', { type: 'x:multiple.v1', name: 'star', count: 2 });
  await add('bob', { type: 'x:multiple.v1', name: 'star' });
  const { summary } = (await t.rest().channels.get(name).getMessage(serial)).annotations;
  assert.equal(summary['x:total.v1'].total, 2);
  assert.deepEqual(summary['x:flag.v1'], { total: 1, clientIds: ['ann'], clipped: false });
  assert.deepEqual(summary['x:unique.v1'], { new: { total: 1, clientIds: ['ann'], clipped: false } });
  assert.equal(summary['x:multiple.v1'].star.total, 6);
  assert.deepEqual(summary['x:multiple.v1'].star.clientIds, { ann: 5, bob: 1 });
});
