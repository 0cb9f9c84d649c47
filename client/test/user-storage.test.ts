// From when on what is unsent is stored, and whose it is.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { type ChatStorage, type Client, type ClientOptions, createClient, memoryStorage } from "../src/index.ts";
import { Kept } from "../src/kept.ts";
import { UserStorage } from "../src/user-storage.ts";
import { answering, closeAll, left, until } from "./wire.ts";

const NOWHERE = "http://127.0.0.1:9";

afterEach(closeAll);

/** A JWT, as far as a client reads it. */
const tokenOf = (sub: string): string => `header.${btoa(JSON.stringify({ sub, name: "\u00fc\u00ff\u00fe" }))}.signature`;

/** What the logger of a client was told. */
const told: string[] = [];

function open(options: Partial<ClientOptions>): Client {
  told.length = 0;
  const logger = { warn: (...what: unknown[]) => void told.push(what.map(String).join(" ")) };
  const client = createClient({ url: NOWHERE, getToken: () => Promise.reject(new Error("no token")), logger, ...options });
  left.push(() => client.close());
  return client;
}

const keys = async (storage: ChatStorage): Promise<string[]> =>
  (await storage.entries("")).map(([key]) => key.replace(/\/\d\S* \d+ \S+$/, ""));

const texts = (client: Client): string[] => client.room("r").state.value.messages.map(({ text }) => text);

const sent = (got: readonly (readonly [string, string?])[]) => got.filter(([name]) => name === "message.send");

const UNKNOWN = /in memory only, until it is known who the user is.* userId$/;

test("with a userId what is sent is stored at once, and a later page shows it, without any token", async () => {
  const storage = memoryStorage();
  const first = open({ storage, userId: "alice" });
  first.room("r").send({ text: "before connect" });
  first.connect();
  first.room("r").send({ text: "before a token" });
  first.room("r").draft.set("typed");
  await until(async () => (await keys(storage)).length === 3);
  assert.deepEqual(await keys(storage), ["rts-chat/alice/draft/r", "rts-chat/alice/outbox/r", "rts-chat/alice/outbox/r"]);
  assert.equal(first.room("r").state.value.messages[0]?.sender_id, "alice");
  first.close();
  const second = open({ storage, userId: "alice" });
  second.connect();
  await until(() => texts(second).length === 2);
  assert.deepEqual(texts(second), ["before connect", "before a token"]);
  assert.equal(second.room("r").draft.value, "typed");
  assert.deepEqual(told.filter((one) => !one.startsWith("No token")), []);
});

test("without a userId the first token says whose it is, also while no server answers", async () => {
  const storage = memoryStorage();
  const first = open({ storage, getToken: () => tokenOf("alice") });
  first.connect();
  await until(() => first.connection.value.status === "offline");
  first.room("r").send({ text: "before a session" });
  assert.deepEqual(await keys(storage), ["rts-chat/alice/outbox/r"]);
  first.close();
  const second = open({ storage, getToken: () => tokenOf("alice") });
  second.connect();
  await until(() => texts(second).length === 1);
  assert.notEqual(second.connection.value.status, "online");
});

test("while nobody knows the user nothing is stored, as the logger is told once, and then all is", async () => {
  const { url, got } = await answering("alice");
  const storage = memoryStorage();
  let give: ((token: string) => void) | undefined;
  const getToken = () => new Promise<string>((done) => (give = done));
  const client = open({ url, storage, getToken });
  const room = client.room("r");
  client.connect();
  room.draft.set("typed");
  room.send({ text: "one" });
  room.send({ text: "two" });
  assert.deepEqual(await keys(storage), []);
  assert.equal(told.length, 1);
  assert.match(told[0] ?? "", UNKNOWN);
  const stored: Promise<string[]>[] = [];
  client.session.subscribe((session) => session && stored.push(keys(storage)));
  give?.("opaque");
  await until(() => sent(got).length === 2);
  assert.deepEqual(await stored[0], ["rts-chat/alice/draft/r", "rts-chat/alice/outbox/r", "rts-chat/alice/outbox/r"]);
});

