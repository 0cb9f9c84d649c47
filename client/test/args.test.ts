// What a caller without types gets wrong is refused at once, naming the argument; nothing is sent.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatError, type Client, createClient, type Room } from "../src/index.ts";

const chat = createClient({ url: "http://127.0.0.1:9", getToken: () => "token" });
const room = chat.room("r");

/** Any call of it, with whatever arguments. */
type Loose = Record<string, (...args: unknown[]) => unknown>;
const client = chat as Client & Loose;
const loose = room as unknown as Loose & Pick<Room, "state">;
const members = room.members as unknown as Loose;

const nothing = () => undefined;

/** What no JSON can hold. */
const circular: Record<string, unknown> = {};
circular["self"] = { circular };
const big = { n: 10n };

/** Call, the argument that it must name, and what is said of it. */
const WRONG: [call: () => unknown, argument: string, says: RegExp][] = [
  [() => client.rooms(5 as never), "filter", /an object, not 5/],
  [() => client.rooms({ hidden: "yes" } as never), "hidden", /true or false, not the text "yes"/],
  [() => client.rooms({ muted: true } as never), "muted", /filter has hidden/],
  [() => client.room(undefined as never), "roomId", /not undefined/],
  [() => client.room(""), "roomId", /not empty/],
  [() => client.room({ room_id: "r" } as never), "roomId", /not an object/],
  [() => client.direct(undefined as never), "userId", /not undefined/],
  [() => client.direct(["bob"] as never), "userId", /not a list/],
  [() => client.group(undefined as never), "group", /not undefined/],
  [() => client.group({} as never), "name", /not undefined/],
  [() => client.group({ name: 5 } as never), "name", /a text, not 5/],
  [() => client.group({ name: "Team", members: "bob" } as never), "members", /a list of user ids, not the text "bob"/],
  [() => client.group({ name: "Team", member: ["bob"] } as never), "member", /group has name, members, metadata/],
  [() => client.group({ name: "Team", metadata: [] } as never), "metadata", /an object, not a list/],
  [() => client.group({ name: "Team", metadata: big }), "metadata", /that JSON can hold: .*BigInt/],
  [() => client.group({ name: "Team", metadata: circular }), "metadata", /that JSON can hold: .*circular/],
  [() => client.presence("bob" as never), "userIds", /a list of user ids/],
  [() => client.setPresence("busy" as never), "state", /one of online, away, not the text "busy"/],
  [() => client.setPresence("away", 5 as never), "statusText", /a text, not 5/],
  [() => client.name(undefined as never), "userId", /not undefined/],
  [() => client.on("message" as never, nothing), "type", /one of .*message\.new, .*, not the text "message"/],
  [() => client.on("toString" as never, nothing), "type", /one of/],
  [() => client.on("message.new", undefined as never), "handler", /a function, not undefined/],
  [() => client.unread.subscribe(undefined as never), "listener", /a function/],
  [() => client.presence(["bob"]).subscribe({} as never), "listener", /a function, not an object/],
  [() => loose.state.subscribe("listener" as never), "listener", /a function/],
  [() => loose["around"]?.("1"), "seq", /the seq of a message/],
  [() => loose["around"]?.(-1), "seq", /not -1/],
  [() => loose["held"]?.(), "messageId", /not undefined/],
  [() => loose["message"]?.(), "messageId", /not undefined/],
  [() => loose["send"]?.("hello"), "draft", /an object, not the text "hello"/],
  [() => loose["send"]?.({ text: 5 }), "text", /a text, not 5/],
  [() => loose["send"]?.({ message: "hello" }), "message", /draft has text, files, replyTo, mentions, metadata/],
  [() => loose["send"]?.({ toString: "hello" }), "toString", /no such field/],
  [() => loose["send"]?.({ files: "a.txt" }), "files", /a list of files/],
  [() => loose["send"]?.({ files: [{ name: "a.txt" }] }), "files", /a list of files, not an object in it/],
  [() => loose["send"]?.({ files: [new Response("a")] }), "files", /a list of files/],
  [() => loose["send"]?.({ replyTo: 5 }), "replyTo", /not 5/],
  [() => loose["send"]?.({ mentions: "bob" }), "mentions", /a list of user ids/],
  [() => loose["send"]?.({ metadata: "x" }), "metadata", /an object/],
  [() => loose["send"]?.({ metadata: big }), "metadata", /that JSON can hold: .*BigInt/],
  [() => loose["send"]?.({ metadata: circular }), "metadata", /that JSON can hold: .*circular/],
  [() => loose["send"]?.({ metadata: new Date() }), "metadata", /an object, not the text/],
  [() => loose["edit"]?.("m", { metadata: circular }), "metadata", /that JSON can hold/],
  [() => loose["update"]?.({ metadata: big }), "metadata", /that JSON can hold/],
  [() => loose["edit"]?.(undefined, { text: "a" }), "messageId", /not undefined/],
  [() => loose["edit"]?.("m", "a"), "change", /an object, not the text "a"/],
  [() => loose["edit"]?.("m", { text: null }), "text", /a text, not null/],
  [() => loose["edit"]?.("m", { files: [] }), "files", /change has text, mentions, metadata/],
  [() => loose["delete"]?.(), "messageId", /not undefined/],
  [() => loose["react"]?.("m"), "emoji", /not undefined/],
  [() => loose["react"]?.("m", "👍", "off"), "on", /true or false/],
  [() => loose["markVisible"]?.("9"), "seq", /not the text "9"/],
  [() => loose["markVisible"]?.(-1), "seq", /not -1/],
  [() => loose["typing"]?.({ type: "input" }), "on", /true or false, not an object/],
  [() => loose["update"]?.("name"), "change", /an object/],
  [() => loose["update"]?.({ title: "Team" }), "title", /change has name, metadata, frozen, version/],
  [() => loose["update"]?.({ frozen: 1 }), "frozen", /true or false, not 1/],
  [() => loose["leave"]?.(5), "newOwner", /not 5/],
  [() => loose["mute"]?.({ type: "click" }), "muted", /true or false, not an object/],
  [() => loose["hide"]?.("no"), "hidden", /true or false/],
  [() => loose["fileUrl"]?.("m"), "attachmentId", /not undefined/],
  [() => members["add"]?.("bob"), "userIds", /a list of user ids/],
  [() => members["add"]?.(["bob"], 5), "role", /not 5/],
  [() => members["remove"]?.([5]), "userIds", /not 5 in it/],
  [() => members["setRole"]?.("bob"), "role", /not undefined/],
  [() => members["setRole"]?.(undefined, "admin"), "userId", /not undefined/],
  [() => room.draft.set(5 as never), "text", /a text, not 5/],
];

