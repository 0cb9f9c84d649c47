// Whoever is looked at is watched, and what cannot be watched is said.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Commander } from "../src/connection.ts";
import { refusal } from "../src/error.ts";
import { PresenceWatch } from "../src/presences.ts";

test("subscribers that want more users than can be watched together are told to the logger", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const asked: string[][] = [];
  const warned: string[] = [];
  const command = (_: string, { user_ids }: { user_ids: string[] }) => {
    asked.push(user_ids);
    return Promise.resolve({ presences: [] });
  };
  const connection = { online: true, command } as unknown as Commander;
  const watch = new PresenceWatch(connection, (message, error) => void warned.push(`${message} ${String(error)}`));
  const people = (from: number) => Array.from({ length: 300 }, (_, index) => `user-${from + index}`);
  const watched = async (from: number): Promise<number | undefined> => {
    watch.of(people(from)).subscribe(() => undefined);
    mock.timers.tick(100);
    await new Promise((done) => setImmediate(done));
    return asked.at(-1)?.length;
  };
  assert.deepEqual([await watched(0), await watched(200), warned], [300, 500, []]);
  assert.equal(await watched(250), 500);
  assert.deepEqual(warned, ["Subscribers want the presence of too many users; watched are only the first 500"]);
});

/** A server that knows how bob is, and tells it to whoever watches him. */
function bobs(): { watch: PresenceWatch; asked: string[]; now: (state: "online" | "away") => void; fail: () => void } {
  let [state, fails]: ["online" | "away", boolean] = ["online", false];
  const asked: string[] = [];
  const bob = () => ({ user_id: "bob", state, status_text: null, last_active_at: null });
  const command = (_: string, { user_ids }: { user_ids: string[] }) => {
    asked.push(user_ids.join());
    if (fails) return Promise.reject(refusal("unavailable", "", !(fails = false)));
    return Promise.resolve({ presences: user_ids.map(bob) });
  };
  const watch = new PresenceWatch({ online: true, command } as unknown as Commander, () => undefined);
  const now = (next: typeof state) => {
    state = next;
    if (asked.at(-1) === "bob") watch.take([bob()]);
  };
  return { watch, asked, now, fail: () => (fails = true) };
}

test("who subscribes again, or read the value early, has what is known by now; nobody looked at is known", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const soon = async () => {
    await new Promise((done) => setImmediate(done));
    mock.timers.tick(100);
    await new Promise((done) => setImmediate(done));
  };
  const { watch, now } = bobs();
  const [p, q] = [watch.of(["bob"]), watch.of(["bob"])];
  assert.deepEqual(p.value, {});
  const stopQ = q.subscribe(() => undefined);
  await soon();
  const heard: (string | undefined)[] = [];
  const stopP = p.subscribe(({ bob }) => heard.push(bob?.state));
  stopP();
  now("away");
  p.subscribe(({ bob }) => heard.push(bob?.state))();
  assert.deepEqual([heard, p.value["bob"]?.state, p.value === p.value], [["online", "away"], "away", true]);
  stopQ();
  await soon();
  assert.deepEqual([p.value, q.value], [{}, {}]);
  p.subscribe(() => undefined);
  await soon();
  watch.offline();
  assert.deepEqual(p.value, {});
});

test("a watch that was refused is asked for again, and one at a time is", async ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { watch, asked, fail } = bobs();
  fail();
  watch.of(["bob"]).subscribe(() => undefined);
  for (let tick = 0; tick < 60; tick += 1) {
    mock.timers.tick(100);
    await new Promise((done) => setImmediate(done));
  }
  assert.deepEqual(asked, ["bob", "bob"]);
});
