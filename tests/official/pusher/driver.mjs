// Official pusher-js clients at the command of a test: one JSON object a line in, what happens one a line out.
//
//   {"id": 1, "client": "ada", "do": "subscribe", "with": ["room"]}    ->  {"id": 1, "result": null}
//   {"client": "ada", "saw": "event", "channel": "room", "event": "said", "data": {...}}
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.argv[2]}/package.json`);
const Pusher = require("pusher-js");

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
Pusher.logToConsole = false;
for (const level of ["warn", "error"]) console[level] = (...words) => tell({ saw: level, words: words.map(String) });

const clients = new Map();

function watch(name, pusher) {
  const saw = (kind, what) => tell({ client: name, saw: kind, ...what });
  pusher.connection.bind("state_change", ({ previous, current }) => saw("state", { previous, current }));
  pusher.connection.bind("error", (error) => saw("error", { error: error?.error?.data ?? error?.data ?? error }));
  if (pusher.quiet) return; // one of a crowd
  pusher.connection.bind("message", (message) => saw("message", message));
  pusher.bind_global((event, data) => saw("global", { event, data }));
  pusher.user.bind_global((event, data) => saw("user", { event, data }));
  pusher.user.watchlist.bind_global((event, data) => saw("watchlist", { event, data }));
}

const deeds = {
  open(name, _, key, { quiet, ...options }) {
    const pusher = new Pusher(key, options);
    clients.set(name, pusher);
    tell({ client: name, saw: "state", previous: "initialized", current: pusher.connection.state });
    pusher.quiet = quiet;
    watch(name, pusher);
  },
  subscribe(name, pusher, channel) {
    const known = pusher.channel(channel);
    const subscribed = pusher.subscribe(channel);
    if (known) return;
    if (!pusher.quiet)
      subscribed.bind_global((event, data) =>
        tell({ client: name, saw: "event", channel, event, data: event === "pusher:subscription_succeeded" ? null : data }),
      );
    subscribed.bind("pusher:subscription_succeeded", () => tell({ client: name, saw: "subscribed", channel }));
    subscribed.bind("pusher:subscription_error", (error) => tell({ client: name, saw: "refused", channel, error }));
  },
  unsubscribe: (_, pusher, channel) => pusher.unsubscribe(channel),
  trigger: (_, pusher, channel, event, data) => pusher.channel(channel).trigger(event, data),
  members(_, pusher, channel) {
    const { count, me, members, myID } = pusher.channel(channel).members;
    return { count, me, members, myID };
  },
  count: (_, pusher, channel) => pusher.channel(channel).subscriptionCount ?? null,
  signin: (_, pusher) => pusher.signin(),
  user: (_, pusher) => pusher.user.user_data,
  socket_id: (_, pusher) => pusher.connection.socket_id,
  state: (_, pusher) => pusher.connection.state,
  disconnect: (_, pusher) => pusher.disconnect(),
  connect: (_, pusher) => pusher.connect(),
  send: (_, pusher, event, data, channel) => pusher.connection.send_event(event, data, channel ?? undefined),
  raw: (_, pusher, text) => pusher.connection.connection.transport.socket.send(text),
  close(name, pusher) {
    pusher.disconnect();
    clients.delete(name);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    const result = deeds[command.do](command.client, clients.get(command.client), ...(command.with ?? []));
    tell({ id: command.id, result: result ?? null });
  } catch (error) {
    tell({ id: command.id, failed: String(error) });
  }
}
process.exit(0);
