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

test("what cannot be in a token is refused by name", async () => {
  const wrong: [object, RegExp][] = [
    [{}, /^sub must be a user id, .*, not undefined\.$/],
    [{ sub: 5 }, /^sub must be a user id, .*, not 5\.$/],
    [{ sub: "" }, /^sub must be a user id/],
    [{ sub: "has space" }, /^sub must be a user id, .*, not the text "has space"\.$/],
    [{ sub: "a", lifetime: "1h" }, /^lifetime must be a number of seconds above 0, not the text "1h"\.$/],
    [{ sub: "a", lifetime: Infinity }, /^lifetime must be/],
    [{ sub: "a", lifetime: -1 }, /^lifetime must be/],
    [{ sub: "a", scope: "admin" }, /^scope must be left out or "operator"/],
    [{ sub: "a", name: 7 }, /^name must be a text, not 7\.$/],
    [{ sub: "a", exp: 1 }, /^There is no option exp: .* exp is lifetime seconds later\.$/],
    [{ sub: "a", expiresIn: 1 }, /^There is no option expiresIn; signToken has sub, name, .*aud\.$/],
  ];
  for (const [options, message] of wrong)
    await assert.rejects(signToken("s", options as never), { name: "TypeError", message });
  await assert.rejects(signToken("s", undefined as never), { name: "TypeError", message: /^options must be an object with sub/ });
  const token = await signToken("s", { sub: "a", name: undefined as never, lifetime: 60 });
  const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, number>;
  assert.deepEqual(Object.keys(claims), ["sub", "iat", "exp"]);
  assert.equal(claims["exp"], (claims["iat"] ?? 0) + 60);
});

test("a back end without an address or a token is refused by name", () => {
  for (const url of [undefined, "", "nope", "chat.example.com", "ftp://a", "https://", "https://a:b@c", "https://a?b"])
    assert.throws(() => new RestClient(url as never, "token"), { name: "TypeError", message: /^url must be the address of the server/ });
  for (const token of [undefined, "", "two words", "line\n", 5])
    assert.throws(() => new RestClient("http://a", token as never), { name: "TypeError", message: /^token must be a token/ });
});

test("a request that cannot be made of its arguments is refused before it is sent", async () => {
  [answers, keys] = [[], []];
  const wrong: [string, unknown, RegExp][] = [
    ["room.declare", { name: "n", members: [] }, /^external_id must be a text that is not empty, not undefined\.$/],
    ["room.get", undefined, /^What room\.get takes must be an object, not undefined\.$/],
    ["room.get", { room_id: "" }, /^room_id must be/],
    ["room.get", { room_id: null }, /^room_id must be .*, not null\.$/],
    ["presence.get", { user_id: ".." }, /^user_id must be something that can stand in a path/],
    ["user.rooms", { user_id: "u", cursor: null }, /^cursor must be .*, not null\.$/],
    ["room.get", { room_id: "r", id: 1 }, /^room\.get does not take id\.$/],
    ["message.send", { room_id: "r", idempotency_key: "é" }, /^idempotency_key must be/],
    ["toString", {}, /^There is no route toString\.$/],
    ["personal.export", { user_id: "u" }, /^personal\.export answers line by line: use lines\(\), not call\(\)\.$/],
  ];
  for (const [name, params, message] of wrong)
    await assert.rejects(rest.call(name as "room.get", params as never), { name: "TypeError", message });
  await assert.rejects(rest.lines("room.get" as "personal.export", { room_id: "r" } as never).next(), {
    name: "TypeError",
    message: /^room\.get gives one answer: use call\(\), not lines\(\)\.$/,
  });
  const nameless = new RestClient("http://127.0.0.1:1", () => undefined as never);
  await assert.rejects(nameless.call("instance.all", {}), { name: "TypeError", message: /^token must be/ });
  assert.deepEqual(keys, []);
});
