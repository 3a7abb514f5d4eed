// What a web page on ably-js needs beside wire.mjs: names, what comes, and what goes (docs/wire.md).

import { wireName } from "./wire.mjs";

/** The client id under which a log's announcements come: not in normal form C, so no user's. */
export const LOG_CLIENT = "chatkit-lo\u0301g";

/** What a channel is called at Ably. */
export function ablyName(channel, namespace) {
  const name = /^(dm|u)\./.test(channel) ? channel : wireName(channel);
  return namespace === "" ? name : `${namespace}:${name}`;
}

/** What a message says, as ably-js gives it; null: it is none of chatkit's. */
export function readMessage({ name, data, encoding, clientId, serial, action, extras }) {
  const created = [undefined, null, 0, "message.create"].includes(action);
  if (name !== "chatkit" || !created || typeof data !== "string" || encoding) return null;
  const passing = extras?.ephemeral === true;
  const log = clientId === LOG_CLIENT ? JSON.parse(extras?.headers?.["chatkit-stamp"] ?? "null") : null;
  if (clientId === LOG_CLIENT && log === null) return null;
  const user = log?.user ?? clientId ?? null;
  const place = passing || user === null ? null : (serial ?? null);
  return { envelope: data, user, place, stamp: log };
}

/** The messages of one publish, to be repeated as they are until they are acknowledged. */
export function publish(batch, envelopes) {
  return envelopes.map((data, index) => ({ id: `${batch}:${index}`, name: "chatkit", data }));
}
