import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import type { Message, MessageListPayload } from "../types.js";
import type { Commander } from "../src/connection.ts";
import { History } from "../src/history.ts";
import { Timeline } from "../src/timeline.ts";

const LAST = 300;

/** The history of a room of 300 messages, at a server that answers when the test says so. */
class Scene {
  readonly timeline = new Timeline();
  readonly asked: MessageListPayload[] = [];
  readonly #answers: (() => void)[] = [];
  readonly history = new History(
    {
      command: (_: string, payload: MessageListPayload) => {
        this.asked.push(payload);
        return new Promise((resolve) => {
          this.#answers.push(() => {
            resolve(pageOf(payload));
          });
        });
      },
    } as unknown as Commander,
    "r",
    this.timeline,
    () => undefined,
  );

  get window(): [first: number | undefined, last: number | undefined] {
    const { messages } = this.timeline;
    return [messages[0]?.seq, messages.at(-1)?.seq];
  }

  /** Answer everything until this is done. */
  async answerAll(...done: Promise<void>[]): Promise<void> {
    const all = Promise.all(done);
    const state = { waits: true };
    const ends = () => {
      state.waits = false;
    };
    all.then(ends, ends);
    while (state.waits) {
      for (const answer of this.#answers.splice(0)) answer();
      await turn();
    }
    await all;
  }
}

function pageOf({ before_seq, after_seq, limit = 50 }: MessageListPayload): object {
  const first = after_seq !== undefined ? after_seq + 1 : Math.max(1, (before_seq ?? LAST + 1) - limit);
  const last = after_seq !== undefined ? Math.min(LAST, after_seq + limit) : (before_seq ?? LAST + 1) - 1;
  const messages = Array.from({ length: last - first + 1 }, (_, n) => {
    const seq = first + n;
    return { message_id: `m${seq}`, seq, epoch: 1, version: 1 } as Message;
  });
  return { messages, has_more: after_seq === undefined ? first > 1 : last < LAST };
}

test("to ask for more than nothing does not count as having the end", async () => {
  const scene = new Scene();
  await scene.history.older();
  await scene.history.newer();
  assert.deepEqual(scene.asked, []);
  await scene.answerAll(scene.history.hold());
  assert.deepEqual(scene.window, [251, 300]);
});

test("a page that was asked for before events were missed is read again: its asker still waits", async () => {
  for (const isWatched of [true, false]) {
    const scene = new Scene();
    const { history } = scene;
    const asked = [history.hold(), history.around(50)];
    await turn(); // the first is on its way
    if (isWatched) history.invalidate();
    else history.drop();
    await scene.answerAll(...asked);
    assert.deepEqual(scene.window, [25, 74], `watched: ${String(isWatched)}`);
    assert.equal(history.loading, false);
  }
});

test("what was asked for last is held, also while the page before is on its way", async () => {
  const scene = new Scene();
  const { history } = scene;
  await scene.answerAll(history.around(50), history.hold());
  assert.deepEqual(scene.window, [25, 74]);
  await scene.answerAll(history.newest());
  assert.deepEqual(scene.window, [251, 300]);
  await scene.answerAll(history.around(50), history.newest());
  assert.deepEqual(scene.window, [251, 300]);
  const asked = scene.asked.length;
  await history.newest(); // it is held
  await history.hold();
  assert.equal(scene.asked.length, asked);
});

test("older and newer messages come also if events were missed while they were on their way", async () => {
  const scene = new Scene();
  const { history } = scene;
  await scene.answerAll(history.around(150));
  const asked = [history.older(), history.newer()];
  await turn();
  history.invalidate();
  await scene.answerAll(...asked, history.hold());
  assert.deepEqual(scene.window, [75, 224]);
});

/** A room of 300 messages; each page comes when `answer` is called. */
function room() {
  const waiting: (() => void)[] = [];
  const all = Array.from({ length: 300 }, (_, n) => ({ message_id: `m${n + 1}`, seq: n + 1, epoch: 1, version: 1 }));
  const connection = {
    command: (_: string, { before_seq = 301, after_seq, limit = 50 }: Record<string, number>) =>
      new Promise((resolve) => {
        const newer = all.filter((one) => one.seq > (after_seq ?? 300));
        const older = all.filter((one) => one.seq < before_seq);
        const messages = after_seq === undefined ? older.slice(-limit) : newer.slice(0, limit);
        const has_more = messages.length < (after_seq === undefined ? older : newer).length;
        waiting.push(() => resolve({ messages, has_more }));
      }),
  } as unknown as Commander;
  const timeline = new Timeline();
  const history = new History(connection, "r", timeline, () => undefined);
  const answer = async () => {
    for (let idle = 0; idle < 3; idle += 1) {
      await new Promise(setImmediate);
      if (waiting.length) idle = 0;
      waiting.splice(0).forEach((one) => one());
    }
  };
  const held = () => [timeline.messages[0]?.seq, timeline.messages.at(-1)?.seq];
  return { history, answer, held };
}

test("what is asked for around a message is held, whatever is reset meanwhile", async () => {
  const { history, answer, held } = room();
  const first = history.hold();
  const asked = history.around(50);
  await new Promise(setImmediate);
  history.invalidate();
  const again = history.hold();
  await answer();
  await Promise.all([first, asked, again]);
  assert.deepEqual(held(), [25, 74]);
});

test("who begins to watch behind it keeps what was asked for", async () => {
  const { history, answer, held } = room();
  const asked = history.around(50);
  const watched = history.hold();
  await answer();
  await Promise.all([asked, watched]);
  assert.deepEqual(held(), [25, 74]);
});
