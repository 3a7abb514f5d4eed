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

const KINDS = { 1: "message.update", 2: "message.delete", "message.update": "message.update", "message.delete": "message.delete" };

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** What a message that was changed at Ably is now, as ably-js gives it; null: it was not changed. */
export function readVersion({ data, clientId, serial, action, version }) {
  const kind = KINDS[action];
  if (kind === undefined || !clientId || !serial || !version?.serial) return null;
  const text = typeof data === "string" ? data : JSON.stringify(data ?? "");
  const now = parsed(text);
  const whole = now.kind === "message.create" && now.sender?.user === clientId;
  const words = typeof now.text === "string" ? now.text : text;
  const body = whole ? (now.body ?? null) : { type: "text", text: words };
  const told = parsed(version.metadata?.chatkit ?? "{}");
  const same = whole && told.ref?.id === now.id && told.ref?.user === clientId;
  const right = told.kind === kind && told.sender?.user === clientId && version.clientId === clientId;
  const deleted = kind === "message.delete";
  return {
    id: whole ? now.id : null, // null: it is known by its serial, or asked for with getMessageVersions
    deleted,
    body: deleted ? null : body,
    change: same && right ? told.id : null,
    place: `${version.serial}:v`,
  };
}

/** The message that makes a change of the message of a serial; of this one by updateMessage or deleteMessage. */
export function change(serial, creation, changed) {
  const { body, ...told } = JSON.parse(changed);
  const { body: _, ...rest } = JSON.parse(creation);
  const now = body === undefined ? rest : { ...JSON.parse(creation), body };
  const action = told.kind === "message.update" ? 1 : 2;
  return { action, serial, data: JSON.stringify(now), version: { metadata: { chatkit: JSON.stringify(told) } } };
}
