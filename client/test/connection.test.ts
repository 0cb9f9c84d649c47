// When the next attempt comes: told, and not waited for by whoever asks for it now.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { Connection, type ConnectionState } from "../src/connection.ts";
import { answering, closeAll, left, OPEN, type Running, serving, until } from "./wire.ts";
import { ChatError } from "../src/error.ts";

const turn = () => new Promise((done) => setImmediate(done));

const refusalOf = () => undefined;

afterEach(closeAll);

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
    refusalOf,
    event: () => assert.fail("nobody is there"),
    warn: (message, error) => void warnings.push(`${message} ${String(error)}`),
  });
  left.push(() => connection.close());
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
    refusalOf,
    event: () => assert.fail("nobody is there"),
    warn: () => undefined,
  });
  connection.connect();
  connection.connect();
  await turn();
  assert.equal(asked, 1, "connect() while it is under way changes nothing");
  const { value } = connection.state;
  assert(value.status === "offline" && value.code === "token_unavailable");
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
    assert(value.status === "offline" && value.code === "token_unavailable");
    assert.match(value.message ?? "", /^getToken returned undefined/);
  }
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /^No token; trying again\. .*getToken returned undefined/);
  connection.close();
});

test("a getToken that rejects with a ChatError says why by its code", async () => {
  const error = new ChatError({ code: "unauthorized", message: "Signed out.", retryable: false });
  const { connection } = told(() => Promise.reject(error));
  connection.connect();
  await turn();
  assert.deepEqual([connection.state.value.code, connection.state.value.message], ["unauthorized", "Signed out."]);
});

/** A server that refuses every session; without a code as any other server of Socket.IO does. */
function refusing(message: string, code?: string): Promise<Running> {
  const refusal = JSON.stringify(code === undefined ? { message } : { message, data: { code } });
  return serving((socket) => {
    socket.send(OPEN);
    socket.on("message", () => socket.send(`44/chat,${refusal}`));
  });
}

function becomes(connection: Connection, status: ConnectionState["status"]): Promise<ConnectionState> {
  return new Promise((done) => connection.state.subscribe((state) => state.status === status && done(state)));
}

test("a refused connection has the server's message, and the logger is told once", async () => {
  const reason = { code: "unauthorized", message: "The token is missing or invalid." };
  const { url, close } = await refusing(reason.message, reason.code);
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

/** Nothing at the url is a chat: the state says so with the url, and the logger once for two attempts. */
async function isUnreachable(url: string, why: RegExp): Promise<void> {
  const { connection, warnings } = told(() => "token", url);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const offline = becomes(connection, "connecting").then(() => becomes(connection, "offline"));
    connection.connect();
    const state = await offline;
    assert(state.status === "offline" && state.retryAt !== undefined);
    assert.equal(state.code, "unreachable");
    assert.match(state.message ?? "", why);
    assert(state.message?.includes(url));
  }
  connection.close();
  assert.equal(warnings.length, 1);
  assert(warnings[0]?.includes(url));
}

test("a port where nobody listens is told at once", async () => {
  await isUnreachable("http://127.0.0.1:9", /ECONNREFUSED/);
});

test("a server that answers with a page is told at once", async () => {
  const server = createServer((_, answer) => answer.writeHead(404).end("<h1>Not found</h1>")).listen(0, "127.0.0.1");
  await once(server, "listening");
  left.push(() => void server.close());
  await isUnreachable(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, /404/);
});

test("another server of Socket.IO is told at once", async () => {
  const { url } = await refusing("Invalid namespace");
  await isUnreachable(url, /Invalid namespace/);
});

for (const [what, greets] of [["says nothing", false], ["opens no session", true]] as const)
  test(`a server that ${what} is given up after 8 s`, async ({ mock }) => {
    let { url } = greets ? await serving((socket) => socket.send(OPEN)) : { url: "" };
    if (!greets) {
      const silent = createTcpServer((socket) => left.push(() => void socket.destroy())).listen(0, "127.0.0.1");
      left.push(() => void silent.close());
      await once(silent, "listening");
      url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    }
    const begun: { run: () => void; ms: number }[] = [];
    const { connection } = told(() => "token", url);
    const real = setTimeout;
    mock.method(globalThis, "setTimeout", (run: () => void, ms: number) => {
      if (ms === 8_000) begun.push({ run, ms });
      return real(run, ms);
    });
    connection.connect();
    // The handshake has its 8 s, and so has the session behind it.
    await until(() => begun.length === (greets ? 2 : 1));
    assert.equal(connection.state.value.status, "connecting");
    begun.at(-1)?.run();
    const { status, code } = connection.state.value;
    assert.deepEqual([status, code], ["offline", "unreachable"]);
  });

test("a url with a path leads to the server behind that path", async () => {
  for (const [path, wanted] of [["", "/socket.io/"], ["/", "/socket.io/"], ["/chat/eu/", "/chat/eu/socket.io/"]] as const) {
    const { url, paths } = await serving(() => undefined);
    const { connection } = told(() => "token", url + path);
    connection.connect();
    await until(() => paths.length > 0);
    assert.equal(paths[0]?.split("?")[0], wanted);
  }
});

test("a token that has expired is told with the server's message, and the logger once", async () => {
  const { url, close } = await refusing("The token has expired.", "token_expired");
  const fails = () => Promise.reject(new Error("no token"));
  let isThere = true;
  const { connection, warnings } = told(() => (isThere ? "old" : fails()), url);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const offline = becomes(connection, "connecting").then(() => becomes(connection, "offline"));
    connection.connect();
    const { code, message } = await offline;
    assert.deepEqual([code, message], ["token_expired", "The token has expired."]);
    isThere = false;
    connection.connect();
    await until(() => connection.state.value.code === "token_unavailable");
    isThere = true;
  }
  connection.close();
  close();
  assert.deepEqual(warnings, [
    "getToken returned a token that has expired; trying again. The token has expired.",
    "No token; trying again. Error: no token",
  ]);
});

test("what cannot be sent is refused for good, and what follows is sent", async () => {
  const { url, got } = await answering();
  const warnings: string[] = [];
  const connection = new Connection({
    url,
    getToken: () => "token",
    cursors: () => ({}),
    refusalOf,
    event: () => undefined,
    warn: (message) => void warnings.push(message),
  });
  left.push(() => connection.close());
  connection.connect();
  const wrong = { room_id: "r", client_msg_id: "c", text: "a", metadata: { n: 10n } };
  const refused = { code: "invalid_param", retryable: false, message: /^message\.send cannot be sent: .*BigInt/ };
  await assert.rejects(connection.once("message.send", wrong), refused);
  await assert.rejects(connection.command("message.send", wrong), refused);
  await connection.command("message.send", { ...wrong, metadata: {} });
  assert.deepEqual([got, warnings], [[["message.send", "a"]], []]);
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
  for (const command of commands()) command.catch(() => undefined); // refused at the end of the test
  await new Promise((done) => setTimeout(done, 1));
  assert.deepEqual(warnings, ["Not connected; call connect(). Until then commands wait: room.list"]);
});
