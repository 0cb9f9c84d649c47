import assert from "node:assert/strict";
import { test } from "node:test";
import type { Commander } from "../src/connection.ts";
import { History } from "../src/history.ts";
import { Timeline } from "../src/timeline.ts";

test("to ask for more than nothing does not count as having the end", async () => {
  const asked: string[] = [];
  const connection = {
    command: (name: string) => {
      asked.push(name);
      return Promise.resolve({ messages: [], has_more: false });
    },
  } as unknown as Commander;
  const history = new History(connection, "r", new Timeline(), () => undefined);
  await history.older();
  await history.newer();
  assert.deepEqual(asked, []);
  await history.hold();
  assert.deepEqual(asked, ["message.list"]);
});
