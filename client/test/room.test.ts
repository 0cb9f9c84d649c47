// The state of one room over what comes: statuses and typing.
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import type { LogEvent, SentAnswer } from "../types.js";
import { type ChatError, refusal } from "../src/error.ts";
import type { MessageStatus } from "../src/message.ts";
import { RoomCore } from "../src/room-core.ts";
import type { RoomOwner } from "../src/room-owner.ts";
import { Room } from "../src/room.ts";
import { memoryStorage } from "../src/storage.ts";
import { ME, ServerRoom } from "./server.ts";

/** A room that holds its history, at a server that answers as the test says. */
class Scene {
  readonly server = new ServerRoom();
  readonly storage = memoryStorage();
  readonly asked: string[] = [];
  readonly told: string[] = [];
  core = this.#open();
  #answers: { ok: (answer: SentAnswer) => void; fail: (error: ChatError) => void }[] = [];

  get statuses(): (MessageStatus | undefined)[] {
    return this.core.state.value.messages.filter(({ own }) => own).map(({ status }) => status);
  }

  /** The page is loaded again. */
  async reload(): Promise<void> {
    this.core = this.#open();
    this.core.restore("outbox", await this.storage.entries("outbox/"));
    this.core.restore("change", await this.storage.entries("change/"));
  }

  /** The event of a message of one's own, which the client sent under this id. */
  echo(client_msg_id: string): LogEvent {
    const event = this.server.send(ME);
    if (event.type === "message.new") Object.assign(event.data.message, { client_msg_id });
    this.core.hear(event);
    return event;
  }

  async ack(status: SentAnswer["status"]): Promise<void> {
    const { message_id, client_msg_id, seq, epoch, created_at } = this.server.messages.at(-1) ?? assert.fail();
    this.#answers.shift()?.ok({ status, message_id, client_msg_id, seq, epoch, offset: 9, created_at });
    await turn();
  }

  async refuse(error: ChatError): Promise<void> {
    this.#answers.shift()?.fail(error);
    await turn();
  }

  #open(): RoomCore {
    const nothing = () => undefined;
    const connection = {
      online: true,
      tell: (name: string) => void this.told.push(name),
      command: () => new Promise(nothing),
      once: (name: string) => {
        this.asked.push(name);
        return new Promise((ok, fail) => this.#answers.push({ ok, fail }));
      },
    } as unknown as RoomOwner["connection"];
    const core = new RoomCore("r", {
      connection,
      kept: { storage: this.storage, tab: "tab", prefix: (kind) => `${kind}/`, keepDraft: nothing },
      me: ME,
      mostFiles: undefined,
      name: (user_id) => user_id,
      met: nothing,
      changed: nothing,
      want: nothing,
      report: nothing,
      heard: nothing,
      warn: (message) => assert.fail(message),
    });
    core.learn(this.server.snapshot());
    core.replica.timeline.replace(this.server.messages, { hasOlder: false, hasNewer: false });
    const cursors = { read_seq: 0, delivered_seq: 0 };
    const member = { user_id: "bob", role: "member" as const, joined_at: "", ...cursors };
    core.replica.members.replace([member]);
    return core;
  }
}

test("a message goes through its statuses in order", async () => {
  const scene = new Scene();
  const { client_msg_id } = scene.core.outbox.add({ text: "one" });
  assert.deepEqual(scene.statuses, ["sending"]);
  scene.echo(client_msg_id);
  assert.deepEqual(scene.statuses, ["sending"]);
  await scene.ack("accepted");
  assert.deepEqual(scene.statuses, ["accepted"]);
  scene.core.receipts([{ user_id: "bob", read_seq: 0, delivered_seq: 1 }]);
  assert.deepEqual(scene.statuses, ["accepted"]); // it may be lost yet
  scene.core.durable(client_msg_id);
  assert.deepEqual(scene.statuses, ["delivered"]);
  scene.core.receipts([{ user_id: "bob", read_seq: 1, delivered_seq: 1 }]);
  assert.deepEqual(scene.statuses, ["read"]);
});

test("a message without receipts is queued, one with a file on its way is uploading, one refused says why", async () => {
  const scene = new Scene();
  scene.echo(scene.core.outbox.add({ text: "one" }).client_msg_id);
  await scene.ack("queued");
  scene.core.outbox.add({ text: "two" });
  scene.core.outbox.add({ files: [new File(["x"], "x.txt")] });
  await scene.refuse(refusal("forbidden", "frozen"));
  assert.deepEqual(scene.statuses, ["queued", "refused", "uploading"]);
  assert.equal(scene.core.state.value.messages[1]?.error?.code, "forbidden");
});

