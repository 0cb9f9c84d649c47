// The rules for a client of the protocol: a room and its events, on web/state.js alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { State } from "../../web/state.js";
import { T, view, event, message, heard, opened, positions, ids, marks } from "./state_samples.mjs";

test("an event at or below the held position is not applied", () => {
  const { state, room } = opened();
  state.apply(heard(1, 2, 1));
  state.apply(heard(1, 2, 1, { text: "again" }));
  state.apply(heard(1, 1, 9));
  assert.deepEqual(ids(room), ["m1"]);
  assert.equal(room.messages.get("m1").text, "text 1");
  assert.equal(room.unread, 1);
  assert.deepEqual(positions(state), { r: [1, 2] });
});

test("events that arrive before the room is known are applied above its snapshot", () => {
  const state = new State("alice");
  state.apply(heard(1, 2, 1));
  state.apply(heard(1, 3, 2));
  assert.deepEqual(positions(state), {});
  const room = state.learn(view({ seq: 1, offset: 2, unread: 1 }));
  assert.equal(room.unread, 2);
  assert.deepEqual(positions(state), { r: [1, 3] });
});

test("a snapshot ahead of the events counts no message twice and lets none be skipped", () => {
  const { state, room } = opened();
  state.learn(view({ seq: 2, offset: 3, unread: 2 }));
  assert.deepEqual(positions(state), { r: [1, 1] });
  state.apply(heard(1, 2, 1));
  state.apply(heard(1, 3, 2));
  state.apply(heard(1, 4, 3));
  assert.equal(room.unread, 3);
  assert.deepEqual(ids(room), ["m1", "m2", "m3"]);
});

test("a snapshot behind the events changes nothing", () => {
  const { state, room } = opened();
  state.apply(heard(1, 2, 1));
  state.learn(view());
  assert.equal(room.unread, 1);
  assert.equal(room.summary.last_message.preview, "text 1");
});

test("a room whose messages are not held goes on from its newest snapshot", () => {
  const state = new State("alice");
  state.learn(view());
  state.learn(view({ seq: 4, offset: 5, unread: 4 }));
  assert.deepEqual(positions(state), { r: [1, 5] });
});

test("unread counts what others say, above the read cursor, and no system message", () => {
  const { state, room } = opened({ seq: 3, read_seq: 3 });
  state.apply(heard(1, 2, 3));
  assert.equal(room.unread, 0);
  state.apply(heard(1, 3, 4));
  state.apply(
    heard(1, 4, 5, {
      type: "system",
      text: "",
      metadata: { event: "member.added", user_ids: ["carol"] },
    }),
  );
  assert.equal(room.unread, 1);
  assert.equal(room.summary.last_message.seq, 4);
  assert.equal(state.unread(), 1);
});

test("an own message reads everything before it", () => {
  const { state, room } = opened();
  state.apply(heard(1, 2, 1));
  state.apply(heard(1, 3, 2, { sender_id: "alice" }));
  assert.equal(room.unread, 0);
});

test("what was read here stays read under an older count of the server", () => {
  const { state, room } = opened();
  state.apply(heard(1, 2, 1));
  room.read();
  state.learn(view({ seq: 2, offset: 3, unread: 2 }));
  assert.equal(room.unread, 1);
});

test("a failed message goes, and does not count", () => {
  const { state, room } = opened();
  state.apply(heard(1, 2, 1));
  state.apply(heard(1, 3, 2));
  state.apply(
    event("message.failed", 1, 4, {
      message_id: "m2",
      client_msg_id: "c2",
      seq: 2,
      reason: "poison",
    }),
  );
  assert.deepEqual(ids(room), ["m1"]);
  assert.equal(room.unread, 1);
  assert.deepEqual(state.stale(), [room]);
});

test("of one message_id the later position and the higher version count, in any order", () => {
  const two = [message(1, { version: 2, text: "edited" }), message(7, { epoch: 2 })];
  for (const order of [two, [...two].reverse()]) {
    const { room } = opened();
    for (const each of order) room.merge({ ...each, message_id: "m" });
    const [row, ...none] = room.rows("alice");
    assert.deepEqual([row.epoch, row.seq, row.text, none], [2, 7, "edited", []]);
  }
});

test("messages are ordered by epoch and seq, pages and events together", () => {
  const { state, room } = opened({ seq: 4, offset: 5 });
  state.apply(heard(2, 2, 3));
  room.page({ messages: [message(3), message(4)], has_more: true });
  state.apply(heard(2, 3, 5));
  room.page({ messages: [message(1), message(2)], has_more: false });
  assert.deepEqual(
    room.rows("alice").map(({ epoch, seq }) => [epoch, seq]),
    [
      [1, 1],
      [1, 2],
      [1, 4],
      [2, 3],
      [2, 5],
    ],
  );
  assert.equal(room.has_more, false);
});

