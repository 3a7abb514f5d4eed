// The published vectors of Supabase, by supabase.mjs: `node --test tests/javascript/supabase.test.mjs`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { append, readAnswer, readEntries, readLive, say, topics } from "./supabase.mjs";

const vectors = JSON.parse(readFileSync(new URL("../vectors/supabase.json", import.meta.url), "ascii"));

test("topics", () => {
  assert.ok(vectors.topics.length > 0);
  for (const { channel, log, live } of vectors.topics) assert.deepEqual(topics(channel), { log, live });
});

for (const { what, payload, envelopes } of vectors.live) {
  test(`live: ${what}`, () => assert.deepEqual(readLive(payload), envelopes));
}

for (const { what, channel, payload, told } of vectors.entries) {
  test(`entries: ${what}`, () => assert.deepEqual(readEntries(channel, payload), told));
}

for (const { what, answer, told } of vectors.answers) {
  test(`answers: ${what}`, () => assert.deepEqual(readAnswer(answer), told));
}

test("appends", () => {
  assert.ok(vectors.appends.length > 0);
  for (const { channel, envelopes, call } of vectors.appends) assert.deepEqual(append(channel, envelopes), call);
});

test("broadcasts", () => {
  assert.ok(vectors.broadcasts.length > 0);
  for (const { envelopes, payload } of vectors.broadcasts) assert.deepEqual(say(envelopes), payload);
});
