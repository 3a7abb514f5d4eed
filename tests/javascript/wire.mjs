// What a web page needs to take part: names, ids, orders, clock and the shape of an envelope (docs/wire.md).

import { createHash, createHmac } from "node:crypto";

const BYTES = new TextEncoder();
const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const MAX_WIRE_NAME = 140;
const CONTROL = /[\0-\x1f\x7f-\x9f]|\p{Surrogate}/u;
const SELECTORS = /\p{Variation_Selector}/gu;

/** Sort key of text: comparing strings would compare UTF-16 units (D31). */
export function compareBytes(one, other) {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

export function escape(text) {
  return Array.from(BYTES.encode(text), (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9-]/.test(character) ? character : `_${byte.toString(16).padStart(2, "0")}`;
  }).join("");
}

export function unescape(text) {
  const bytes = [];
  for (const [part, hex] of text.matchAll(/_([0-9a-f]{2})|[^]/gu)) {
    if (hex === undefined && !/^[A-Za-z0-9-]$/.test(part)) throw new RangeError("not an escaped name");
    bytes.push(hex === undefined ? part.charCodeAt(0) : parseInt(hex, 16));
  }
  const original = TEXT.decode(Uint8Array.from(bytes));
  if (escape(original) !== text) throw new RangeError("not an escaped name");
  return original;
}

/** An app's own channel name, as kept. */
export function checkChannel(name) {
  const normal = checkText(name.normalize("NFC"), MAX_WIRE_NAME);
  if (/^(dm|u)\./.test(normal)) throw new RangeError("reserved");
  if ([...normal].length > 64 || wireName(normal).length > MAX_WIRE_NAME) throw new RangeError("too long");
  return normal;
}

export function checkUser(id) {
  if (id === "*") throw new RangeError("means everyone");
  return checkText(id.normalize("NFC"), 128);
}

export function emojiKey(text) {
  return checkText(text.replace(SELECTORS, "").normalize("NFC"), 64);
}

/** The name at a provider of an app's own channel. */
export function wireName(channel) {
  return channel.split(".").map(escape).join(".");
}

export function direct(one, other) {
  const users = [checkUser(one), checkUser(other)].sort(compareBytes);
  return bounded("dm.", users.map(escape).join("."));
}

export function personal(user) {
  return bounded("u.", escape(checkUser(user)));
}

/** Order of what a sequencer numbered: the epoch as a number, then the serial as bytes (D3). */
export function compareKeys(one, other) {
  return one.epoch - other.epoch || compareBytes(one.serial, other.serial);
}

/** Order where no sequencer numbers (D3). */
export function compareClocked(one, other) {
  for (const field of ["hlc", "user", "device", "id"]) {
    const sign = compareBytes(one[field], other[field]);
    if (sign) return sign;
  }
  return 0;
}

/** The hybrid clock (D4); milliseconds and counter together need 64 bits. */
export class HybridClock {
  #last;

  constructor(last) {
    this.#last = last === null ? null : packed(last);
  }

  get last() {
    return this.#last === null ? null : reading(this.#last);
  }

  tick(now) {
    const fresh = BigInt(Math.max(now, 0)) << 16n;
    this.#last = this.#last === null || fresh > this.#last ? fresh : this.#last + 1n;
    return this.last;
  }

  observe(remote, now) {
    const seen = packed(remote);
    if (seen >> 16n > BigInt(now) + 60_000n) return false;
    if (this.#last === null || seen > this.#last) this.#last = seen;
    return true;
  }
}

export function freshId(now, random) {
  const bits = BigInt(`0x${random}`);
  return uuid((BigInt(now) << 80n) | (7n << 76n) | ((bits >> 62n) << 64n) | (2n << 62n) | (bits & ((1n << 62n) - 1n)));
}

export function keyedId(secret, ...parts) {
  const mac = createHmac("sha256", Buffer.from(secret, "hex"));
  for (const part of parts) {
    const bytes = Buffer.from(part);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    mac.update(length).update(bytes);
  }
  const bytes = mac.digest().subarray(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x80;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return uuid(BigInt(`0x${bytes.toString("hex")}`));
}

const FIELDS = [
  "v", "min", "id", "kind", "channel", "sender", "seq", "pred", "hlc", "epoch", "at", "ref", "thread", "topic",
  "mentions", "also", "body", "ttl", "meta", "stamp",
];
// What a reader interprets of an envelope that asks for a newer one.
const FRAME = ["v", "min", "id", "kind", "channel", "sender", "seq", "pred", "hlc", "epoch", "at", "stamp"];
const FRAME_PARTS = ["sender", "stamp"];

/**
 * Read an envelope that comes from a sender who keeps the rules. `JSON.parse` hides duplicate keys and rounds
 * integers, so this is no judge of hostile frames: those are refused where they enter the log.
 */
export function read(bytes) {
  const came = { min: 1, ...withoutNulls(JSON.parse(TEXT.decode(bytes))) };
  const readable = came.min <= 1;
  for (const part of readable ? [...FRAME_PARTS, "ref", "thread"] : FRAME_PARTS) {
    if (came[part] !== undefined) came[part] = withoutNulls(came[part]);
  }
  const fields = readable ? FIELDS : FRAME;
  const unknown = Object.keys(came).filter((field) => !fields.includes(field));
  const envelope = {};
  for (const field of [...fields, ...unknown]) {
    if (came[field] !== undefined && !(readable && saysNothing(field, came[field]))) envelope[field] = came[field];
  }
  const prefix = envelope.kind.split(".")[0];
  const body = envelope.body;
  return {
    envelope,
    class: { state: "state", typing: "ephemeral", presence: "ephemeral", x: "ephemeral" }[prefix] ?? "log",
    readable,
    unknown,
    claim: readable && body?.type === "claim" ? { bytes: body.bytes, summary: body.summary ?? "" } : null,
    emoji: readable && prefix === "reaction" ? body.emoji : null,
    fallback: body?.fallback ?? null,
  };
}

function saysNothing(field, value) {
  if (field === "also") return !value;
  return (field === "mentions" || field === "meta") && Object.keys(value).length === 0;
}

function withoutNulls(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}

function checkText(text, limit) {
  if (!text) throw new RangeError("empty");
  if (CONTROL.test(text)) throw new RangeError("control character or lone surrogate");
  if (BYTES.encode(text).length > limit) throw new RangeError("too long");
  return text;
}

function bounded(prefix, rest) {
  const name = prefix + rest;
  if (name.length <= MAX_WIRE_NAME && !/^[0-9a-f]{64}$/.test(rest)) return name;
  return prefix + createHash("sha256").update(name).digest("hex");
}

function packed(text) {
  return BigInt(`0x${text.replace("-", "")}`);
}

function reading(value) {
  const hex = value.toString(16).padStart(16, "0");
  return `${hex.slice(0, 12)}-${hex.slice(12)}`;
}

function uuid(value) {
  return value.toString(16).padStart(32, "0").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
