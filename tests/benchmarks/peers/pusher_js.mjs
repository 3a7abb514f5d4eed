// Receives with pusher-js: `pusher_js.mjs PLACE PORT CHANNEL COUNT CHUNK`; says what counting.py says.
import { createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { counting, say } from "./counting.mjs";

const [place, port, name, count, chunk] = process.argv.slice(2);
const Pusher = createRequire(`${place}/package.json`)("pusher-js");

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
let ready = false;
const channel = pusher.subscribe(name);
channel.bind("pusher:subscription_succeeded", () => {
  if (!ready) say("ready");
  ready = true;
});
channel.bind("chatkit", counting(Number(count), Number(chunk)));
