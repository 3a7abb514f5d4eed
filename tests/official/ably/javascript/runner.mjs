// Runs cases of the official JavaScript client against an emulator and prints one JSON line for each.
//
//   node all.mjs PACKAGES http://127.0.0.1:PORT json|msgpack CASES
//
// PACKAGES is the folder in which npm installed what package.json names; CASES says in JSON how many milliseconds
// each case is given that is to run, and is {} for all, with a minute.
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [, , packages, url, format, chosen] = process.argv;
const patience = JSON.parse(chosen);
export const Ably = createRequire(join(packages, 'package.json'))('ably');

const AT_ONCE = 16;
const cases = [];

/** A case; `alone` runs it when no other does, for what concerns the whole emulator. */
export function test(name, run, { alone = false } = {}) {
  assert(!cases.some((each) => each.name === name), name);
  cases.push({ name, run, alone });
}

export const KEY = 'app.key:secret';
export const RESTRICTED = 'app.restricted:secret';
export const LISTENER = 'app.listener:secret';

/** What a case is given: names of its own, clients that are closed after it, and the control endpoint. */
export class Tools {
  constructor(url, format) {
    this.url = new URL(url);
    this.format = format;
    this.clients = [];
    this.mine = randomBytes(6).toString('hex');
  }

  name(prefix = '') {
    return `${prefix}${this.mine}${randomBytes(3).toString('hex')}`;
  }

  options(more = {}) {
    return {
      ...('key' in more || 'token' in more || 'tokenDetails' in more || 'authCallback' in more ? {} : { key: KEY }),
      endpoint: this.url.hostname,
      port: Number(this.url.port),
      tls: false,
      useBinaryProtocol: this.format === 'msgpack',
      logLevel: 0,
      disconnectedRetryTimeout: 50,
      suspendedRetryTimeout: 50,
      disableConnectivityCheck: true, // it would ask other hosts
      wsConnectivityCheckUrl: `ws://${this.url.host}/`, // likewise
      ...more,
    };
  }

  /** A realtime client, not yet connected if `autoConnect: false`. */
  realtime(more = {}) {
    const client = new Ably.Realtime(this.options(more));
    this.clients.push(client);
    return client;
  }

  async connected(more = {}) {
    const client = this.realtime(more);
    await state(client.connection, 'connected');
    return client;
  }

  rest(more = {}) {
    return new Ably.Rest(this.options(more));
  }

  async control(path, body, method = 'POST') {
    const answer = await fetch(new URL(`/_emulator${path}`, this.url), {
      method,
      headers: { 'Content-Type': 'application/json' },
      body: method === 'GET' ? undefined : JSON.stringify(body ?? {}),
    });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
  }

  fault(fault) {
    return this.control('/ably/fault', fault);
  }

  async deed(name, aim) {
    const { struck } = await this.control(`/ably/${name}`, aim);
    assert(struck > 0, `${name} struck nothing`);
  }

  cut(client) {
    return this.deed('abort', { connection: client.connection.id });
  }

  callFault(fault) {
    return this.control('/faults/call', fault);
  }

  async time() {
    return (await this.control('', undefined, 'GET')).time * 1000;
  }

  async close() {
    for (const client of this.clients) client.close();
  }
}

/** Resolves once the connection or channel is in that state; fails on `failed`, unless that is awaited. */
export function state(machine, wanted) {
  return new Promise((resolve, reject) => {
    const look = (change) => {
      if (machine.state === wanted) {
        machine.off(look);
        resolve(change);
      } else if (machine.state === 'failed') {
        machine.off(look);
        reject(machine.errorReason ?? new Error('failed'));
      }
    };
    machine.on(look);
    look();
  });
}

/** The next event of that name. */
export function event(machine, name) {
  return new Promise((resolve) => machine.once(name, resolve));
}

export async function refused(promise, code, status) {
  let error;
  try {
    await promise;
  } catch (caught) {
    error = caught;
  }
  assert(error, `not refused, ${code} was expected`);
  assert.equal(error.code, code, `${error.code}: ${error.message}`);
  if (status) assert.equal(error.statusCode, status);
  return error;
}

/** Waits until a condition holds. */
export async function until(condition, what = 'condition') {
  for (let tries = 0; tries < 400; tries += 1) {
    const value = await condition();
    if (value) return value;
    await sleep(10);
  }
  throw new Error(`never came true: ${what}`);
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export function jwt({ key = KEY, clientId, capability, seconds = 3600, now = Date.now(), ...claims } = {}) {
  const [kid, secret] = key.split(':');
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const iat = Math.floor(now / 1000) - 5;
  const body = `${part({ typ: 'JWT', alg: 'HS256', kid })}.${part({
    iat,
    exp: Math.floor(now / 1000) + seconds,
    ...(clientId ? { 'x-ably-clientId': clientId } : {}),
    ...(capability ? { 'x-ably-capability': JSON.stringify(capability) } : {}),
    ...claims,
  })}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

/** Collects what a channel gives until `count` are there. */
export async function collector(channel, ...names) {
  const got = [];
  await channel.subscribe(...names, (message) => got.push(message));
  got.reach = (count) => until(() => got.length >= count && got, `${count} messages, there are ${got.length}`);
  return got;
}

async function attempt({ name, run }) {
  const tools = new Tools(url, format);
  const begun = Date.now();
  const given = patience[name] ?? 60_000;
  let error = null;
  let timer;
  try {
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done in ${given} ms`)), given);
    });
    await Promise.race([run(tools), late]);
  } catch (caught) {
    error = caught?.stack ?? JSON.stringify(caught);
    if (caught?.code) error = `${caught.code} ${error}`;
  } finally {
    clearTimeout(timer);
    await tools.close();
  }
  process.stdout.write(`${JSON.stringify({ name, error, milliseconds: Date.now() - begun })}\n`);
}

export async function main() {
  process.on('unhandledRejection', () => {}); // a case that fails leaves promises behind; its own result says so
  const wanted = cases.filter(({ name }) => Object.keys(patience).length === 0 || name in patience);
  const waiting = wanted.filter(({ alone }) => !alone);
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await attempt(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  for (const each of wanted.filter(({ alone }) => alone)) await attempt(each);
  process.stdout.write('', () => process.exit(0));
}
