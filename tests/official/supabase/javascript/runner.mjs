// Runs cases of the official JavaScript clients against an emulator and prints one JSON line for each.
//
//   node all.mjs PACKAGES VERSION PROJECT CASES
//
// PACKAGES is the folder in which npm installed what package.json names; VERSION that of the protocol; PROJECT says
// in JSON where it is, its keys and its secret; CASES how many milliseconds each case is given that is to run, and is
// {} for all, with a minute.
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [, , packages, vsn, given, chosen] = process.argv;
const project = JSON.parse(given);
const patience = JSON.parse(chosen);
const require = createRequire(join(packages, 'package.json'));
const { RealtimeClient } = require('@supabase/realtime-js');
const { createClient } = require('@supabase/supabase-js');
const WebSocket = require('ws'); // Node has none of its own before 22

const AT_ONCE = 16;
const cases = [];
console.warn = () => {}; // the clients' advice

/** A case; `alone` runs it when no other does, for what concerns the whole emulator. */
export function test(name, run, { alone = false } = {}) {
  assert(!cases.some((each) => each.name === name), name);
  cases.push({ name, run, alone });
}

export const ADA = '00000000-0000-4000-8000-00000000ada0';

/** What a case is given: names of its own, clients that are closed after it, and the control endpoint. */
export class Tools {
  constructor() {
    this.project = project;
    this.vsn = vsn;
    this.clients = [];
    this.mine = randomBytes(6).toString('hex');
  }

  name(prefix = '', suffix = '') {
    return `${prefix}${this.mine}${randomBytes(3).toString('hex')}${suffix}`;
  }

  token({ seconds = 3600, ...claims } = {}) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const now = Math.floor(Date.now() / 1000);
    const all = { sub: ADA, role: 'authenticated', iat: now - 5, exp: now + seconds, ...claims };
    const body = `${part({ typ: 'JWT', alg: 'HS256' })}.${part(all)}`;
    return `${body}.${createHmac('sha256', project.secret).update(body).digest('base64url')}`;
  }

  options(more = {}) {
    return { transport: WebSocket, vsn, reconnectAfterMs: () => 20, timeout: 10_000, ...more };
  }

  /** A client of Realtime alone, signed in unless a key is given. */
  realtime({ key = this.token(), ...more } = {}) {
    const client = new RealtimeClient(`${project.url}/realtime/v1`, this.options({ params: { apikey: key }, ...more }));
    this.clients.push(client);
    return client;
  }

  /** A client of the whole project, signed in with a token or not at all. */
  supabase({ key = project.anon, token = null } = {}) {
    const accessToken = token ? { accessToken: async () => token } : { auth: { persistSession: false, autoRefreshToken: false } };
    const client = createClient(project.url, key, { realtime: this.options(), ...accessToken });
    this.clients.push(client.realtime);
    return client;
  }

  /** A channel that was to be joined: its states, its error, and what it hears. */
  async tried(name, { client = this.realtime(), events = ['e'], timeout, ...config } = {}) {
    const channel = client.channel(name, { config });
    const joined = { channel, client, states: [], error: null, heard: [], told: [] };
    for (const event of events) channel.on('broadcast', { event }, (message) => joined.heard.push(message));
    channel.on('system', {}, (message) => joined.told.push(message));
    joined.payloads = () => joined.heard.map((message) => message.payload);
    joined.reach = async (count) => {
      await until(() => joined.heard.length >= count, () => `${count} broadcasts, there are ${joined.heard.length}`);
      return joined.payloads();
    };
    await new Promise((resolve) => {
      channel.subscribe((state, error) => {
        joined.states.push(state);
        joined.error = error ?? joined.error;
        resolve();
      }, timeout);
    });
    return joined;
  }

  /** A channel that must be joined. */
  async joined(name, options = {}) {
    const tried = await this.tried(name, options);
    assert.equal(tried.states.at(-1), 'SUBSCRIBED', String(tried.error));
    return tried;
  }

  /** A private channel that hears the database. */
  async ready(name, options = {}) {
    const joined = await this.joined(name, { private: true, broadcast: { replication_ready: true }, ...options });
    await until(() => joined.told.some((told) => told.message === 'Replication connection established'));
    return joined;
  }

  async control(path, body, method = 'POST') {
    const answer = await fetch(new URL(`/_emulator${path}`, project.url), {
      method,
      headers: { 'Content-Type': 'application/json' },
      body: method === 'GET' ? undefined : JSON.stringify(body ?? {}),
    });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
  }

  fault(fault) {
    return this.control('/supabase/fault', fault);
  }

  async deed(name, aim) {
    const { struck } = await this.control(`/supabase/${name}`, aim);
    assert(struck > 0, `${name} struck nothing`);
  }

  settings(settings) {
    return this.control('/settings', settings, 'PATCH');
  }

  /** The id of the connection that has joined a topic, first of several. */
  async socketOf(name) {
    const { sockets } = await this.control('', undefined, 'GET');
    const found = Object.keys(sockets).find((id) => sockets[id].topics.includes(name));
    assert(found, `nobody has joined ${name}`);
    return found;
  }

  post(path, body, token = this.token()) {
    return fetch(new URL(path, project.url), {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  async close() {
    for (const client of this.clients) client.disconnect();
  }
}

/** Waits until a condition holds. */
export async function until(condition, what = () => String(condition)) {
  for (let tries = 0; tries < 1500; tries += 1) {
    const value = await condition();
    if (value) return value;
    await sleep(10);
  }
  throw new Error(`never came true: ${what()}`);
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function attempt({ name, run }) {
  const tools = new Tools();
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
  } finally {
    clearTimeout(timer);
    await tools.close();
  }
  process.stdout.write(`${JSON.stringify({ name, error, milliseconds: Date.now() - begun })}\n`);
}

export async function main() {
  // A case that fails leaves promises behind, and frames that a client cannot read; its own result says so.
  for (const event of ['unhandledRejection', 'uncaughtException']) process.on(event, () => {});
  const wanted = cases.filter(({ name }) => Object.keys(patience).length === 0 || name in patience);
  const waiting = wanted.filter(({ alone }) => !alone);
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await attempt(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  for (const each of wanted.filter(({ alone }) => alone)) await attempt(each);
  process.stdout.write('', () => process.exit(0));
}
