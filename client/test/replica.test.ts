import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { LogEvent, Room as RoomView } from "../types.js";
import { type Position, positionOf } from "../src/position.ts";
import { Replica } from "../src/replica.ts";
import { ME, type Packet, ServerRoom } from "./server.ts";

const PAGE = 4;

/** The server, one connection to it, and the replica behind that: each step is one of the three. */
class Scene {
  readonly server = new ServerRoom();
  readonly replica = new Replica();
  /** Packets on their way, in order. */
  wire: Packet[] = [];
  /** Answers that were read at some moment and may overtake packets. */
  snapshots: RoomView[] = [];
  pages: (() => void)[] = [];

  publish(event: LogEvent | undefined): void {
    if (event) this.wire.push({ event });
  }

  recount(recount: { unread: number; read_seq: number } | undefined): void {
    if (recount) this.wire.push({ recount });
  }

  deliver(): void {
    const packet = this.wire.shift();
    if (!packet) return;
    if ("event" in packet) this.replica.apply(packet.event, ME);
    else this.replica.recount(packet.recount);
  }

  ask(): void {
    this.snapshots.push(this.server.snapshot());
  }

  answer(): void {
    const view = this.snapshots.shift();
    if (view) this.replica.learn(view, ME);
  }

  /** Ask for the newest page, or for one before the oldest message held. */
  list(older: boolean): void {
    const { timeline } = this.replica;
    if (this.pages.length > 0) return;
    const before = timeline.messages[0]?.seq;
    timeline.expect();
    if (older && before !== undefined) {
      const { messages, has_more } = this.server.page({ before }, PAGE);
      this.pages.push(() => timeline.extend(messages, { hasOlder: has_more }));
    } else {
      const { messages, has_more } = this.server.page({}, PAGE);
      this.pages.push(() => timeline.replace(messages, { hasOlder: has_more, hasNewer: false }));
    }
  }

  page(): void {
    this.pages.shift()?.();
  }

  /** What was on its way is lost; the server replays what lies behind the cursor. */
  reconnect(): void {
    const cursor = this.replica.cursor;
    this.snapshots = [];
    this.wire = [];
    if (!cursor) return this.reset(undefined); // the stream begins here
    for (const event of this.server.after([cursor[0], cursor[1]])) this.wire.push({ event });
    const { unread, read_seq } = this.server.snapshot();
    this.wire.push({ recount: { unread, read_seq } });
  }

  /** A gap that is too old: the server says where to stand, and everything is read again. */
  reset(position?: Position): void {
    this.wire = [];
    this.snapshots = [];
    this.replica.reset(position);
    this.replica.timeline.unexpect();
    this.pages = [];
    this.list(false);
    this.ask();
  }

  /** Everything arrives. */
  settle(): void {
    while (this.wire.length) this.deliver();
    while (this.pages.length) this.page();
    while (this.snapshots.length) this.answer();
    for (let n = 0; this.replica.stale || !this.replica.view; n += 1) {
      assert.ok(n < 3, "a snapshot of the end settles it");
      this.ask();
      this.answer();
    }
  }
}

const index = fc.nat({ max: 20 });
const step: fc.Arbitrary<(scene: Scene) => void> = fc.oneof(
  { weight: 6, arbitrary: fc.constant((s: Scene) => s.publish(s.server.send("bob"))) },
  fc.constant((s: Scene) => s.publish(s.server.send(ME))),
  fc.constant((s: Scene) => s.publish(s.server.send("bob", "system"))),
  index.map((n) => (s: Scene) => s.publish(s.server.edit(n))),
  index.map((n) => (s: Scene) => s.publish(s.server.delete(n))),
  index.map((n) => (s: Scene) => s.publish(s.server.react(n, n % 2 ? "bob" : ME))),
  index.map((n) => (s: Scene) => s.publish(s.server.fail(n))),
  index.map((n) => (s: Scene) => s.recount(s.server.read(n))),
  fc.constant((s: Scene) => s.publish(s.server.rename())),
  fc.constant((s: Scene) => s.publish(s.server.join())),
  fc.constant((s: Scene) => s.publish(s.server.reopen())),
  { weight: 8, arbitrary: fc.constant((s: Scene) => s.deliver()) },
  { weight: 2, arbitrary: fc.constant((s: Scene) => s.ask()) },
  { weight: 3, arbitrary: fc.constant((s: Scene) => s.answer()) },
  fc.boolean().map((older) => (s: Scene) => s.list(older)),
  { weight: 2, arbitrary: fc.constant((s: Scene) => s.page()) },
  fc.constant((s: Scene) => s.reconnect()),
  fc.constant((s: Scene) => s.reset(s.server.position)),
);

test("snapshot and events, in whatever order they meet, are the next snapshot", () => {
  const prefix = fc.array(fc.boolean(), { maxLength: 8 });
  fc.assert(
    fc.property(prefix, fc.array(step, { maxLength: 60 }), (before, steps) => {
      const scene = new Scene();
      for (const mine of before) scene.server.send(mine ? ME : "bob");
      scene.ask();
      for (const take of steps) take(scene);
      scene.settle();
      assert.deepEqual(scene.replica.view, scene.server.snapshot());
      const { messages, hasNewer } = scene.replica.timeline;
      if (hasNewer) assert.deepEqual(messages, []);
      else assert.deepEqual(messages, scene.server.messages.slice(-messages.length || Infinity));
    }),
    { numRuns: 2_000 },
  );
});

