import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { RestClient, signToken } from "../src/server.ts";

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

const json: (body: object) => Answer = (body) => (response) =>
  response.setHeader("content-type", "application/json").end(JSON.stringify(body));
const done = json({ ok: true, data: { message_id: "m" } });
const refused = (code: string, retryable: boolean) =>
  json({ ok: false, error: { code, message: "", retryable, retry_after_ms: 1 } });
const page: Answer = (response) => {
  response.writeHead(502, { "content-type": "text/html" }).end("<html>");
};
const cut: Answer = (_, request) => request.socket.destroy();

let answers: Answer[] = [];
let keys: (string | undefined)[] = [];
const server = createServer((request, response) => {
  keys.push(request.headers["idempotency-key"]?.toString());
  (answers.shift() ?? done)(response, request);
});
let rest: RestClient;

before(async () => {
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  rest = new RestClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, "token");
});
after(() => server.close());

test("a message without a key is repeated under one", async () => {
  [answers, keys] = [[refused("unavailable", true), page, cut], []];
  await rest.call("message.send", { room_id: "r", text: "once" });
  assert.equal(keys.length, 4);
  assert.equal(new Set(keys).size, 1);
  assert.ok(keys[0]);
  await rest.call("message.send", { room_id: "r", text: "another" });
  assert.equal(new Set(keys).size, 2);
});

test("a refusal for good, and what is no fault of the network, is not repeated", async () => {
  [answers, keys] = [[refused("gone", false)], []];
  await assert.rejects(rest.call("room.get", { room_id: "r" }), { code: "gone" });
  await assert.rejects(rest.call("room.gett" as "room.get", { room_id: "r" }), TypeError);
  assert.deepEqual(keys, [undefined]);
});

test("a stream that is cut off, or is the page of a proxy, rejects with no_answer", async () => {
  const half: Answer = (response) => {
    response.setHeader("content-type", "application/x-ndjson").write('{"kind":"message"}\n{"ki');
    setTimeout(() => response.destroy(), 20);
  };
  for (const answer of [half, page]) {
    answers = [answer];
    const found: string[] = [];
    await assert.rejects(
      async () => {
        for await (const { kind } of rest.lines("personal.export", { user_id: "u" })) found.push(kind);
      },
      { code: "no_answer" },
    );
    assert.deepEqual(found, answer === half ? ["message"] : []);
  }
});

test("a token without a secret is refused in a sentence", async () => {
  for (const secret of ["", undefined as never])
    await assert.rejects(signToken(secret, { sub: "alice" }), { name: "TypeError", message: /^secret must be .* RTS_JWT_SECRET/ });
});
