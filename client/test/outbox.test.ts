import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, test } from "node:test";
import type { MessageSendPayload, SentAnswer } from "../types.js";
import type { Commander } from "../src/connection.ts";
import { ChatError, refusal } from "../src/error.ts";
import { Outbox } from "../src/outbox.ts";
import { type ChatStorage, memoryStorage } from "../src/storage.ts";
import { until } from "./wire.ts";

const PREFIX = "chat/alice/outbox/r/";

/** A server that answers when the test says so. */
class Wire {
  online = true;
  readonly sent: string[] = [];
  readonly ids: string[] = [];
  #waiting: { ok: (answer: SentAnswer) => void; fail: (error: ChatError) => void }[] = [];

  get connection(): Commander {
    const { online } = this;
    return { online, once: this.#once, command: () => new Promise(() => undefined) } as unknown as Commander;
  }

  readonly #once = (_: string, payload: MessageSendPayload) => {
    this.sent.push(payload.text ?? "");
    this.ids.push(payload.client_msg_id);
    return new Promise<SentAnswer>((ok, fail) => this.#waiting.push({ ok, fail }));
  };

  async accept(status: SentAnswer["status"] = "queued"): Promise<void> {
    this.#waiting.shift()?.ok({ seq: 1, status } as SentAnswer);
    await turn();
  }

  async refuse(error: ChatError): Promise<void> {
    this.#waiting.shift()?.fail(error);
    await turn();
  }
}

const opened: Outbox[] = [];

afterEach(() => {
  for (const box of opened.splice(0)) box.close();
});

const nothing = () => undefined;

function outbox(wire: Wire, storage: ChatStorage = memoryStorage(), changed: () => void = nothing, most?: number): Outbox {
  const box = new Outbox({
    room_id: "r",
    get connection() {
      return wire.connection;
    },
    storage,
    tab: "tab",
    prefix: () => PREFIX,
    seq: () => undefined,
    mostFiles: () => most,
    changed,
    acked: nothing,
    warn: (_, error) => assert.fail(String(error)),
  });
  opened.push(box);
  return box;
}

const AGAIN = new ChatError({ code: "unavailable", message: "", retryable: true, retry_after_ms: 5 });

test("the next message leaves when the one before is in the log: acked or heard", async () => {
  const wire = new Wire();
  const box = outbox(wire);
  const [one, two] = [box.add({ text: "one" }), box.add({ text: "two" })];
  box.add({ text: "three" });
  assert.deepEqual(wire.sent, ["one"]);
  box.heard(one.client_msg_id);
  assert.deepEqual(wire.sent, ["one", "two"]);
  await wire.accept();
  assert.deepEqual(wire.sent, ["one", "two"]);
  await wire.accept();
  assert.deepEqual(wire.sent, ["one", "two", "three"]);
  assert.equal(box.get(two.client_msg_id), undefined);
});

test("a retryable refusal is repeated under the same id, before any later message", async () => {
  const wire = new Wire();
  const box = outbox(wire);
  box.add({ text: "one" });
  box.add({ text: "two" });
  await wire.refuse(AGAIN);
  while (wire.sent.length < 2) await turn();
  assert.deepEqual(wire.sent, ["one", "one"]);
  assert.equal(wire.ids[0], wire.ids[1]);
  await wire.accept();
  assert.deepEqual(wire.sent, ["one", "one", "two"]);
});

test("what is refused for good waits for the user and holds up nobody", async () => {
  const wire = new Wire();
  const box = outbox(wire);
  const one = box.add({ text: "one" });
  box.add({ text: "two" });
  await wire.refuse(refusal("forbidden", "frozen"));
  assert.deepEqual([one.phase, one.error?.code, wire.sent.at(-1)], ["refused", "forbidden", "two"]);
  await wire.accept();
  box.retry(one);
  assert.equal(wire.sent.at(-1), "one");
  assert.equal(wire.ids.at(-1), wire.ids[0]);
});

test("nothing leaves while offline, and everything in order afterwards", async () => {
  const wire = new Wire();
  wire.online = false;
  const box = outbox(wire);
  box.add({ text: "one" });
  box.add({ text: "two" });
  assert.deepEqual(wire.sent, []);
  wire.online = true;
  box.flush();
  await wire.accept();
  assert.deepEqual(wire.sent, ["one", "two"]);
});

test("unsent messages survive a reload, in order, each under its id", async () => {
  const storage = memoryStorage();
  const before = new Wire();
  before.online = false;
  const typed = outbox(before, storage);
  const ids = ["one", "two", "three"].map((text) => typed.add({ text }).client_msg_id);
  const wire = new Wire();
  const box = outbox(wire, storage);
  box.restore(await storage.entries(PREFIX));
  while (box.list.length) await wire.accept();
  assert.deepEqual([wire.sent, wire.ids], [["one", "two", "three"], ids]);
  assert.deepEqual(await storage.entries(PREFIX), []);
});

test("what was refused stays so over a reload, with its reason, until the user retries or discards it", async () => {
  const storage = memoryStorage();
  const before = new Wire();
  const typed = outbox(before, storage);
  for (const text of ["one", "two"]) typed.add({ text });
  const details = { text: ["Too long."] };
  await before.refuse(new ChatError({ code: "invalid_param", message: "A field is invalid.", retryable: false, details }));
  await before.refuse(refusal("forbidden", "frozen"));
  const wire = new Wire();
  const box = outbox(wire, storage);
  box.restore(JSON.parse(JSON.stringify(await storage.entries(PREFIX))) as [string, unknown][]);
  const [one, two] = box.list;
  assert(one?.error && two);
  assert.deepEqual([one.phase, two.phase, wire.sent], ["refused", "refused", []]);
  assert(one.error instanceof ChatError);
  assert.deepEqual([one.error.code, one.error.details], ["invalid_param", details]);
  assert.equal(one.error.message, "A field is invalid. text: Too long.");
  box.discard(two);
  box.retry(one);
  await wire.accept();
  assert.deepEqual([wire.sent, await storage.entries(PREFIX)], [["one"], []]);
});

test("files that meet no connection are not refused, and go on with the next session", async () => {
  const wire = new Wire();
  const closed = () => Promise.reject(refusal("closed", "The client was closed."));
  let asked = 0;
  const command = () => ((asked += 1) === 1 ? closed() : new Promise(() => undefined));
  Object.defineProperty(wire, "connection", { get: () => ({ online: wire.online, once: closed, command }) });
  const box = outbox(wire);
  const unsent = box.add({ files: [new File(["x"], "x.txt")] });
  wire.online = false;
  while (asked < 1) await turn();
  await turn();
  assert.equal(unsent.phase, "uploading");
  wire.online = true;
  box.flush();
  while (asked < 2) await turn();
  assert.equal(unsent.phase, "uploading");
});

test("a file that the storage could not keep is refused, not sent without it", async () => {
  const storage = memoryStorage();
  const before = new Wire();
  before.online = false;
  outbox(before, storage).add({ text: "see", files: [new File(["x"], "x.txt")] });
  const stored = JSON.parse(JSON.stringify(await storage.entries(PREFIX))) as [string, unknown][];
  const wire = new Wire();
  const box = outbox(wire, memoryStorage());
  box.restore(stored);
  const lost = box.list[0] ?? assert.fail();
  assert.deepEqual([lost.phase, lost.error?.code], ["refused", "file_lost"]);
  box.retry(lost);
  assert.deepEqual([lost.phase, wire.sent], ["refused", []]);
});

test("close() stops files that are on their way, and the next session begins them anew", async () => {
  const wire = new Wire();
  let asked = 0;
  const command = () => new Promise(() => (asked += 1));
  Object.defineProperty(wire, "connection", { get: () => ({ online: wire.online, command }) });
  const box = outbox(wire);
  const unsent = box.add({ files: [new File(["x"], "x.txt")] });
  await until(() => asked === 1);
  wire.online = false;
  box.close();
  await until(() => !unsent.isBusy && unsent.phase === "uploading");
  wire.online = true;
  box.flush();
  await until(() => asked === 2);
});

test("what the server would refuse is refused before it is shown: nothing said, or too many files if that is known", () => {
  const files = Array.from({ length: 3 }, () => new File(["x"], "x"));
  const of = (details: Record<string, string[]>) => ({ name: "ChatError", code: "invalid_param", retryable: false, details });
  const box = outbox(new Wire(), memoryStorage(), nothing, 2);
  assert.throws(() => box.add({}), of({ text: ["A message must not be empty."] }));
  assert.throws(() => box.add({ text: " \n\u3000" }), of({ text: ["There is no visible character."] }));
  assert.throws(() => box.add({ text: " ", files: files.slice(1) }), of({ text: ["There is no visible character."] }));
  assert.throws(() => box.add({ files }), of({ files: ["Length must be between 0 and 2."] }));
  assert.deepEqual(box.list, []);
  box.add({ files: files.slice(1) });
  outbox(new Wire()).add({ text: "not known before a session", files });
});

test("a file without a name gets one by its type; a named one keeps it", () => {
  const blobs: [Blob, string][] = [
    [new Blob(["x"], { type: "image/png" }), "image.png"],
    [new Blob(["x"], { type: "audio/webm;codecs=opus" }), "audio.webm"],
    [new Blob(["x"], { type: "text/plain" }), "file"],
    [new Blob(["x"]), "file"],
    [new File(["x"], "", { type: "image/jpeg" }), "image.jpeg"],
    [new File(["x"], "notes.txt"), "notes.txt"],
  ];
  const { uploads } = outbox(new Wire()).add({ files: blobs.map(([blob]) => blob) });
  assert.deepEqual(uploads.map(({ file }) => file.name), blobs.map(([, name]) => name));
  assert.deepEqual(uploads.map(({ file }) => file.type), blobs.map(([{ type }]) => type));
});

test("a discarded message is gone, also from the storage", async () => {
  const storage = memoryStorage();
  const wire = new Wire();
  wire.online = false;
  const box = outbox(wire, storage);
  box.discard(box.add({ text: "one" }));
  assert.deepEqual([box.list, await storage.entries(PREFIX)], [[], []]);
});

test("what is accepted is kept until message.status, and holds up nobody", async () => {
  const storage = memoryStorage();
  const wire = new Wire();
  const box = outbox(wire, storage);
  const [one, two] = [box.add({ text: "one" }), box.add({ text: "two" })];
  await wire.accept("accepted");
  assert.deepEqual([one.phase, wire.sent], ["accepted", ["one", "two"]]);
  box.heard(one.client_msg_id);
  assert.equal(one.phase, "accepted");
  box.durable(two.client_msg_id); // before its ack
  await wire.accept("accepted");
  assert.deepEqual(box.list, [one]);
  box.durable(one.client_msg_id);
  assert.deepEqual([box.list, await storage.entries(PREFIX), wire.sent.length], [[], [], 2]);
});

test("a new session, or page, asks whether what was accepted is durable, before anything is sent", async () => {
  const storage = memoryStorage();
  const before = new Wire();
  const { client_msg_id } = outbox(before, storage).add({ text: "one" });
  await before.accept("accepted");
  const wire = new Wire();
  wire.online = false;
  const box = outbox(wire, storage);
  box.restore(await storage.entries(PREFIX));
  box.add({ text: "two" });
  assert.deepEqual([box.list[0]?.phase, wire.sent], ["accepted", []]);
  wire.online = true;
  box.resume();
  box.flush();
  await wire.accept("accepted");
  await wire.accept();
  assert.deepEqual(box.list.map(({ text }) => text), ["one"]);
  box.resume();
  box.flush();
  await wire.accept();
  assert.deepEqual(wire.sent, ["one", "two", "one"]);
  assert.deepEqual([wire.ids[0], wire.ids[2]], [client_msg_id, client_msg_id]);
  assert.equal(box.get(client_msg_id), undefined);
});

test("what was accepted and can never be stored is refused; what cannot be asked about is done", async () => {
  const answers = { refused: refusal("invalid_param", "never"), accepted: AGAIN, gone: refusal("not_found", "left") };
  for (const [left, error] of Object.entries(answers)) {
    const wire = new Wire();
    const box = outbox(wire);
    box.add({ text: "one" });
    await wire.accept("accepted");
    box.resume();
    box.flush();
    await wire.refuse(error);
    assert.equal(box.list[0]?.phase ?? "gone", left);
  }
  const wire = new Wire();
  const box = outbox(wire);
  const one = box.add({ text: "one" });
  await wire.accept("accepted");
  box.failed(one.client_msg_id);
  assert.deepEqual([one.phase, one.error?.code], ["refused", "invalid_param"]);
});

test("what is typed behind a file waits for it, until it is refused or discarded", async () => {
  for (const end of ["refused", "discarded"]) {
    const wire = new Wire();
    let fail: ((error: ChatError) => void) | undefined;
    const command = () => new Promise((_, reject) => (fail = reject));
    const { connection } = wire;
    Object.defineProperty(wire, "connection", { value: { ...connection, command } });
    const box = outbox(wire);
    const file = box.add({ text: "see", files: [new File(["x"], "x.txt")] });
    box.add({ text: "the file above" });
    while (!fail) await turn();
    assert.deepEqual([file.phase, wire.sent], ["uploading", []]);
    assert(box.isBehind(file.created_at), "changes of the room wait too");
    if (end === "refused") fail(refusal("invalid_param", "Too large."));
    else box.discard(file);
    while (wire.sent.length === 0) await turn();
    assert.deepEqual(wire.sent, ["the file above"]);
  }
});

test("what is heard and has no ack is asked about under its id until one comes, and holds up nobody", async () => {
  const lost = refusal("no_answer", "", true);
  for (const isHeardFirst of [true, false]) {
    const storage = memoryStorage();
    const wire = new Wire();
    const box = outbox(wire, storage);
    const { client_msg_id } = box.add({ text: "one" });
    if (isHeardFirst) box.heard(client_msg_id);
    await wire.refuse(lost);
    box.heard(client_msg_id); // of the next session
    assert(!box.isBehind("9"), "changes of the room do not wait either");
    box.add({ text: "two" });
    assert.equal(wire.sent[1], "two");
    await wire.accept();
    await wire.refuse(lost);
    await until(() => wire.sent.length === 3);
    await wire.refuse(AGAIN);
    await until(() => wire.sent.length === 4);
    await wire.accept();
    assert.deepEqual(wire.sent, ["one", "two", "one", "one"]);
    assert.equal(new Set([0, 2, 3].map((index) => wire.ids[index])).size, 1);
    assert.deepEqual([box.list, await storage.entries(PREFIX)], [[], []]);
  }
});

test("a change of the room that waits for a message is told when its event comes, before its ack", () => {
  const wire = new Wire();
  let told = 0;
  const box = outbox(wire, memoryStorage(), () => (told += 1));
  const one = box.add({ text: "one" });
  told = 0;
  box.heard(one.client_msg_id);
  assert.deepEqual([told > 0, box.isBehind("9")], [true, false]);
});

test("message.status ends what is heard, and message.failed refuses it, also before its ack", async () => {
  const wire = new Wire();
  const box = outbox(wire);
  const [one, two] = [box.add({ text: "one" }), box.add({ text: "two" })];
  box.heard(one.client_msg_id);
  box.durable(one.client_msg_id);
  box.heard(two.client_msg_id);
  box.failed(two.client_msg_id, 7);
  assert.deepEqual([box.list, two.phase, two.after], [[two], "refused", 7]);
  await wire.accept("accepted");
  await wire.accept("accepted");
  assert.deepEqual([box.list, two.phase], [[two], "refused"]);
});

test("what was refused when it was repeated is no refused message once its event comes", async () => {
  const wire = new Wire();
  const box = outbox(wire);
  const one = box.add({ text: "one" });
  await wire.refuse(refusal("forbidden", "frozen meanwhile"));
  box.heard(one.client_msg_id);
  assert.deepEqual([one.phase, one.error, wire.sent], ["heard", undefined, ["one", "one"]]);
  await wire.refuse(refusal("forbidden", "frozen"));
  assert.deepEqual(box.list, []);
});

test("what is accepted is asked about again after a minute: message.status may be lost", async ({ mock }) => {
  const wire = new Wire();
  const box = outbox(wire);
  box.add({ text: "one" });
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.now() });
  await wire.accept("accepted");
  mock.timers.tick(59_000);
  assert.equal(wire.sent.length, 1);
  mock.timers.tick(61_000);
  assert.equal(wire.sent.length, 2);
  await wire.accept();
  assert.deepEqual(box.list, []);
});