test("an event is new once, however often it comes", () => {
  const server = new ServerRoom();
  const replica = new Replica();
  replica.learn(server.snapshot(), ME);
  const event = server.send("bob");
  assert.equal(replica.apply(event, ME), true);
  assert.equal(replica.apply(event, ME), false);
  assert.equal(replica.view?.unread, 1);
});

test("events before the first snapshot wait for it and count then", () => {
  const server = new ServerRoom();
  const replica = new Replica();
  const [first, second] = [server.send("bob"), server.send("bob")];
  assert.equal(replica.apply(first, ME), false);
  assert.equal(replica.cursor, undefined);
  assert.equal(replica.apply(second, ME), false);
  assert.deepEqual(replica.learn(server.snapshot(), ME), [first, second]);
  assert.deepEqual([replica.view?.unread, replica.cursor], [2, [...positionOf(second), 0, 0]]);
});

test("a cursor never passes an event that has not come, even when a snapshot has it", () => {
  const server = new ServerRoom();
  const replica = new Replica();
  const [epoch, offset] = server.position;
  replica.learn(server.snapshot(), ME);
  server.send("bob");
  replica.learn(server.snapshot(), ME);
  assert.deepEqual(replica.cursor?.slice(0, 2), [epoch, offset]);
});

test("a new epoch goes on from prev; from elsewhere nothing counts before sync.reset", () => {
  const server = new ServerRoom();
  const replica = new Replica();
  replica.learn(server.snapshot(), ME);
  assert.equal(replica.apply(server.reopen(), ME), true);
  server.send("bob"); // missed
  const opened = server.reopen();
  assert.equal(replica.apply(opened, ME), false);
  assert.equal(replica.view?.unread, 0);
  replica.reset(positionOf(opened));
  assert.equal(replica.stale, true);
  replica.learn(server.snapshot(), ME);
  assert.deepEqual([replica.stale, replica.view.unread], [false, 1]);
});

test("what was read here stays read under an older count of the server", () => {
  const server = new ServerRoom();
  const replica = new Replica();
  replica.learn(server.snapshot(), ME);
  replica.apply(server.send("bob"), ME);
  assert.equal(replica.read(1, ME), true);
  assert.equal(replica.read(1, ME), false);
  server.send("bob");
  replica.learn(server.snapshot(), ME); // counts two: the server does not know of the reading
  assert.equal(replica.view?.unread, 1);
  replica.recount({ unread: 2, read_seq: 0 });
  assert.equal(replica.view.unread, 1);
});

test("what was read stays read under a snapshot that was on its way, also beside a system message", () => {
  const server = new ServerRoom();
  const replica = new Replica();
  replica.learn(server.snapshot(), ME);
  replica.apply(server.send("bob"), ME);
  replica.apply(server.send("bob", "system"), ME);
  const before = server.snapshot();
  replica.recount(server.read(1) ?? assert.fail());
  assert.equal(replica.view?.unread, 0);
  replica.learn(before, ME);
  assert.equal(replica.view.unread, 0);
});

test("reading up to the middle leaves what is above, without system messages and own ones", () => {
  const server = new ServerRoom();
  const replica = new Replica();
  replica.learn(server.snapshot(), ME);
  replica.timeline.replace([], { hasOlder: false, hasNewer: false });
  for (let n = 0; n < 4; n += 1) replica.apply(server.send("bob"), ME);
  replica.apply(server.send("bob", "system"), ME);
  replica.apply(server.delete(3) ?? assert.fail(), ME);
  assert.equal(replica.view?.unread, 3);
  replica.read(2, ME);
  assert.equal(replica.view.unread, 1);
});

test("an estimate of what is unread is asked for in the next session, unless the server has counted", () => {
  const server = new ServerRoom();
  for (const type of ["text", "system", "text", "text"] as const) server.send("bob", type);
  const replica = new Replica();
  replica.learn(server.snapshot(), ME);
  replica.resume();
  assert.equal(replica.stale, false);
  replica.read(1, ME); // no message is held, so the system message may be one that counts
  const lost = server.read(1) ?? assert.fail();
  replica.resume();
  assert.equal(replica.stale, true);
  replica.learn(server.snapshot(), ME);
  assert.deepEqual([replica.view?.unread, lost.unread], [2, 2]);
  replica.resume();
  assert.equal(replica.stale, false);
  replica.read(3, ME);
  replica.recount(server.read(3) ?? assert.fail());
  replica.resume();
  assert.deepEqual([replica.stale, replica.view?.unread], [false, 1]);
});

test("what was seen before the first snapshot is read with it", () => {
  const server = new ServerRoom();
  for (let n = 0; n < 4; n += 1) server.send("bob");
  const replica = new Replica();
  assert.equal(replica.read(3, ME), false);
  assert.equal(replica.read(2, ME), false);
  replica.learn(server.snapshot(), ME);
  assert.deepEqual([replica.view?.read_seq, replica.view?.unread], [3, 1]);
});

test("what was seen before the first snapshot reads nothing of what comes later", () => {
  const server = new ServerRoom();
  server.send("bob");
  const replica = new Replica();
  replica.read(1e9, ME);
  replica.learn(server.snapshot(), ME);
  server.send("bob");
  replica.learn(server.snapshot(), ME);
  assert.deepEqual([replica.view?.read_seq, replica.view?.unread], [1, 1]);
});
