// The published vectors of Ably, by ably.mjs: `node --test tests/javascript/ably.test.mjs`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { ablyName, change, publish, readMessage, readVersion } from "./ably.mjs";

const vectors = JSON.parse(readFileSync(new URL("../vectors/ably.json", import.meta.url), "ascii"));

test("names", () => {
  for (const { channel, namespace, name } of vectors.names) assert.equal(ablyName(channel, namespace), name);
});

for (const { what, message, envelope, user, place, stamp } of vectors.messages) {
  test(`messages: ${what}`, () => {
    const expected = envelope === null ? null : { envelope, user, place, stamp };
    assert.deepEqual(readMessage(message), expected);
  });
}

test("publishes", () => {
  for (const { batch, envelopes, messages } of vectors.publishes) {
    assert.deepEqual(publish(batch, envelopes), messages);
  }
});

for (const { what, message, place, ...now } of vectors.versions) {
  test(`versions: ${what}`, () => {
    assert.deepEqual(readVersion(message), place === null ? null : { ...now, place });
  });
}

test("changes", () => {
  for (const { serial, creation, change: changed, message } of vectors.changes) {
    assert.deepEqual(change(serial, creation, changed), message);
  }
});
