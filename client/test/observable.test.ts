import assert from "node:assert/strict";
import { test } from "node:test";
import { Cell, Value } from "../src/observable.ts";

test("a subscriber gets the value at once, and changes of one task together", async () => {
  const value = new Value(1);
  const seen: number[] = [];
  const stop = value.subscribe((one) => seen.push(one));
  value.set(2);
  value.set(3);
  assert.deepEqual(seen, [1]);
  assert.equal(value.value, 3);
  await Promise.resolve();
  assert.deepEqual(seen, [1, 3]);
  stop();
  value.set(4);
  await Promise.resolve();
  assert.deepEqual(seen, [1, 3]);
});

test("a computed value is told only when it is another one", async () => {
  let part = 1;
  const cell = new Cell(() => part > 1);
  const seen: boolean[] = [];
  cell.subscribe((one) => seen.push(one));
  part = 0;
  cell.changed();
  await Promise.resolve();
  part = 2;
  cell.changed();
  await Promise.resolve();
  assert.deepEqual(seen, [false, true]);
});
