// Ably's own client in JavaScript: `ably_js.mjs PLACE hear PORT CHANNEL COUNT CHUNK`, or
// `ably_js.mjs PLACE send PORT CHANNEL FILE`; as ably_client.py.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { counting, say, spent } from "./counting.mjs";

const [place, what, port, name, ...more] = process.argv.slice(2);
const { Realtime } = createRequire(`${place}/package.json`)("ably");
const client = new Realtime({ key: "app.key:secret", endpoint: "127.0.0.1", port: Number(port), tls: false, logLevel: 0 });
const channel = client.channels.get(name);

const hear = async (count, chunk) => {
  const one = counting(Number(count), Number(chunk));
  await channel.subscribe("chatkit", (message) => {
    JSON.parse(message.data);
    one();
  });
  say("ready");
};

const WARM = 20; // as counting.py

const send = async (file) => {
  const said = JSON.parse(readFileSync(file, "utf-8"));
  let began = 0;
  for (const [number, text] of said.entries()) {
    if (number === WARM) began = spent();
    await channel.publish("chatkit", text);
  }
  const each = (spent() - began) / (said.length - WARM);
  const start = performance.now();
  await Promise.all(said.map((text) => channel.publish("chatkit", text)));
  say(JSON.stringify({ "µs": each, "/s": (said.length / (performance.now() - start)) * 1000 }));
  process.exit(0);
};

await client.connection.once("connected");
await { hear, send }[what](...more);
