// Ably's own client in a channel of chatkit's: says what it hears, and edits what chatkit has edited.
//
//   node beside.mjs PACKAGES http://127.0.0.1:PORT CHANNEL
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
const say = (what, { action, data, serial }) => console.log(JSON.stringify({ what, action, data, serial }));

const channel = client.channels.get(name);
let edited = false;
await channel.subscribe(async (message) => {
  say('heard', message);
  if (message.action === 'message.update' && !edited) {
    edited = true;
    await channel.updateMessage({ serial: message.serial, data: 'by ably-js' }, { description: 'as one may' });
  }
  if (message.action === 'message.delete') {
    for (const item of (await channel.history()).items) say('history', item);
    client.close();
  }
});
console.log(JSON.stringify({ what: 'ready' }));
