// No message is left where nobody brings it on.
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import fc from "fast-check";
import type { SentAnswer } from "../types.js";
import type { Commander } from "../src/connection.ts";
import { type ChatErrorCode, refusal } from "../src/error.ts";
import { Outbox } from "../src/outbox.ts";
import { memoryStorage } from "../src/storage.ts";
import { stepsOf, type Unsent } from "../src/unsent.ts";
import { Upload } from "../src/upload.ts";

interface Waiting {
  ok: (answer: SentAnswer) => void;
  fail: (error: Error) => void;
}

const LOST = refusal("no_answer", "", true);
const LONG = 900_000; // ms: the longest that anything waits
const nothing = () => undefined;

/** An outbox, and a server and a store that answer when they are told to. */
class Scene {
  online = true;
  sends: Waiting[] = [];
  readonly files = new Map<Upload, Waiting>();
  readonly box: Outbox;

  constructor() {
    const once = () => new Promise((ok, fail) => this.sends.push({ ok, fail }));
    const isOnline = () => this.online;
    this.box = new Outbox({
      room_id: "r",
      get connection() {
        return { online: isOnline(), once } as unknown as Commander;
      },
      storage: memoryStorage(),
      tab: "tab",
      prefix: () => "outbox/",
      seq: () => undefined,
      mostFiles: () => undefined,
      changed: nothing,
      acked: nothing,
      warn: (_, error) => assert.fail(String(error)),
    });
  }

  pick(index: number): Unsent | undefined {
    return this.box.list[index % Math.max(1, this.box.list.length)];
  }

  leave(): void {
    this.online = false;
    for (const { fail } of this.sends.splice(0)) fail(LOST);
  }

  enter(): void {
    if (this.online) return;
    this.online = true;
    this.box.resume();
    this.box.flush();
  }

  upload(error?: Error): void {
    const [upload] = this.files.keys();
    const waiting = upload && this.files.get(upload);
    if (!waiting) return;
    this.files.delete(upload);
    if (!error) upload.attachment = {} as Upload["attachment"];
    if (error) waiting.fail(error);
    else waiting.ok({} as SentAnswer);
  }
}

type Step = (scene: Scene, index: number) => void;

const refused = (code: ChatErrorCode, retryable = false): Step => ({ sends }) => sends.shift()?.fail(refusal(code, "", retryable));
const answered = (status: SentAnswer["status"]): Step => ({ sends }) => sends.shift()?.ok({ seq: 1, status } as SentAnswer);

const STEPS: Readonly<Record<string, Step>> = {
  text: ({ box }) => void box.add({ text: "x" }),
  file: ({ box }) => void box.add({ text: "x", files: [new File(["x"], "x")] }),
  queued: answered("queued"),
  accepted: answered("accepted"),
  unavailable: refused("unavailable", true),
  lost: refused("no_answer", true),
  forbidden: refused("forbidden"),
  invalid: refused("invalid_param"),
  heard: (scene, index) => scene.box.heard(scene.pick(index)?.client_msg_id ?? ""),
  durable: (scene, index) => scene.box.durable(scene.pick(index)?.client_msg_id ?? ""),
  failed: (scene, index) => scene.box.failed(scene.pick(index)?.client_msg_id ?? "", 1),
  retry: (scene, index) => {
    const unsent = scene.pick(index);
    if (unsent) scene.box.retry(unsent);
  },
  discard: (scene, index) => {
    const unsent = scene.pick(index);
    if (unsent) scene.box.discard(unsent);
  },
  uploaded: (scene) => scene.upload(),
  "upload failed": (scene) => scene.upload(refusal("upload_failed", "", true)),
  offline: (scene) => scene.leave(),
  online: (scene) => scene.enter(),
  close: (scene) => {
    scene.box.close();
    scene.leave();
  },
};

/** What could go on now and does not. All else waits for an answer, a time, the user, or a message before it. */
const idle = ({ box }: Scene): string[] => {
  const isAsking = box.list.some((one) => one.isBusy && (one.phase === "heard" || one.phase === "accepted"));
  return stepsOf(box.list, Date.now(), isAsking).now.map(({ phase }) => phase);
};

test("while there is a connection every message has a next step, and what the server takes leaves the outbox", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.now() });
  let scene = new Scene();
  t.mock.method(Upload.prototype, "run", function (this: Upload) {
    return this.attachment ? Promise.resolve() : new Promise((ok, fail) => scene.files.set(this, { ok, fail }));
  });
  t.mock.method(Upload.prototype, "stop", function (this: Upload) {
    scene.files.get(this)?.fail(refusal("closed", ""));
    scene.files.delete(this);
  });
  const step = fc.tuple(fc.constantFrom(...Object.keys(STEPS)), fc.nat(5), fc.nat(3_000));
  const holds = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
    scene = new Scene();
    for (const [name, index, ms] of steps) {
      STEPS[name]?.(scene, index);
      await turn();
      t.mock.timers.tick(ms);
      await turn();
      if (scene.online) assert.deepEqual(idle(scene), []);
    }
    scene.enter();
    for (let n = 0; n < 60 && scene.box.list.some(({ phase }) => phase !== "refused"); n += 1) {
      scene.upload();
      STEPS["queued"]?.(scene, 0);
      await turn();
      if (scene.sends.length + scene.files.size === 0) t.mock.timers.tick(LONG);
    }
    assert.deepEqual(scene.box.list.map(({ phase }) => phase).filter((phase) => phase !== "refused"), []);
    scene.box.close();
  });
  await fc.assert(holds, { numRuns: 300 });
});

test("messages leave in order, files and what is asked about beside them, and the least time is waited for", () => {
  const unsent = (phase: Unsent["phase"], notBefore = 0, isBusy = false) => ({ phase, notBefore, isBusy }) as Unsent;
  const [waiting, file, heard] = [unsent("waiting"), unsent("uploading"), unsent("heard")];
  assert.deepEqual(stepsOf([unsent("refused"), waiting, unsent("waiting")], 0), { now: [waiting] });
  assert.deepEqual(stepsOf([file, waiting], 0), { now: [file] });
  assert.deepEqual(stepsOf([waiting, file], 0), { now: [file, waiting] });
  assert.deepEqual(stepsOf([unsent("waiting", 0, true), unsent("waiting")], 0), { now: [] });
  assert.deepEqual(stepsOf([heard, unsent("accepted"), waiting], 0), { now: [heard, waiting] });
  assert.deepEqual(stepsOf([heard, waiting], 0, true), { now: [waiting] });
  assert.deepEqual(stepsOf([unsent("accepted", 7), heard], 4), { now: [heard], wait: 3 });
  assert.deepEqual(stepsOf([unsent("accepted", 7), unsent("waiting", 9)], 4), { now: [], wait: 3 });
  assert.deepEqual(stepsOf([unsent("heard", 9, true)], 4), { now: [] });
});
