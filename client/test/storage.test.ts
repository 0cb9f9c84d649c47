import assert from "node:assert/strict";
import { test } from "node:test";
import { Journal } from "../src/journal.ts";
import { keyPrefix, memoryStorage, patient, webStorage } from "../src/storage.ts";

test("what one user left is not found by another, whatever their ids are made of", () => {
  for (const other of ["a/outbox", "a/draft", "a%2Foutbox", "a", "/"]) {
    assert.equal(keyPrefix(other, "outbox").startsWith(keyPrefix("a", "outbox")), other === "a");
    assert.equal(keyPrefix("a", "draft").startsWith(keyPrefix(other, "outbox")), false);
  }
});

test("what is no JSON in a localStorage does not hide the entries beside it", async () => {
  const held = new Map([["a/1", '"one"'], ["a/2", "{not JSON"], ["a/3", "3"]]);
  const store = { length: 3, key: (n: number) => [...held.keys()][n], getItem: (key: string) => held.get(key) };
  assert.deepEqual(await webStorage(store as Storage).entries("a/"), [["a/1", "one"], ["a/2", undefined], ["a/3", 3]]);
});

test("what is no entry among the writes of a page that went is removed, and the others are taken over", () => {
  const held: Record<string, string> = { "db:pending/a": '{"value":1}', "db:pending/b": "{", "db:pending/c": "{}", "db:pending/d": "5" };
  const hidden = { getItem: (key: string) => held[key], removeItem: (key: string) => Reflect.deleteProperty(held, key) };
  const store: object = Object.setPrototypeOf(held, hidden) as object;
  const before = Object.getOwnPropertyDescriptor(globalThis, "localStorage") ?? { value: undefined };
  Object.defineProperty(globalThis, "localStorage", { value: store, configurable: true });
  try {
    assert.deepEqual(new Journal("db").taken(), [["a", 1], ["c", undefined]]);
    assert.deepEqual(Object.keys(held), ["db:pending/a", "db:pending/c"]);
  } finally {
    Object.defineProperty(globalThis, "localStorage", { configurable: true, ...before });
  }
});

test("without a localStorage, as in Node, webStorage() says so", () => {
  const known = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
  Reflect.deleteProperty(globalThis, "localStorage");
  try {
    assert.throws(() => webStorage(), { name: "TypeError", message: /localStorage, which does not exist here/ });
  } finally {
    if (known) Object.defineProperty(globalThis, "localStorage", known);
  }
});

test("a localStorage that the browser blocks is none", () => {
  const known = Object.getOwnPropertyDescriptor(globalThis, "localStorage") ?? { value: undefined };
  const blocked = () => {
    throw new DOMException("The operation is insecure.", "SecurityError");
  };
  Object.defineProperty(globalThis, "localStorage", { get: blocked, configurable: true });
  try {
    assert.throws(() => webStorage(), { name: "TypeError", message: /memoryStorage\(\) works everywhere/ });
  } finally {
    Object.defineProperty(globalThis, "localStorage", { configurable: true, ...known });
  }
});

test("a storage that never settles rejects after ten seconds, and one that answers at once stays so", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const never = () => new Promise<never>(() => undefined);
  const storage = patient({ set: never, delete: never, entries: never });
  const ends = [storage.set("a", 1), storage.delete("a"), storage.entries("a")].map((end) =>
    Promise.resolve(end).then(String, String),
  );
  mock.timers.tick(10_000);
  for (const end of await Promise.all(ends)) assert.equal(end, "Error: The storage does not answer.");
  const held = patient(memoryStorage());
  assert.equal(held.set("a", 1), undefined);
  assert.deepEqual(held.entries(""), [["a", 1]]);
});
