// The vectors of Pusher hold in JavaScript: `node --test tests/javascript/pusher.test.mjs`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { authAnswer, pusherName, readEvent } from "./pusher.mjs";

const vectors = JSON.parse(readFileSync(new URL("../vectors/pusher.json", import.meta.url), "ascii"));

test("names", () => {
  assert.ok(vectors.names.length > 0);
  for (const { channel, kind, cache, name } of vectors.names) assert.equal(pusherName(channel, kind, cache), name);
});

test("events", () => {
  assert.ok(vectors.events.length > 0);
  for (const { what, frame, envelope, user, attested, stamp } of vectors.events) {
    const found = readEvent(frame);
    assert.deepEqual([found.envelope, found.user, found.attested], [envelope, user, attested], what);
    assert.deepEqual(found.stamp && new Date(found.stamp.at), stamp && new Date(stamp.at), what);
    const without = (one) => one && Object.fromEntries(Object.entries(one).filter(([name]) => name !== "at"));
    assert.deepEqual(without(found.stamp), without(stamp), what);
  }
});

test("answers of an auth endpoint", () => {
  assert.ok(vectors.auth.length > 0);
  for (const { socket_id, channel_name, answer } of vectors.auth) {
    const made = authAnswer(vectors.key, vectors.secret, "0".repeat(32), socket_id, channel_name, answer.channel_data);
    assert.deepEqual(made, answer);
  }
});