test("a wrong argument is refused by name, thrown or as the rejection of a promise", async () => {
  for (const [call, argument, says] of WRONG) {
    const refused = await Promise.race([
      new Promise((done) => done(call())).then(() => "taken", (error: unknown) => error),
      new Promise((done) => setTimeout(done, 100, "waits for the server")),
    ]);
    assert(refused instanceof ChatError, `${String(call)}: ${String(refused)}`);
    assert.deepEqual([refused.code, Object.keys(refused.details)], ["invalid_param", [argument]], String(call));
    assert.match(refused.message, says, String(call));
  }
  assert.deepEqual([room.state.value.messages, room.state.value.draft], [[], ""]);
});

test("what is left out may be undefined as well", () => {
  chat.rooms({ hidden: undefined } as never);
  room.send({ text: "hello", files: undefined, replyTo: undefined } as never);
  assert.equal(room.state.value.messages.length, 1);
});

test("metadata are sent as they are at the call, and shown as the server will have them", () => {
  const metadata = { at: new Date(0), tags: ["a"], left: undefined };
  room.send({ text: "hello", metadata });
  metadata.tags.push("b");
  assert.deepEqual(room.state.value.messages.at(-1)?.metadata, { at: "1970-01-01T00:00:00.000Z", tags: ["a"] });
});

test("a sentence about a long text ends at a whole character", () => {
  const text = `${"a".repeat(39)}👍👍`;
  assert.throws(() => client.room([] as never), /not a list/);
  assert.throws(() => loose["send"]?.(text), (error: Error) => error.message.includes(`"${"a".repeat(39)}👍"`));
});
