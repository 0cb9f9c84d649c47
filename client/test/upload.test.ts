// A file on its way into a store that fails, stalls or is stopped; a real one, over HTTP.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, test } from "node:test";
import type { Commander } from "../src/connection.ts";
import { Upload } from "../src/upload.ts";
import { closeAll, left, until } from "./wire.ts";

afterEach(closeAll);

const nothing = () => undefined;

/** A store that does these with its requests, the last again and again, and a server that grants it. */
async function storing(...does: ((response: ServerResponse) => void)[]) {
  const made: string[] = [];
  let posts = 0;
  const server = createServer((request, response) => {
    posts += 1;
    const answer = (does.length > 1 ? does.shift() : does[0]) ?? nothing;
    request.resume().on("end", () => answer(response));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  left.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const command = (name: string) => {
    made.push(name);
    return Promise.resolve(name === "upload.request" ? { url, fields: {}, attachment_id: "a" } : { attachment: { attachment_id: "a" } });
  };
  return { connection: { online: true, command } as unknown as Commander, made, posts: () => posts };
}

const fails = (response: ServerResponse) => void response.writeHead(503).end();
const breaks = (response: ServerResponse) => void response.destroy();
const takes = (response: ServerResponse) => void response.writeHead(204).end();
const refuses = (response: ServerResponse) => void response.writeHead(403).end();

/** What `run` ends with, while time passes at once. */
async function ended(run: Promise<void>, tick: (ms: number) => void): Promise<string> {
  let end: string | undefined;
  const of = ({ code, retryable, message }: { code: string; retryable: boolean; message: string }) => `${code} ${retryable} ${message}`;
  run.then(() => (end = "taken"), (error: unknown) => (end = of(error as never)));
  for (let n = 0; end === undefined && n < 20_000; n += 1) {
    await new Promise((done) => setImmediate(done));
    tick(50);
  }
  return end ?? "never";
}

test("a store that fails, breaks off or stalls is asked again, each time by another grant", async ({ mock }) => {
  const store = await storing(fails, breaks, nothing, takes);
  mock.timers.enable({ apis: ["setTimeout"] });
  const upload = new Upload(new File(["x"], "x.txt"));
  assert.equal(await ended(upload.run(store.connection, "r", nothing), (ms) => mock.timers.tick(ms)), "taken");
  assert.equal(upload.attachment?.attachment_id, "a");
  assert.deepEqual([store.posts(), store.made.filter((name) => name === "upload.request").length], [4, 4]);
});

test("after five tries, or what another try does not help, it ends with what the store did", async ({ mock }) => {
  const ends: [(response: ServerResponse) => void, number, string][] = [
    [fails, 5, "upload_failed true The store answered 503."],
    [breaks, 5, "upload_failed true The store cannot be reached."],
    [nothing, 5, "upload_failed true The store takes nothing any more."],
    [refuses, 1, "upload_failed false The store answered 403."],
  ];
  for (const [does, posts, end] of ends) {
    const store = await storing(does);
    mock.timers.enable({ apis: ["setTimeout"] });
    const upload = new Upload(new File(["x"], "x.txt"));
    assert.equal(await ended(upload.run(store.connection, "r", nothing), (ms) => mock.timers.tick(ms)), end);
    assert.equal(store.posts(), posts);
    mock.timers.reset();
  }
});

test("one that is stopped ends at once, and begins anew when it is run again", async () => {
  const store = await storing(nothing, takes);
  const upload = new Upload(new File(["x"], "x.txt"));
  const run = upload.run(store.connection, "r", nothing);
  await until(() => store.posts() === 1);
  upload.stop();
  await assert.rejects(run, { code: "closed" });
  await upload.run(store.connection, "r", nothing);
  assert.deepEqual([store.posts(), upload.attachment?.attachment_id], [2, "a"]);
});