test("what is no entry is removed, as the logger is told, and does not keep the others from being sent", async () => {
  const { url, got } = await answering("alice");
  const storage = memoryStorage();
  const before = open({ storage, userId: "alice" });
  before.room("r").send({ text: "good" });
  before.room("r").mute().catch(() => undefined);
  before.room("s").draft.set("typed");
  await until(async () => (await keys(storage)).length === 3);
  const time = "2020-01-01T00:00:00.000Z";
  const nearly = { client_msg_id: "c", id: "c", created_at: time, text: "", attachments: [], files: [], payload: {} };
  const wrong = [undefined, null, "text", 5, {}, [], { ...nearly, fields: null }, { ...nearly, name: "room.leave" }];
  for (const [n, value] of wrong.entries())
    for (const kind of ["outbox", "change"]) await storage.set(`rts-chat/alice/${kind}/r/${time} 00000${n} x`, value);
  await storage.set("rts-chat/alice/draft/t", { text: "no" });
  before.close();
  const client = open({ url, storage, userId: "alice", getToken: () => "opaque" });
  client.connect();
  await until(() => got.some(([name]) => name === "room.mute"));
  assert.deepEqual(sent(got), [["message.send", "good"]]);
  await until(async () => (await keys(storage)).every((key) => key.includes("/draft/")));
  assert.deepEqual([client.room("s").draft.value, client.room("t").draft.value], ["typed", ""]);
  assert.equal(told.filter((one) => /^What was unsent cannot be read.*alice/.test(one)).length, 2 * wrong.length);
});

test("without a storage nobody is told that nothing survives", () => {
  const client = open({});
  client.room("r").send({ text: "one" });
  assert.deepEqual(told, []);
});

for (const [what, token] of [["a token", tokenOf("bob")], ["a session", "opaque"]] as const)
  test(`${what} of another user is refused, and nothing of this one is sent`, async () => {
    const { url, got, paths } = await answering("bob");
    const storage = memoryStorage();
    const client = open({ url, storage, userId: "alice", getToken: () => token });
    client.room("r").send({ text: "of alice" });
    client.connect();
    const waiting = client.direct("carol");
    const refused = { code: "other_user", message: "The token is that of bob, and this client that of alice: make one for each." };
    await assert.rejects(waiting, refused);
    assert.deepEqual(client.connection.value, { status: "refused", ...refused });
    assert.equal(client.session.value, undefined);
    assert.deepEqual([got, paths.length], [[], what === "a token" ? 0 : 1]);
    assert.deepEqual(await keys(storage), ["rts-chat/alice/outbox/r"]);
    assert.equal(told.filter((one) => one.includes("that of bob")).length, 1);
  });

test("a client stays with its first user, whoever the next token is for", async () => {
  const { url, got } = await answering("alice");
  let token = tokenOf("alice");
  const client = open({ url, getToken: () => token });
  client.connect();
  await until(() => client.connection.value.status === "online");
  client.close();
  client.room("r").send({ text: "of alice" });
  token = tokenOf("bob");
  client.connect();
  await until(() => client.connection.value.status === "refused");
  assert.deepEqual(sent(got), []);
  token = tokenOf("alice");
  client.connect();
  await until(() => sent(got).length === 1);
});

test("another user's token at the renewal is refused as in the beginning, and nothing is tried again", async () => {
  const { url, got } = await answering("alice", 1_000);
  let user_id = "alice";
  const client = open({ url, getToken: () => tokenOf(user_id) });
  client.connect();
  await until(() => client.connection.value.status === "online");
  user_id = "bob";
  await until(() => client.connection.value.status !== "online");
  assert.deepEqual([client.connection.value.status, client.connection.value.code], ["refused", "other_user"]);
  assert.equal(got.some(([name]) => name === "auth.refresh"), false);
  assert.deepEqual(told.filter((one) => one.includes("renewed")), []);
});

test("a handler of on() that throws at each event is told once, until the next session", async () => {
  const { url } = await answering("alice");
  const client = open({ url, getToken: () => tokenOf("alice") });
  let heard = 0;
  client.on("presence.changed", () => {
    heard += 1;
    throw new Error("broken");
  });
  client.connect();
  await until(() => heard === 2);
  assert.deepEqual(told, ["A handler of presence.changed failed. Error: broken"]);
});

test("a room whose id can be none is gone, as the state tells, and is asked for once", async () => {
  const { url, got } = await answering("alice", undefined, ["room.get", "message.list", "member.list"]);
  const client = open({ url, getToken: () => tokenOf("alice") });
  const room = client.room("has space");
  room.watch();
  client.connect();
  await until(() => room.state.value.gone);
  assert.deepEqual([room.state.value.hasOlder, told], [false, []]);
  assert.equal(got.filter(([name]) => name === "message.list").length, 1);
});

test("a storage that never settles is given up after ten seconds: no change of a room waits for it longer", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const never = () => new Promise<never>(() => undefined);
  const storage = { set: never, delete: never, entries: never };
  const warn = () => undefined;
  const kept = new Kept<{ created_at: string }>({
    storage: new UserStorage({ storage, tab: "tab", room: () => assert.fail(), rooms: () => [], warn }).storage,
    tab: "tab",
    prefix: () => "change/",
    warn,
  });
  const entry = { created_at: "2030" };
  kept.put(entry, "id", {});
  const isOurs = kept.isOurs(entry);
  mock.timers.tick(10_000);
  assert.equal(await isOurs, true);
});
