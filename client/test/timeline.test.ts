import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../types.js";
import { Timeline } from "../src/timeline.ts";
import { ServerRoom } from "./server.ts";

function held(): { timeline: Timeline; message: Message } {
  const server = new ServerRoom();
  server.send("bob");
  const message = server.messages[0] ?? assert.fail();
  const timeline = new Timeline();
  timeline.replace([message], { hasOlder: false, hasNewer: false });
  return { timeline, message };
}

test("an empty page in place of messages leaves none", () => {
  const { timeline } = held();
  assert.equal(timeline.messages.length, 1);
  timeline.replace([], { hasOlder: false, hasNewer: false });
  assert.deepEqual(timeline.messages, []);
});

test("an answer that comes late does not take an edit back", () => {
  const { timeline, message } = held();
  timeline.update({ ...message, version: 3, text: "third" });
  timeline.update({ ...message, version: 2, text: "second" });
  timeline.extend([message], {});
  assert.deepEqual(timeline.messages.map(({ text, version }) => [text, version]), [["third", 3]]);
});

test("a message that was appended again stands at its later place, with what it says by now", () => {
  const { timeline, message } = held();
  timeline.update({ ...message, version: 2, text: "edited" });
  timeline.extend([{ ...message, epoch: 2, seq: 5 }], {});
  const { text, epoch, seq } = timeline.messages[0] ?? assert.fail();
  assert.deepEqual([text, epoch, seq], ["edited", 2, 5]);
  timeline.extend([message], {});
  assert.equal(timeline.messages[0]?.seq, 5);
});

test("what is not held stays out of a window in the middle, and of an unknown end", () => {
  const { timeline, message } = held();
  timeline.replace([message], { hasOlder: false, hasNewer: true });
  timeline.acked({ ...message, message_id: "other", seq: 9 });
  timeline.update({ ...message, message_id: "third", seq: 8 });
  assert.deepEqual(timeline.messages, [message]);
});

test("an old message that is acked again leaves no hole before those held", () => {
  const server = new ServerRoom();
  for (let n = 0; n < 9; n += 1) server.send("bob");
  const page = server.messages.slice(6);
  const old = server.messages[1] ?? assert.fail();
  const next = { ...old, message_id: "next", seq: 10 };
  const timeline = new Timeline();
  const seqs = () => timeline.messages.map(({ seq }) => seq);
  timeline.expect();
  timeline.acked(old);
  timeline.replace(page, { hasOlder: true, hasNewer: false });
  assert.deepEqual(seqs(), [7, 8, 9]);
  timeline.acked(old);
  timeline.acked(next);
  assert.deepEqual(seqs(), [7, 8, 9, 10]);
  timeline.extend(server.messages.slice(0, 6), { hasOlder: false });
  assert.deepEqual(seqs(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("whatever comes, messages stand in order, and what did not change is the same object", () => {
  const server = new ServerRoom();
  for (let n = 0; n < 5; n += 1) server.send("bob");
  const [first, second, third, fourth, last] = server.messages;
  if (!first || !second || !third || !fourth || !last) assert.fail();
  const timeline = new Timeline();
  const seqs = () => timeline.messages.map(({ seq }) => seq);
  timeline.replace([second, fourth], { hasOlder: true, hasNewer: false });
  timeline.extend([last], {});
  assert.deepEqual(seqs(), [2, 4, 5]);
  timeline.extend([third], {});
  assert.deepEqual(seqs(), [2, 3, 4, 5]);
  const kept = timeline.messages[1];
  timeline.update({ ...fourth, version: 2, text: "edited" });
  assert.deepEqual(timeline.messages.map(({ text }) => text), [second.text, third.text, "edited", last.text]);
  timeline.extend([first, second], {});
  assert.deepEqual(seqs(), [1, 2, 3, 4, 5]);
  assert.equal(timeline.messages[2], kept);
});
