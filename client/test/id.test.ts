import assert from "node:assert/strict";
import { test } from "node:test";
import { uuid7 } from "../src/id.ts";

const FORM = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("an id is a UUID of version 7 that begins with its time", () => {
  for (const at of [0, 1_700_000_000_123, 2 ** 48 - 1]) {
    const id = uuid7(at);
    assert.match(id, FORM);
    assert.equal(parseInt(id.replaceAll("-", "").slice(0, 12), 16), at);
  }
  const before = Date.now();
  const at = parseInt(uuid7().replaceAll("-", "").slice(0, 12), 16);
  assert(before <= at && at <= Date.now());
});

test("ids of one moment differ in each group behind the time", () => {
  const ids = Array.from({ length: 1000 }, () => uuid7(1));
  for (const [from, to, least] of [[0, 36, 1000], [15, 18, 500], [20, 23, 500], [24, 36, 1000]] as const)
    assert(new Set(ids.map((id) => id.slice(from, to))).size >= least);
});
