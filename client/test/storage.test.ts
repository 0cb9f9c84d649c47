import assert from "node:assert/strict";
import { test } from "node:test";
import { keyPrefix } from "../src/storage.ts";

test("what one user left is not found by another, whatever their ids are made of", () => {
  for (const other of ["a/outbox", "a/draft", "a%2Foutbox", "a", "/"]) {
    assert.equal(keyPrefix(other, "outbox").startsWith(keyPrefix("a", "outbox")), other === "a");
    assert.equal(keyPrefix("a", "draft").startsWith(keyPrefix(other, "outbox")), false);
  }
});
