import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Commander } from "../src/connection.ts";
import "./dom.ts";
import { Reports } from "../src/reports.ts";
import type { RoomCore } from "../src/room-core.ts";

/** A room in which messages arrive and are read, and what was told of it. */
class Scene {
  readonly told: string[] = [];
  unreported: { delivered?: number; read?: number } = {};
  readonly reports: Reports;

  constructor(t: TestContext) {
    t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
    const tell = (name: string, payload: object) => this.told.push(`${name} ${JSON.stringify(payload)}`);
    const command = (name: string, payload: object) => Promise.resolve(tell(name, payload));
    const connection = { online: true, command, tell } as unknown as Commander;
    const core = (): RoomCore => {
      const reported = () => (this.unreported = {});
      return { room_id: "r", unreported: this.unreported, reported } as unknown as RoomCore;
    };
    this.reports = new Reports(connection, () => [core()], assert.ifError);
  }

  arrives(delivered: number): void {
    this.unreported = { ...this.unreported, delivered };
    this.reports.soon();
  }
}

const settled = () => new Promise<void>((done) => setImmediate(done));
const delivered = (seq: number) => `receipt.delivered {"rooms":{"r":${seq}}}`;

for (const [interval, wait] of [[10_000, 10_000], [undefined, 1_000]] as const)
  test(`reports keep the ${wait} ms of a server that asks for ${interval ?? "none"}`, async (t) => {
    const scene = new Scene(t);
    scene.reports.start(interval);
    t.mock.timers.tick(0);
    await settled();
    assert.deepEqual(scene.told, []);
    scene.arrives(1); // at once: that there was nothing to tell began no interval
    t.mock.timers.tick(0);
    await settled();
    assert.deepEqual(scene.told, [delivered(1)]);
    scene.arrives(2);
    scene.arrives(3);
    t.mock.timers.tick(wait - 1);
    await settled();
    assert.deepEqual(scene.told, [delivered(1)]);
    t.mock.timers.tick(1);
    await settled();
    assert.deepEqual(scene.told, [delivered(1), delivered(3)]);
  });

test("what is read is told within a second, whatever waits for the interval", async (t) => {
  const scene = new Scene(t);
  scene.reports.start(10_000);
  scene.arrives(1);
  t.mock.timers.tick(0);
  await settled();
  scene.arrives(2);
  scene.unreported = { delivered: 2, read: 2 };
  scene.reports.soon(true);
  t.mock.timers.tick(999);
  await settled();
  assert.deepEqual(scene.told, [delivered(1)]);
  t.mock.timers.tick(1);
  await settled();
  assert.deepEqual(scene.told, [delivered(1), delivered(2), 'receipt.read {"room_id":"r","up_to_seq":2}']);
});

test("the first news after a quiet time is reported at once", async (t) => {
  const scene = new Scene(t);
  scene.arrives(1);
  t.mock.timers.tick(0);
  await settled();
  assert.deepEqual(scene.told, [delivered(1)]);
});

test("what waits is told before the client goes, and nothing is told twice without need", async (t) => {
  const scene = new Scene(t);
  scene.reports.start(10_000);
  t.mock.timers.tick(0);
  await settled();
  scene.reports.last();
  assert.deepEqual(scene.told, []);
  scene.unreported = { delivered: 4, read: 3 };
  scene.reports.soon();
  scene.reports.last();
  assert.deepEqual(scene.told, [delivered(4), 'receipt.read {"room_id":"r","up_to_seq":3}']);
});

test("what waits is told when the window is hidden, until the session ends", async (t) => {
  const scene = new Scene(t);
  let state = "hidden";
  Object.defineProperty(document, "visibilityState", { get: () => state, configurable: true });
  const turn = (to: string) => {
    state = to;
    document.dispatchEvent(new Event("visibilitychange"));
  };
  scene.reports.start(10_000);
  t.mock.timers.tick(0);
  await settled();
  scene.arrives(1);
  turn("visible");
  assert.deepEqual(scene.told, []);
  turn("hidden");
  assert.deepEqual(scene.told, [delivered(1)]);
  scene.reports.stop();
  scene.arrives(2);
  turn("hidden");
  assert.deepEqual(scene.told, [delivered(1)]);
});
