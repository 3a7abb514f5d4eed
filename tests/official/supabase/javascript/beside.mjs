// A page without chatkit in a channel of chatkit's, by supabase-js: reads what was said, says what it hears, and answers.
//
//   node beside.mjs PACKAGES http://127.0.0.1:PORT ANON_KEY TOKEN USER CHANNEL
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { append, readAnswer, readEntries, topics } from '../../../javascript/supabase.mjs';
import { freshId } from '../../../javascript/wire.mjs';

const [, , packages, url, key, token, user, channel] = process.argv;
const require = createRequire(join(packages, 'package.json'));
const { createClient } = require('@supabase/supabase-js');
const supabase = createClient(url, key, {
  accessToken: async () => token,
  realtime: { transport: require('ws') }, // a browser has its own
});
const print = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(16).padStart(2, '0')).join('');

const device = 'page01';
let seq = 0;

/** Appends a text, again under the same id until the log has answered. */
async function send(text, ref) {
  seq += 1;
  const envelope = {
    v: 1, id: freshId(Date.now(), random()), kind: 'message.create', channel, sender: { user, device }, seq,
    at: new Date().toISOString(), ref, body: { type: 'text', text },
  };
  const call = append(channel, [JSON.stringify(envelope)]);
  for (;;) {
    const { data, error } = await supabase.rpc('chatkit_append', call);
    if (error === null) return data.acks[0].outcome;
  }
}

let after = null; // where reading goes on
const seen = new Set();

async function take({ envelope, user: sender, stamp }) {
  if (seen.has(stamp.serial)) return; // what is live is a hint: it may come twice, or not at all
  seen.add(stamp.serial);
  after = { epoch: stamp.epoch, serial: stamp.serial };
  const { kind, id, body } = JSON.parse(envelope);
  print({ what: 'heard', kind, sender, text: body?.text ?? null });
  if (body?.text === 'Is anybody there?') {
    print({ what: 'sent', outcome: await send('A page is.', { id, user: sender }) });
  }
}

/** Reads all behind what is known: after each join, and where a broadcast does not say all. */
async function catchUp() {
  for (let more = true; more;) {
    const { data } = await supabase.rpc('chatkit_entries', { channel, after, how_many: 1000 });
    for (const entry of readAnswer(data)) await take(entry);
    more = data.more;
  }
}

let work = Promise.resolve(); // one thing after the other
const next = (todo) => {
  work = work.then(todo);
};

supabase
  .channel(topics(channel).log, { config: { private: true, broadcast: { replication_ready: true } } })
  .on('broadcast', { event: 'entries' }, ({ payload }) => {
    const told = readEntries(channel, payload);
    const whole = told?.every(({ envelope }) => envelope !== null);
    next(async () => {
      const follows = whole && told[0].stamp.prev === (after?.serial ?? '');
      if (follows) for (const entry of told) await take(entry);
      else await catchUp();
    });
  })
  .on('system', {}, ({ message }) => {
    if (message !== 'Replication connection established') return;
    next(async () => {
      await catchUp();
      print({ what: 'ready' });
    });
  })
  .subscribe();
process.stdin.on('end', () => process.exit(0)).resume();
