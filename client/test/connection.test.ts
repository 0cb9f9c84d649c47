// When the next attempt comes: told, and not waited for by whoever asks for it now.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "../src/connection.ts";

const turn = () => new Promise((done) => setImmediate(done));

test("an attempt that failed says when the next one comes, and connect() makes it at once", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] }); // the pause never ends
  let asked = 0;
  const connection = new Connection({
    url: "http://127.0.0.1:9",
    getToken: () => {
      asked += 1;
      return Promise.reject(new Error("no token today"));
    },
    cursors: () => ({}),
    event: () => assert.fail("nobody is there"),
    warn: () => undefined,
  });
  connection.connect();
  connection.connect();
  await turn();
  assert.equal(asked, 1, "connect() while it is under way changes nothing");
  const { value } = connection.state;
  assert(value.status === "offline" && value.code === "unauthorized");
  assert(value.retryAt !== undefined && value.retryAt > Date.now());
  await turn();
  assert.equal(asked, 1);
  connection.connect();
  await turn();
  assert.equal(asked, 2);
  connection.close();
  assert.deepEqual(connection.state.value, { status: "offline" });
});