test("a new epoch goes on from prev, and from elsewhere only after sync.reset", () => {
  const { state, room } = opened();
  state.apply(heard(1, 2, 1));
  state.apply(event("room.epoch", 2, 1, { prev: [1, 2] }));
  assert.deepEqual(positions(state), { r: [2, 1] });
  state.apply(event("room.epoch", 3, 1, { prev: [2, 4] }));
  assert.deepEqual(positions(state), { r: [2, 1] });
  state.apply({ type: "sync.reset", ts: T, room_id: "r", data: { epoch: 3, offset: 1 } });
  assert.deepEqual(positions(state), { r: [3, 1] });
  assert.deepEqual([ids(room), room.held, state.stale()], [[], false, [room]]);
});

test("a page that was asked for before a reset is not taken", () => {
  const { room } = opened();
  room.reset();
  room.page({ messages: [message(1)], has_more: false });
  assert.deepEqual(ids(room), []);
});

test("a room that was not recovered drops its messages and goes on from the next snapshot", () => {
  const { state, room } = opened();
  state.apply(heard(1, 2, 1));
  state.apply({ type: "session.ready", ts: T, data: { recovered: { r: false, gone: false } } });
  assert.deepEqual(ids(room), []);
  state.learn(view({ seq: 9, epoch: 1, offset: 10, unread: 9 }));
  assert.deepEqual(positions(state), { r: [1, 10] });
});

test("a room that is no longer ours is forgotten", () => {
  const { state } = opened();
  state.apply({ type: "room.removed", ts: T, room_id: "r", data: { reason: "removed" } });
  assert.deepEqual([state.list(), positions(state)], [[], {}]);
});

test("a new member is counted and named", () => {
  const { state, room } = opened();
  state.apply(
    event("member.added", 1, 2, { members: [{ user_id: "carol", name: "Carol", role: "member" }] }),
  );
  assert.equal(room.summary.member_count, 3);
  assert.equal(state.name("carol"), "Carol");
});

test("a direct room is called after the other person", () => {
  const state = new State("alice");
  const room = state.learn(view({ type: "direct", name: undefined }));
  assert.deepEqual(state.nameless(), [room]);
  state.meet("r", [
    { user_id: "alice", name: "Alice" },
    { user_id: "bob", name: "Bob" },
  ]);
  assert.equal(state.title(room), "Bob");
  assert.deepEqual(state.nameless(), []);
});

test("rooms are ordered by last activity", () => {
  const state = new State("alice");
  for (const [room_id, created_at] of [
    ["a", "2030-01-01"],
    ["b", "2030-01-03"],
    ["c", "2030-01-02"],
  ]) {
    state.learn(view({ room_id, created_at }));
  }
  state.apply({ ...heard(1, 2, 1, { created_at: "2030-01-04" }), room_id: "a" });
  assert.deepEqual(
    state.list().map(({ room_id }) => room_id),
    ["a", "b", "c"],
  );
});

test("an own message goes from clock to tick, whichever of event and ack comes first", () => {
  const ack = {
    message_id: "m1",
    client_msg_id: "c1",
    seq: 1,
    epoch: 1,
    offset: 2,
    created_at: T,
    status: "queued",
  };
  const own = heard(1, 2, 1, { sender_id: "alice" });
  for (const eventFirst of [true, false]) {
    const { state, room } = opened();
    room.sends.add("c1", "text 1", T);
    assert.deepEqual(marks(room), ["sending"]);
    if (eventFirst) state.apply(own);
    assert.deepEqual(marks(room), ["sending"]);
    room.acked(room.sends.get("c1"), ack, "alice");
    assert.deepEqual(marks(room), ["queued"]);
    if (!eventFirst) state.apply(own);
    assert.deepEqual([marks(room), ids(room)], [["queued"], ["m1"]]);
  }
});

test("an accepted message keeps its clock until message.status says queued", () => {
  const { state, room } = opened();
  room.sends.add("c1", "text 1", T);
  const ack = { message_id: "m1", seq: 1, epoch: 1, created_at: T, status: "accepted" };
  room.acked(room.sends.get("c1"), ack, "alice");
  assert.deepEqual(marks(room), ["accepted"]);
  state.apply({
    type: "message.status",
    ts: T,
    room_id: "r",
    data: { message_id: "m1", client_msg_id: "c1", status: "queued" },
  });
  assert.deepEqual(marks(room), ["queued"]);
});

test("a cursor carries how far this user has read and what has arrived", () => {
  const { state, room } = opened({ read_seq: 3, delivered_seq: 4, seq: 5, unread: 2, offset: 7 });
  assert.deepEqual(state.cursors(), { r: [1, 7, 3, 4] });
  room.read();
  assert.deepEqual(state.cursors(), { r: [1, 7, 5, 4] });
});

test("an edit changes text and preview, a deletion also the count", () => {
  const { state, room } = opened();
  state.apply(heard(1, 2, 1));
  state.apply(heard(1, 3, 2));
  const edited = message(2, { text: "better", version: 2, edited_at: T });
  state.apply(event("message.updated", 1, 4, { message: edited }));
  assert.equal(room.messages.get("m2").text, "better");
  assert.equal(room.summary.last_message.preview, "better");
  const gone = message(1, { text: "", version: 2, deleted_at: T });
  state.apply(event("message.deleted", 1, 5, { message: gone }));
  state.apply(event("message.deleted", 1, 5, { message: gone }));
  assert.equal(room.unread, 1);
  assert.equal(room.messages.get("m1").deleted_at, T);
  assert.equal(room.summary.last_message.deleted, false);
  const last = message(2, { text: "", version: 3, deleted_at: T });
  state.apply(event("message.deleted", 1, 6, { message: last }));
  assert.equal(room.summary.last_message.deleted, true);
});

