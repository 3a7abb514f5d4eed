// Ably's own client in a channel of chatkit's: reacts as chatkit does, and says what it hears summed up.
//
//   node reacting.mjs PACKAGES http://127.0.0.1:PORT CHANNEL
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [, , packages, url, name] = process.argv;
const Ably = createRequire(join(packages, 'package.json'))('ably');
const { hostname, port } = new URL(url);
const client = new Ably.Realtime({
  key: 'app.key:secret',
  clientId: 'moderator',
  endpoint: hostname,
  port: Number(port),
  tls: false,
  logLevel: 0,
  disableConnectivityCheck: true,
  wsConnectivityCheckUrl: `ws://${hostname}:${port}/`,
});
const TYPE = 'reaction:distinct.v1';
const say = (what, { annotations }) => {
  const told = Object.entries(annotations.summary[TYPE]).map(([name, { clientIds }]) => [name, clientIds]);
  console.log(JSON.stringify({ what, summary: Object.fromEntries(told) }));
};

const channel = client.channels.get(name, { modes: ['PUBLISH', 'SUBSCRIBE', 'ANNOTATION_PUBLISH'] });
const react = (act, { serial }, emoji) => channel.annotations[act](serial, { type: TYPE, name: emoji });
let heard = 0;
await channel.subscribe(async (message) => {
  if (message.action !== 'message.summary') return;
  say('heard', message);
  heard += 1;
  if (heard === 1) {
    await react('publish', message, '👍');
    await react('publish', message, '❤️');
  }
  if (heard === 4) await react('delete', message, '❤️');
  if (heard === 5) {
    for (const item of (await channel.history()).items) say('history', item);
    client.close();
  }
});
console.log(JSON.stringify({ what: 'ready' }));
