// Receives with pusher-js: `pusher_js.mjs PLACE PORT CHANNEL COUNT CHUNK`; says what counting.py says.
import { createHmac } from "node:crypto";
import { writeSync } from "node:fs";
import { createRequire } from "node:module";

const [place, port, name, count, chunk] = process.argv.slice(2);
const Pusher = createRequire(`${place}/package.json`)("pusher-js");
const say = (line) => writeSync(1, `${line}\n`);

const customHandler = ({ socketId, channelName }, done) => {
  const channel_data = JSON.stringify({ user_id: "pusher-js" });
  const digest = createHmac("sha256", "app-secret").update(`${socketId}:${channelName}:${channel_data}`).digest("hex");
  done(null, { auth: `app-key:${digest}`, channel_data });
};
const pusher = new Pusher("app-key", {
  wsHost: "127.0.0.1",
  wsPort: Number(port),
  cluster: "",
  forceTLS: false,
  enabledTransports: ["ws"],
  disableStats: true,
  channelAuthorization: { customHandler },
});
let [seen, began, ready] = [0, 0, false];
const spent = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
const channel = pusher.subscribe(name);
channel.bind("pusher:subscription_succeeded", () => {
  if (!ready) say("ready");
  ready = true;
});
channel.bind("chatkit", () => {
  seen += 1;
  if (count === "0") {
    say(`message ${Number(process.hrtime.bigint()) / 1e9}`);
  } else if (seen % chunk === 0) {
    if (seen === Number(chunk)) began = spent();
    say(seen);
    if (seen === Number(count)) {
      say((spent() - began) / (count - chunk));
      process.exit(0);
    }
  }
});
