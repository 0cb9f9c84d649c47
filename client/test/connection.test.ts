// When the next attempt comes: told, and not waited for by whoever asks for it now.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createRequire } from "node:module";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Connection, type ConnectionState } from "../src/connection.ts";

const turn = () => new Promise((done) => setImmediate(done));

interface Told {
  readonly connection: Connection;
  readonly warnings: string[];
}

/** A connection, and what its logger was told. */
function told(getToken: () => unknown, url = "http://127.0.0.1:9"): Told {
  const warnings: string[] = [];
  const connection = new Connection({
    url,
    getToken: getToken as () => string,
    cursors: () => ({}),
    event: () => assert.fail("nobody is there"),
    warn: (message, error) => void warnings.push(`${message} ${String(error)}`),
  });
  return { connection, warnings };
}

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

test("a getToken that returns nothing is told once, with the reason, however often it is asked", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { connection, warnings } = told(() => undefined);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    connection.connect();
    await turn();
    const { value } = connection.state;
    assert(value.status === "offline" && value.code === "unauthorized");
    assert.match(value.message ?? "", /^getToken returned undefined/);
  }
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /^No token; trying again\. .*getToken returned undefined/);
  connection.close();
});

/** A server that refuses every session. */
async function refusing(code: string, message: string): Promise<{ url: string; close: () => void }> {
  const { WebSocketServer } = createRequire(import.meta.url)("ws") as {
    WebSocketServer: new (options: object) => Server;
  };
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  server.on("connection", (socket: { send(text: string): void; on(type: "message", heard: () => void): void }) => {
    socket.send('0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}');
    const refusal = JSON.stringify({ message, data: { code } });
    socket.on("message", () => socket.send(`44/chat,${refusal}`));
  });
  await once(server, "listening");
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => void server.close() };
}

function becomes(connection: Connection, status: ConnectionState["status"]): Promise<ConnectionState> {
  return new Promise((done) => connection.state.subscribe((state) => state.status === status && done(state)));
}

test("a refused connection has the server's message, and the logger is told once", async () => {
  const reason = { code: "unauthorized", message: "The token is missing or invalid." };
  const { url, close } = await refusing(reason.code, reason.message);
  const { connection, warnings } = told(() => "garbage", url);
  const refused = becomes(connection, "refused");
  connection.connect();
  assert.deepEqual(await refused, { status: "refused", ...reason });
  await assert.rejects(connection.command("room.list", {}), reason);
  assert.deepEqual(warnings, [
    "The connection was refused; only connect() tries again. ChatError: The token is missing or invalid.",
  ]);
  connection.close();
  close();
});

test("a token that has expired is told with the server's message", async () => {
  const { url, close } = await refusing("token_expired", "The token has expired.");
  const { connection } = told(() => "old", url);
  connection.connect();
  const { code, message } = await becomes(connection, "offline");
  connection.close();
  close();
  assert.deepEqual([code, message], ["token_expired", "The token has expired."]);
});

test("commands before connect() and after close() wait, and the logger is told so once", async () => {
  const { connection, warnings } = told(() => new Promise(() => undefined));
  const commands = () => ["room.list", "unread.get"].map((name) => connection.command(name as "room.list", {}));
  const before = commands();
  connection.connect();
  await new Promise((done) => setTimeout(done, 1));
  assert.deepEqual(warnings, [], "connect() followed in the same turn");
  connection.close();
  for (const command of before) await assert.rejects(command, { code: "closed" });
  void commands();
  await new Promise((done) => setTimeout(done, 1));
  assert.deepEqual(warnings, ["Not connected; call connect(). Until then commands wait: room.list"]);
});
