// Receives with Supabase's own client in JavaScript: `realtime_js.mjs PLACE URL KEY MODE TOPIC COUNT CHUNK`; as
// realtime_client.py.
import { createRequire } from "node:module";
import { counting, say } from "./counting.mjs";

const [place, url, key, mode, topic, count, chunk] = process.argv.slice(2);
const require = createRequire(`${place}/package.json`);
const { RealtimeClient } = require("@supabase/realtime-js");
const client = new RealtimeClient(`${url}/realtime/v1`, { params: { apikey: key }, transport: require("ws") });

const one = counting(Number(count), Number(chunk));
const channel = client.channel(topic, { config: { private: mode === "database" } });
if (mode === "database") {
  channel.on("broadcast", { event: "entries" }, ({ payload }) => {
    for (const { data } of payload.entries) {
      JSON.parse(data);
      one();
    }
  });
} else {
  channel.on("broadcast", { event: "chatkit" }, ({ payload }) => {
    JSON.parse(payload.data);
    one();
  });
}
let ready = false;
channel.subscribe((state) => {
  if (state === "SUBSCRIBED" && !ready) {
    ready = true;
    say("ready");
  }
});
