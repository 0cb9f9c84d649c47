// What a user changes stands in the state at once, goes out in order, and is taken back when it is refused.
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import type { Message } from "../types.js";
import { ChatError, refusal } from "../src/error.ts";
import { RoomCore } from "../src/room-core.ts";
import type { RoomOwner } from "../src/room-owner.ts";
import { Room } from "../src/room.ts";
import { type ChatStorage, memoryStorage } from "../src/storage.ts";
import { ME, ServerRoom } from "./server.ts";

/** A room with two messages, of bob and of this user, at a server that answers as the test says. */
class Scene {
  readonly server = new ServerRoom();
  readonly asked: string[] = [];
  readonly warnings: string[] = [];
  readonly storage: ChatStorage;
  readonly tab: string;
  readonly connection = { online: true };
  readonly core: RoomCore;
  readonly room: Room;
  #answers: { ok: (answer: object) => void; fail: (error: ChatError) => void }[] = [];

  constructor(storage: ChatStorage = memoryStorage(), tab = "tab") {
    this.storage = storage;
    this.tab = tab;
    this.server.send("bob");
    this.server.send(ME);
    this.core = this.#open();
    this.room = new Room(this.core);
  }

  get state() {
    return this.core.state.value;
  }

  shown(message_id: string) {
    return this.state.messages.find((one) => one.message_id === message_id) ?? assert.fail();
  }

  /** What a command answers that changed a message: its newest state. */
  message(message_id: string): { message: Message } {
    return { message: this.server.messages.find((one) => one.message_id === message_id) ?? assert.fail() };
  }

  async answer(answer: object = {}): Promise<void> {
    this.#answers.shift()?.ok(answer);
    await turn();
  }

  async refuse(error: ChatError): Promise<void> {
    this.#answers.shift()?.fail(error);
    await turn();
  }

  async reload(): Promise<Scene> {
    const next = new Scene(this.storage);
    await next.takeOver();
    return next;
  }

  /** What is in the storage becomes this client's. */
  async takeOver(): Promise<void> {
    for (const kind of ["outbox", "change"] as const) {
      const entries = await this.storage.entries(`${kind}/`);
      for (const [key, value] of entries) await this.storage.set(key, { ...(value as object), tab: this.tab });
      this.core.restore(kind, entries);
    }
    await turn();
  }

  #open(): RoomCore {
    const nothing = () => undefined;
    const once = (name: string, payload: { text?: string; emoji?: string; muted?: boolean }) => {
      this.asked.push(`${name} ${payload.text ?? payload.emoji ?? payload.muted ?? ""}`);
      return new Promise((ok, fail) => this.#answers.push({ ok, fail }));
    };
    const connection = Object.assign(this.connection, { tell: nothing, command: () => new Promise(nothing), once });
    const core = new RoomCore("r", {
      connection: connection as unknown as RoomOwner["connection"],
      kept: { storage: this.storage, tab: this.tab, prefix: (kind) => `${kind}/`, keepDraft: nothing },
      me: ME,
      mostFiles: undefined,
      name: (user_id) => user_id,
      met: nothing,
      changed: nothing,
      want: nothing,
      report: nothing,
      heard: nothing,
      warn: (message) => this.warnings.push(message),
    });
    core.learn(this.server.snapshot());
    core.replica.timeline.replace(this.server.messages, { hasOlder: false, hasNewer: false });
    return core;
  }
}

const REFUSED = refusal("forbidden", "Not yours.");

test("an edit, a deletion and a reaction are shown at once as pending, and the log's state has none of them", () => {
  const scene = new Scene();
  scene.connection.online = false;
  const log = structuredClone([scene.core.replica.view, scene.core.replica.timeline.messages]);
  const done = [scene.room.edit("m2", { text: "better" }), scene.room.react("m2", "👍"), scene.room.react("m1", "👍")];
  const { text, edited_at, reactions, pending } = scene.shown("m2");
  assert.deepEqual([text, pending, reactions], ["better", ["edit", "react"], { "👍": { count: 1, user_ids: [ME] } }]);
  assert.ok(edited_at);
  assert.deepEqual([scene.shown("m1").pending, scene.core.view?.last_message?.preview], [["react"], "better"]);
  assert.equal(scene.room.held("m2")?.text, "better");
  done.push(scene.room.delete("m2"));
  assert.deepEqual([scene.shown("m2").text, scene.shown("m2").reactions], ["", {}]);
  assert.ok(scene.shown("m2").deleted_at && scene.core.view?.last_message?.deleted);
  assert.deepEqual([scene.core.replica.view, scene.core.replica.timeline.messages], log);
  assert.deepEqual(scene.asked, []);
  for (const one of done) one.catch(() => undefined);
});

