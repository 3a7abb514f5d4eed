// What a web page on supabase-js needs beside wire.mjs: topics, what comes, and what goes (docs/wire.md).

import { wireName } from "./wire.mjs";

/** The topics of a channel, for `supabase.channel(topic)`: what the log announces, and all else. */
export function topics(channel) {
  const name = /^(dm|u)\./.test(channel) ? channel : wireName(channel);
  return { log: `chatkit:${name}`, live: `chatkit-live:${name}` };
}

/** The envelopes of an event `chatkit` on a live topic, which nobody vouches for; null: it is none. */
export function readLive(payload) {
  const told = Array.isArray(payload?.data) ? payload.data : [payload?.data];
  return told.every((text) => typeof text === "string") ? told : null;
}

/** What an event `entries` on a log topic tells, oldest first; null: read the log by `chatkit_entries`. */
export function readEntries(channel, payload) {
  const { v, log, epoch, channel: named, entries } = payload ?? {};
  if (v !== 1 || named !== channel || typeof log !== "string" || !entries?.length) return null;
  return entries.map(({ serial, prev, user, at, data, by }) => ({
    envelope: data ?? null, // null: it is larger than a broadcast, and is to be read
    user,
    attested: by,
    stamp: { epoch, serial, prev, log, user, at },
  }));
}

/** What `chatkit_entries` answers, likewise; `answer.more` says whether there is more behind it. */
export function readAnswer({ state, items }) {
  const digits = (serial) => (serial > 0 ? String(serial).padStart(20, "0") : "");
  return items.map(([serial, at, user, data]) => ({
    envelope: data,
    user,
    stamp: { epoch: 1, serial: digits(serial), prev: digits(serial - 1), log: state.log_id, user, at },
  }));
}

/** The arguments of `chatkit_append`: repeat them as they are until each is answered. */
export function append(channel, envelopes) {
  const entries = envelopes.map((data) => {
    const { id, sender, seq } = JSON.parse(data);
    return { user: sender.user, id, device: sender.device, seq, not_after: null, data };
  });
  return { channel, entries };
}

/** The payload of an event `chatkit` on a live topic. */
export function say(envelopes) {
  return { data: envelopes.length === 1 ? envelopes[0] : envelopes };
}
