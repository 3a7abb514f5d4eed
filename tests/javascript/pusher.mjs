// What a web page on pusher-js needs beside wire.mjs: names, what comes, and what its auth endpoint answers
// (docs/wire.md).

import { createHash, createHmac } from "node:crypto";

import { wireName } from "./wire.mjs";

const PREFIXES = { presence: "presence-", private: "private-", encrypted: "private-encrypted-" };
const FIELD = ',"stamp":';

/** What a channel is called at Pusher. */
export function pusherName(channel, kind, cache) {
  const rest = /^(dm|u)\./.test(channel) ? channel : wireName(channel);
  return PREFIXES[kind] + (cache ? "cache-" : "") + rest.replace(/^(cache|encrypted)-/, "$1=");
}

/** What an event says: `channel.bind_global` gives its name and data, pusher-js the user_id in `metadata`. */
export function readEvent({ event, data, user_id: user }) {
  const text = typeof data === "string" ? data : JSON.stringify(data);
  if (event === "client-chatkit") {
    return { envelope: text, user: user ?? null, attested: user === undefined ? "none" : "provider", stamp: null };
  }
  const fields = JSON.parse(text);
  const { stamp } = fields;
  const envelope = stamp === undefined ? text : withoutStamp(text);
  return { envelope, user: fields.sender.user, attested: "backend", stamp: stamp === undefined ? null : told(stamp) };
}

/** What an auth endpoint answers for one connection and channel; on a server, never in the page. */
export function authAnswer(key, secret, masterKey, socketId, name, channelData) {
  const text = channelData === undefined ? `${socketId}:${name}` : `${socketId}:${name}:${channelData}`;
  const answer = { auth: `${key}:${createHmac("sha256", secret).update(text).digest("hex")}` };
  if (channelData !== undefined) answer.channel_data = channelData;
  if (name.startsWith(PREFIXES.encrypted)) {
    answer.shared_secret = createHash("sha256").update(name).update(masterKey).digest("base64");
  }
  return answer;
}

/** The stamp is the last field, put in before the closing brace. */
function withoutStamp(text) {
  return `${text.slice(0, text.lastIndexOf(FIELD))}}`;
}

/** A log's times go on to microseconds, where a `us` stands. */
function told({ at, us = 0, ...rest }) {
  return { ...rest, at: us ? at.replace("Z", `${String(us).padStart(3, "0")}Z`) : at };
}