test("a row stays the same object until a change of its own message", () => {
  const scene = new Scene();
  const [one, two] = scene.state.messages;
  void scene.room.react("m2", "👍");
  assert.equal(scene.state.messages[0], one);
  assert.notEqual(scene.state.messages[1], two);
  assert.equal(scene.state.messages[1], scene.state.messages[1]);
});

test("changes go out one after another, behind what was typed before, and resolve with their answers", async () => {
  const scene = new Scene();
  scene.connection.online = false;
  scene.room.send({ text: "typed" });
  const ends: string[] = [];
  void scene.room.edit("m2", { text: "better" }).then(() => ends.push("edit"));
  void scene.room.mute().then(() => ends.push("mute"));
  scene.connection.online = true;
  scene.core.online();
  assert.deepEqual(scene.asked, ["message.send typed"]);
  await scene.answer({ status: "queued", message_id: "m3", seq: 3, epoch: 1, created_at: "" });
  assert.deepEqual(scene.asked.slice(1), ["message.edit better"]);
  const event = scene.server.edit(1) ?? assert.fail();
  if (event.type === "message.updated" && "message" in event.data) event.data.message.text = "better";
  await scene.answer(scene.message("m2"));
  assert.deepEqual([ends, scene.asked.slice(2)], [["edit"], ["room.mute true"]]);
  assert.deepEqual([scene.shown("m2").text, scene.shown("m2").pending, scene.shown("m2").version], ["better", undefined, 2]);
  scene.core.settle({ muted: true });
  await scene.answer();
  assert.deepEqual([ends, scene.state.muted, scene.state.pending], [["edit", "mute"], true, undefined]);
});

test("a change that was made before a message is typed does not wait for that", async () => {
  const scene = new Scene();
  scene.connection.online = false;
  void scene.room.react("m1", "👍");
  while (new Date().toISOString() <= (scene.core.changes.list[0]?.created_at ?? ""));
  scene.room.send({ text: "typed" });
  scene.connection.online = true;
  scene.core.online();
  await turn();
  assert.deepEqual(scene.asked.sort(), ["message.react 👍", "message.send typed"]);
});

test("what is refused is taken back: the call rejects, and the message says why until it is discarded", async () => {
  const scene = new Scene();
  const before = scene.shown("m1");
  const edited = scene.room.edit("m1", { text: "mine" });
  const muted = scene.room.mute();
  assert.deepEqual([scene.shown("m1").text, scene.state.muted, scene.state.pending], ["mine", true, ["mute"]]);
  await Promise.all([assert.rejects(edited, { code: "forbidden" }), scene.refuse(REFUSED)]);
  await Promise.all([assert.rejects(muted, { code: "forbidden" }), scene.refuse(REFUSED)]);
  assert.deepEqual([scene.shown("m1").text, scene.state.muted, scene.state.pending], ["text 1", false, undefined]);
  const { refusedChange, pending } = scene.shown("m1");
  assert.deepEqual([refusedChange?.kind, refusedChange?.text, refusedChange?.error, pending], ["edit", "mine", REFUSED, undefined]);
  refusedChange?.discard();
  assert.deepEqual(scene.shown("m1"), before);
});

test("a new change of a message forgets the refused one", async () => {
  const scene = new Scene();
  const edited = scene.room.edit("m1", { text: "mine" });
  await Promise.all([assert.rejects(edited), scene.refuse(REFUSED)]);
  void scene.room.react("m1", "👍");
  assert.deepEqual([scene.shown("m1").refusedChange, scene.shown("m1").pending], [undefined, ["react"]]);
});

