// The rules for a client of the protocol: messages on their way, on web/state.js alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { T, message, heard, opened } from "./state_samples.mjs";

function typed(...texts) {
  const { sends } = opened().room;
  for (const text of texts) sends.add(text, text, T);
  return sends;
}

function fly(sends, now) {
  const due = sends.due(now);
  for (const send of due) send.phase = "flying";
  return due.map(({ client_msg_id }) => client_msg_id);
}

const AWAY = { code: "unavailable", message: "away", retryable: true };

test("sends go out at once and in order, each once", () => {
  const sends = typed("a", "b");
  assert.deepEqual(fly(sends, 0), ["a", "b"]);
  assert.deepEqual(fly(sends, 0), []);
});

test("files that are still on their way hold up nobody, and go out once they are in the store", () => {
  const sends = typed("a");
  const file = { attachment: null, shown: () => ({ name: "p.png", sent: 3 }) };
  sends.add("f", "", T, [file]);
  sends.add("b", "b", T);
  assert.deepEqual(fly(sends, 0), ["a", "b"]);
  assert.equal(sends.get("f").phase, "uploading");
  sends.get("f").phase = "waiting";
  assert.deepEqual(fly(sends, 0), ["f"]);
});

test("a message of files shows them, under way and acked, and its preview is the first name", () => {
  const { state, room } = opened();
  const attachment = { attachment_id: "a1", name: "p.png", size: 5, content_type: "image/png" };
  const file = { attachment, shown: () => ({ ...attachment, sent: 3 }) };
  room.hold();
  room.sends.add("c1", "", T, [file]);
  assert.deepEqual(room.rows("alice").map(({ uploading }) => uploading), [true]);
  assert.equal(room.rows("alice")[0].attachments[0].sent, 3);
  const ack = { message_id: "m1", client_msg_id: "c1", seq: 1, epoch: 1, created_at: T, status: "queued" };
  room.acked(room.sends.get("c1"), ack, "alice");
  assert.deepEqual(room.rows("alice")[0].attachments, [attachment]);
  state.apply(heard(1, 2, 1, { sender_id: "alice", text: "", type: "file", attachments: [attachment] }));
  assert.equal(room.summary.last_message.preview, "p.png");
});

test("a send refused as retryable is repeated, under its id, before any later message", () => {
  const sends = typed("a");
  fly(sends, 0);
  sends.refuse(sends.get("a"), { ...AWAY, retry_after_ms: 300 }, 1000);
  sends.add("b", "b", T);
  assert.deepEqual(fly(sends, 1299), []);
  assert.deepEqual(fly(sends, 1300), ["a"]);
  assert.deepEqual(fly(sends, 1300), []);
  sends.remove("a");
  assert.deepEqual(fly(sends, 1300), ["b"]);
});

test("sends without an ack are repeated one after the other, in the order of typing", () => {
  const sends = typed("a", "b", "c");
  fly(sends, 0);
  for (const send of sends.list)
    sends.refuse(send, { code: "no_ack", retryable: true, retry_after_ms: 0 }, 10);
  const order = [];
  for (let due = fly(sends, 10); due.length; due = fly(sends, 10)) {
    order.push(due);
    sends.remove(due[0]);
  }
  assert.deepEqual(order, [["a"], ["b"], ["c"]]);
});

test("a send refused for good waits for the user and holds nobody up", () => {
  const sends = typed("a", "b");
  fly(sends, 0);
  sends.refuse(sends.get("a"), { code: "forbidden", message: "no", retryable: false }, 0);
  sends.remove("b");
  sends.add("c", "c", T);
  assert.deepEqual(fly(sends, 0), ["c"]);
  sends.get("a").phase = "waiting";
  assert.deepEqual(fly(sends, 0), ["a"]);
});

test("a refused send is shown as such", () => {
  const { room } = opened();
  room.sends.add("c1", "text", T);
  room.sends.refuse(
    room.sends.get("c1"),
    { code: "forbidden", message: "no", retryable: false },
    0,
  );
  assert.deepEqual(
    room.rows("alice").map(({ mark, error }) => [mark, error.message]),
    [["refused", "no"]],
  );
});