test("a refused message stays where it was refused, also over a reload, until it is sent again", async () => {
  const scene = new Scene();
  const texts = () => scene.core.state.value.messages.map(({ text }) => text);
  scene.core.hear(scene.server.send("bob"));
  scene.core.outbox.add({ text: "mine" });
  await scene.refuse(refusal("forbidden", "frozen"));
  scene.core.outbox.add({ text: "second" });
  await scene.refuse(refusal("forbidden", "frozen"));
  scene.core.hear(scene.server.send("bob"));
  const { client_msg_id } = scene.core.outbox.add({ text: "third" });
  assert.deepEqual(texts(), ["text 1", "mine", "second", "text 2", "third"]);
  scene.echo(client_msg_id);
  await scene.ack("queued");
  assert.deepEqual(texts(), ["text 1", "mine", "second", "text 2", "text 3"]);
  await scene.reload();
  assert.deepEqual(texts(), ["text 1", "mine", "second", "text 2", "text 3"]);
  await scene.refuse(refusal("forbidden", "frozen"));
  const [, mine] = scene.core.state.value.messages;
  mine?.retry?.();
  assert.deepEqual(texts(), ["text 1", "second", "text 2", "text 3", "mine"]);
});

test("a file that was lost stands at its time, and not behind all that was said since", async () => {
  const scene = new Scene();
  scene.core.hear(scene.server.send("bob")); // of 2030
  const stored = { client_msg_id: "c", created_at: "2029-01-01T00:00:00.000Z", text: "lost", fields: {} };
  scene.core.outbox.restore([["key", { ...stored, files: [{}], attachments: [], accepted: false }]]);
  assert.deepEqual(scene.core.state.value.messages.map(({ text }) => text), ["lost", "text 1"]);
  await turn();
});

test("accepted stays accepted over a reload, until the server says queued", async () => {
  const scene = new Scene();
  scene.echo(scene.core.outbox.add({ text: "one" }).client_msg_id);
  await scene.ack("accepted");
  await scene.reload();
  assert.deepEqual([scene.statuses, scene.asked.length], [["accepted"], 2]);
  await scene.ack("queued");
  assert.deepEqual(scene.statuses, ["queued"]);
});

test("what was accepted and fails stands as refused, not nowhere", async () => {
  const scene = new Scene();
  scene.echo(scene.core.outbox.add({ text: "one" }).client_msg_id);
  await scene.ack("accepted");
  const failed = scene.server.fail(0) ?? assert.fail();
  if (failed.type === "message.failed")
    failed.data.client_msg_id = scene.core.outbox.list[0]?.client_msg_id ?? null;
  scene.core.hear(failed);
  assert.deepEqual(scene.statuses, ["refused"]);
  assert.equal(scene.core.state.value.messages.length, 1);
});

test("who has said something does not type any more; who types on does", () => {
  const scene = new Scene();
  scene.core.types(["bob", ME, "carol"]);
  assert.deepEqual(scene.core.state.value.typing, ["bob", "carol"]);
  scene.core.hear(scene.server.send("bob", "system"));
  assert.deepEqual(scene.core.state.value.typing, ["bob", "carol"]);
  scene.core.hear(scene.server.send("bob"));
  assert.deepEqual(scene.core.state.value.typing, ["carol"]);
  scene.core.offline();
  assert.deepEqual(scene.core.state.value.typing, []);
});

test("typing is told once for many keys, and ended by a message before that leaves", () => {
  const scene = new Scene();
  const room = new Room(scene.core);
  room.typing();
  room.typing();
  assert.deepEqual(scene.told, ["typing.start"]);
  room.send({ text: "one" });
  assert.deepEqual(scene.told, ["typing.start", "typing.stop"]);
  room.send({ text: "two" });
  room.typing(false);
  assert.deepEqual(scene.told, ["typing.start", "typing.stop"]);
  room.typing();
  assert.deepEqual(scene.told, ["typing.start", "typing.stop", "typing.start"]);
});

test("a room that is not there is gone, and has neither older nor newer messages", async () => {
  const scene = new Scene();
  const refuse = () => Promise.reject(refusal("not_found", "It does not exist."));
  Object.assign(scene.core.owner.connection, { command: refuse });
  scene.core.replica.members.loaded = false;
  scene.core.watch();
  while (!scene.core.state.value.gone) await turn();
  const { hasOlder, hasNewer, loading } = scene.core.state.value;
  assert.deepEqual([hasOlder, hasNewer, loading], [false, false, false]);
});
