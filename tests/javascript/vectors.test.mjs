// The published vectors hold in JavaScript: `node --test tests/javascript/vectors.test.mjs`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as wire from "./wire.mjs";

const [escapes, direct, order, clock, ids, accept] = [
  "escape", "direct", "order", "clock", "ids", "accept",
].map((name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "ascii")));

/** Run each case of a list that must not be empty. */
function each(title, cases, check) {
  assert.ok(cases.length > 0, title);
  test(title, () => {
    for (const one of cases) {
      try {
        check(one);
      } catch (error) {
        throw new Error(`${title}: ${JSON.stringify(one).slice(0, 200)}`, { cause: error });
      }
    }
  });
}

const neighbours = (ascending) => ascending.slice(1).map((next, index) => [ascending[index], next]);

each("ESC and its reverse (D31)", escapes.escape, ({ text, escaped }) => {
  assert.equal(wire.escape(text), escaped);
  assert.equal(wire.unescape(escaped), text);
});
each("what ESC never writes (D31)", escapes.unescape_refused, (text) => assert.throws(() => wire.unescape(text)));
each("channels, as kept and at a provider (D31)", escapes.channels, (one) => {
  assert.equal(wire.checkChannel(one.name), one.channel);
  assert.equal(wire.wireName(one.channel), one.wire);
});
each("users (D31)", escapes.users, ({ id, user }) => assert.equal(wire.checkUser(id), user));
each("emoji keys", escapes.emoji, ({ text, key }) => assert.equal(wire.emojiKey(text), key));
each("channels refused", escapes.channels_refused, ({ name }) => assert.throws(() => wire.checkChannel(name)));
each("users refused", escapes.users_refused, ({ id }) => assert.throws(() => wire.checkUser(id)));
each("emoji refused", escapes.emoji_refused, ({ text }) => assert.throws(() => wire.emojiKey(text)));
each("direct channels, from either side (D31)", direct.direct, ({ a, b, channel }) => {
  assert.equal(wire.direct(a, b), channel);
  assert.equal(wire.direct(b, a), channel);
});
each("personal channels (D31)", direct.personal, ({ user, channel }) => assert.equal(wire.personal(user), channel));
each("text by its bytes (D31)", neighbours(order.users), ([one, next]) => assert.ok(wire.compareBytes(one, next) < 0));
test("a sort of UTF-16 units would differ (D31)", () => assert.notDeepEqual([...order.users].sort(), order.users));
each("order keys (D3)", neighbours(order.keys), ([one, next]) => assert.ok(wire.compareKeys(one, next) < 0));
each("orders by the clock (D3)", neighbours(order.clock_keys), ([one, next]) => {
  assert.ok(wire.compareClocked(one, next) < 0);
});
each("the hybrid clock (D4)", clock.cases, ({ last, steps }) => {
  const mine = new wire.HybridClock(last);
  for (const step of steps) {
    if ("tick" in step) {
      assert.equal(mine.tick(step.tick), step.reads);
    } else {
      assert.equal(mine.observe(step.observe, step.now), step.merged);
      assert.equal(mine.last, step.last);
    }
  }
});
each("fresh ids (D1)", ids.uuid7, ({ now_ms, random, id }) => assert.equal(wire.freshId(now_ms, random), id));
each("keyed ids (D14)", ids.keyed, (one) => {
  assert.equal(wire.keyedId(one.secret, one.user, one.channel, one.key), one.id);
});
each("envelopes", accept.cases, (one) => {
  const found = wire.read(Buffer.from(one.text));
  const expected = JSON.parse(one.encoded ?? one.text);
  assert.deepEqual(found.envelope, expected);
  assert.deepEqual(Object.keys(found.envelope), Object.keys(expected));
  assert.equal(found.class, one.class);
  assert.equal(found.readable, one.readable ?? true);
  assert.deepEqual(found.unknown, one.unknown ?? []);
  assert.deepEqual(found.claim, one.claim ?? null);
  assert.equal(found.emoji, one.emoji ?? null);
  assert.equal(found.fallback, one.fallback ?? null);
});