test("a reaction is a difference, above the version that is held", () => {
  const { state, room } = opened();
  state.apply(heard(1, 2, 1));
  const reacted = (offset, version, user_id, on, count) =>
    event("message.updated", 1, offset, {
      message_id: "m1",
      version,
      reaction: { emoji: "+", user_id, on },
      counts: count ? { "+": count } : {},
    });
  state.apply(reacted(3, 2, "bob", true, 1));
  state.apply(reacted(4, 3, "alice", true, 2));
  state.apply(reacted(5, 3, "eve", true, 9));
  assert.deepEqual(room.messages.get("m1").reactions, { "+": { count: 2, user_ids: ["bob", "alice"] } });
  state.apply(reacted(6, 4, "bob", false, 1));
  state.apply(reacted(7, 5, "alice", false, 0));
  assert.deepEqual(room.messages.get("m1").reactions, {});
});

test("a reaction that overtakes the page with its message is not lost", () => {
  const { state, room } = opened();
  const reaction = { emoji: "+", user_id: "bob", on: true };
  const data = { message_id: "m1", version: 2, reaction, counts: { "+": 1 } };
  state.apply(event("message.updated", 1, 3, data));
  room.page({ messages: [message(1)], has_more: false });
  assert.deepEqual(room.messages.get("m1").reactions, { "+": { count: 1, user_ids: ["bob"] } });
  room.page({ messages: [message(1)], has_more: false });
  assert.equal(room.messages.get("m1").version, 2);
});

test("a message is delivered and read when all others say so", () => {
  const { state, room } = opened();
  const at = (user_id, read_seq, delivered_seq) => ({ user_id, read_seq, delivered_seq });
  state.meet("r", [at("alice", 0, 0), at("bob", 0, 0), at("carol", 0, 0)]);
  state.apply(heard(1, 2, 1, { sender_id: "alice" }));
  const told = (...cursors) => state.apply({ type: "receipt.updated", room_id: "r", data: { cursors } });
  assert.deepEqual(marks(room), ["queued"]);
  told(at("bob", 1, 1));
  assert.deepEqual(marks(room), ["queued"]);
  told(at("carol", 0, 1));
  assert.deepEqual(marks(room), ["delivered"]);
  told(at("carol", 1, 1), at("bob", 0, 0));
  assert.deepEqual(marks(room), ["read"]);
});

test("what was read on another device is not unread here", () => {
  const { state, room } = opened();
  for (const seq of [1, 2, 3]) state.apply(heard(1, seq + 1, seq));
  const data = { unread: 1, read_seq: 2, total: 1, rooms: 1 };
  state.apply({ type: "unread.changed", room_id: "r", data });
  assert.equal(room.unread, 1);
  state.apply(heard(1, 5, 4));
  assert.equal(room.unread, 2);
});

test("roles, names and hidden rooms follow their events", () => {
  const { state, room } = opened();
  state.apply(event("room.updated", 1, 2, { room: view({ name: "New", frozen: true, version: 2 }) }));
  assert.equal(state.title(room), "New");
  state.apply(event("member.updated", 1, 3, { members: [{ user_id: "alice", role: "admin" }] }));
  assert.equal(room.summary.role, "admin");
  state.apply(event("member.removed", 1, 4, { members: [{ user_id: "bob" }] }));
  assert.equal(room.summary.member_count, 1);
  const data = { muted: false, hidden: true, role: "admin" };
  state.apply({ type: "room.state", room_id: "r", data });
  assert.deepEqual(state.shown(), []);
  assert.equal(state.list().length, 1);
});

test("presence is kept by user, typing by room, and one is not told of oneself", () => {
  const state = new State("alice");
  state.learn(view());
  state.learn(view({ room_id: "d", type: "direct", name: null }));
  state.meet("r", [{ user_id: "alice" }, { user_id: "bob" }, { user_id: "carol" }]);
  state.meet("d", [{ user_id: "alice" }, { user_id: "bob" }]);
  assert.deepEqual(state.others().sort(), ["bob", "carol"]);
  assert.equal(state.partner(state.rooms.get("d")), "bob");
  assert.equal(state.partner(state.rooms.get("r")), undefined);
  state.present([{ user_id: "bob", state: "online" }, { user_id: "eve", error: "not_found" }]);
  state.apply({ type: "presence.changed", ts: T, data: { user_id: "bob", state: "away" } });
  assert.equal(state.presences.get("bob").state, "away");
  assert.equal(state.presences.has("eve"), false);
  const data = { user_ids: ["alice", "bob"], count: 2 };
  state.apply({ type: "typing.changed", ts: T, room_id: "r", data });
  assert.deepEqual(state.typists(state.rooms.get("r")), ["bob"]);
  assert.deepEqual(state.typists(state.rooms.get("d")), []);
});
