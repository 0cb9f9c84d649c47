// Arguments as plain JavaScript passes them: what is no list is refused at once, not taken apart.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "../src/index.ts";

/** What a caller without types may give. */
const any = (value: unknown): never => value as never;

const chat = createClient({ url: "http://127.0.0.1:9", getToken: () => "token" });
const room = chat.room("r");

/** Whether `call` throws or rejects at once, in words that begin with the argument's name. */
async function refused(argument: string, call: () => unknown): Promise<void> {
  const error = { code: "invalid_param", message: new RegExp(`\\b${argument}: Expected `) };
  const never = new Promise((done) => setImmediate(done)).then(() => "it waits");
  await assert.rejects(async () => Promise.race([call(), never]), error);
}

test("a string where a list belongs is refused at once, and is not taken apart into characters", async () => {
  await refused("userIds", () => room.members.add(any("max")));
  await refused("userIds", () => room.members.remove(any("max")));
  await refused("userIds", () => chat.presence(any("bob")));
  await refused("members", () => chat.group({ name: "Team", members: any("bob") }));
  await refused("mentions", () => room.send({ text: "hello", mentions: any("bob") }));
  await refused("mentions", () => room.edit("m", { mentions: any("bob") }));
  await refused("files", () => room.send({ files: any(new File(["x"], "x.txt")) }));
  assert.deepEqual(room.state.value.messages, [], "nothing was sent");
});

test("a list of something else is refused too", async () => {
  await refused("userIds", () => room.members.add(any([{ user_id: "bob" }])));
  await refused("members", () => chat.group({ name: "Team", members: any([7]) }));
  await refused("files", () => room.send({ files: any(["x.txt"]) }));
});

test("a text where an object belongs is refused, and so is a seq that is no number", async () => {
  await refused("draft", () => room.send(any("hello")));
  await refused("change", () => room.edit("m", any("hello")));
  await refused("change", () => room.update(any("Team")));
  await refused("group", () => chat.group(any("Team")));
  await refused("seq", () => room.markVisible(any(undefined)));
  await refused("seq", () => room.around(any("7")));
});

test("details have the argument's name, so that a form can show it there", () => {
  assert.throws(() => chat.presence(any("bob")), {
    details: { userIds: ["Expected a list of user ids, not the text \"bob\"."] },
  });
});

test("an id that the server would refuse is refused where it is watched, and so are more than it takes", async () => {
  for (const bad of ["bad id", "", "é", "x".repeat(129)]) await refused("userIds", () => chat.presence(["bob", bad]));
  const people = Array.from({ length: 501 }, (_, index) => `user-${index}`);
  assert.throws(() => chat.presence(people), { details: { userIds: ["At most 500 users can be watched, not 501."] } });
  assert.ok(chat.presence([...people.slice(1), "user-1"]));
});