test("a change whose answer is lost is repeated until there is one", async () => {
  const scene = new Scene();
  const edited = scene.room.edit("m2", { text: "better" });
  await scene.refuse(new ChatError({ code: "no_answer", message: "", retryable: true, retry_after_ms: 1 }));
  while (scene.asked.length < 2) await turn();
  assert.deepEqual([scene.asked, scene.shown("m2").pending], [["message.edit better", "message.edit better"], ["edit"]]);
  await scene.answer(scene.message("m2"));
  await edited;
});

test("changes survive a reload, in order, and what is refused then is told to the logger", async () => {
  const before = new Scene();
  before.connection.online = false;
  for (const made of [before.room.edit("m2", { text: "better" }), before.room.mute()]) made.catch(() => undefined);
  before.core.changes.close(refusal("closed", "The client was closed."));
  const scene = await before.reload();
  assert.deepEqual([scene.shown("m2").text, scene.shown("m2").pending, scene.state.muted], ["better", ["edit"], true]);
  assert.deepEqual(scene.asked, ["message.edit better"]);
  await scene.refuse(REFUSED);
  assert.deepEqual([scene.shown("m2").text, scene.shown("m2").refusedChange?.text], ["text 2", "better"]);
  assert.equal(scene.warnings.length, 1);
  await scene.answer();
  assert.deepEqual([scene.asked, await scene.storage.entries("")], [["message.edit better", "room.mute true"], []]);
});

test("a message that is deleted by somebody else is not shown again by an edit that is on its way", () => {
  const scene = new Scene();
  void scene.room.edit("m2", { text: "better" });
  scene.core.hear(scene.server.delete(1) ?? assert.fail());
  assert.deepEqual([scene.shown("m2").text, scene.core.view?.last_message?.preview], ["", ""]);
});

test("a reaction whose event comes before its answer counts once", () => {
  const scene = new Scene();
  void scene.room.react("m1", "👍");
  scene.core.hear(scene.server.react(0, ME) ?? assert.fail());
  assert.deepEqual(scene.shown("m1").reactions, { "👍": { count: 1, user_ids: [ME] } });
});

test("closing tells whoever waits; the change stays pending and goes out with the next session", async () => {
  const scene = new Scene();
  scene.connection.online = false;
  const edited = scene.room.edit("m2", { text: "better" });
  scene.core.changes.close(refusal("closed", "The client was closed."));
  await assert.rejects(edited, { code: "closed" });
  assert.deepEqual(scene.shown("m2").pending, ["edit"]);
  scene.connection.online = true;
  scene.core.online();
  await turn();
  assert.deepEqual(scene.asked, ["message.edit better"]);
});

/** A client with an edit that it made without a connection, and another of the same user and storage. */
function two(): { one: Scene; other: Scene; edited: Promise<void> } {
  const one = new Scene(memoryStorage(), "one");
  one.connection.online = false;
  const edited = one.room.edit("m2", { text: "old" });
  edited.catch(() => undefined);
  return { one, other: new Scene(one.storage, "other"), edited };
}

test("a change that another client took over and sent is not sent again by the client that was closed", async () => {
  const { one, other } = two();
  one.core.changes.close(refusal("closed", "The client was closed."));
  await other.takeOver();
  assert.deepEqual(other.asked, ["message.edit old"]);
  await other.answer(other.message("m2"));
  one.connection.online = true;
  one.core.online();
  await turn();
  assert.deepEqual([one.asked, one.shown("m2").text, one.shown("m2").pending], [[], "text 2", undefined]);
});

test("a change that another client took over stays that one's, and a call that waits rejects with closed", async () => {
  const { one, other, edited } = two();
  other.connection.online = false;
  await other.takeOver(); // as of a page that is asleep
  one.connection.online = true;
  one.core.online();
  await assert.rejects(edited, { code: "closed" });
  assert.deepEqual([one.asked, one.shown("m2").pending, other.shown("m2").pending], [[], undefined, ["edit"]]);
  assert.equal((await one.storage.entries("change/")).length, 1);
});

test("a change that the storage does not take is sent all the same", async () => {
  const full = { ...memoryStorage(), set: () => Promise.reject(new Error("full")) };
  const scene = new Scene(full);
  scene.connection.online = false;
  void scene.room.edit("m2", { text: "better" });
  scene.connection.online = true;
  scene.core.online();
  await turn();
  assert.deepEqual([scene.asked, scene.warnings], [["message.edit better"], ["What is unsent cannot be stored."]]);
});
