import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import type { MessageSendPayload, SentAnswer } from "../types.js";
import type { Commander } from "../src/connection.ts";
import { ChatError, refusal } from "../src/error.ts";
import { due, Outbox, type Unsent } from "../src/outbox.ts";
import { type ChatStorage, memoryStorage } from "../src/storage.ts";

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

function outbox(wire: Wire, storage: ChatStorage = memoryStorage()): Outbox {
  const nothing = () => undefined;
  return new Outbox({
    room_id: "r",
    get connection() {
      return wire.connection;
    },
    storage,
    tab: "tab",
    prefix: () => PREFIX,
    seq: () => undefined,
    changed: nothing,
    acked: nothing,
    warn: (_, error) => assert.fail(String(error)),
  });
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
  box.confirm();
  box.flush();
  await wire.accept("accepted");
  await wire.accept();
  assert.deepEqual(box.list.map(({ text }) => text), ["one"]);
  box.confirm();
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
    box.confirm();
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

test("files that are on their way hold up nobody", () => {
  const unsent = (phase: Unsent["phase"], notBefore = 0) => ({ phase, notBefore }) as Unsent;
  const waiting = unsent("waiting");
  assert.equal(due([unsent("uploading"), unsent("refused"), unsent("heard"), waiting], 0), waiting);
  assert.equal(due([unsent("sent"), waiting], 0), undefined);
  assert.equal(due([unsent("waiting", 9), waiting], 4), 5);
  assert.equal(due([], 0), undefined);
});
