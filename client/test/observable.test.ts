import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "../src/emitter.ts";
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

test("a listener that throws in its first call hears nothing more, and the call throws the same", async () => {
  const value = new Value(1);
  let calls = 0;
  const listener = () => {
    calls += 1;
    throw new Error("broken");
  };
  assert.throws(() => value.subscribe(listener), /broken/);
  value.set(2);
  await Promise.resolve();
  assert.equal(calls, 1);
});

test("a listener that another one ends in the same round is not called any more", async () => {
  const value = new Value(1);
  const emitter = new Emitter<{ said: number }>();
  const heard: string[] = [];
  const stops: (() => void)[] = [];
  value.subscribe((one) => {
    if (one === 2) stops[0]?.();
  });
  stops.push(value.subscribe((one) => heard.push(`value ${one}`)));
  emitter.on("said", () => stops[1]?.());
  stops.push(emitter.on("said", (one) => heard.push(`said ${one}`)));
  value.set(2);
  emitter.emit("said", 2);
  await Promise.resolve();
  assert.deepEqual(heard, ["value 1"]);
});

test("who subscribes in the task of a change is told once", async () => {
  const value = new Value(1);
  const before: number[] = [];
  const seen: number[] = [];
  value.subscribe((one) => before.push(one));
  value.set(2);
  value.subscribe((one) => seen.push(one));
  await Promise.resolve();
  assert.deepEqual([before, seen], [[1, 2], [2]]);
});
