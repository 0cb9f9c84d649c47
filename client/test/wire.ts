// Servers of tests, at the other end of a real WebSocket.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

/** What a test leaves open, also one that fails: the process would never end. */
export const left: (() => void)[] = [];

export function closeAll(): void {
  for (const close of left.splice(0)) close();
}

export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let n = 0; !(await holds()); n += 1) {
    assert(n < 2_000, `never: ${String(holds)}`);
    await new Promise((done) => setTimeout(done, 2));
  }
}

export interface Wire {
  send(text: string): void;
  on(type: "message", heard: (bytes: unknown) => void): void;
}

export interface Running {
  readonly url: string;
  readonly paths: string[];
  close: () => void;
}

/** A WebSocket server that does this with each connection. */
export async function serving(connected: (socket: Wire) => void): Promise<Running> {
  const { WebSocketServer } = createRequire(import.meta.url)("ws") as {
    WebSocketServer: new (options: object) => Server;
  };
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  const paths: string[] = [];
  server.on("connection", (socket: Wire, { url = "" }: { url?: string }) => {
    paths.push(url);
    connected(socket);
  });
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () => void server.close();
  left.push(close);
  return { url, paths, close };
}

export const OPEN = '0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}';

/** Of a user without rooms. */
const STATE = { limits: { report_interval_ms: 10_000 }, unread: { total: 0, rooms: 0 }, recovered: {}, more_rooms: false };

const ANSWERS: Readonly<Record<string, object>> = {
  "room.list": { rooms: [], next_cursor: null },
  "message.send": { message_id: "m", seq: 1, epoch: 1, created_at: "2030-01-01T00:00:00.000Z", status: "queued" },
};

/** bob is away, as a session of alice hears. */
const PRESENCE = { user_id: "bob", state: "away", status_text: null, last_active_at: null };
const AWAY = JSON.stringify(["presence.changed", { type: "presence.changed", data: PRESENCE }]);

const REFUSED = { ok: false, error: { code: "invalid_param", message: "A field is invalid.", retryable: false } };
const ackOf = (name: string): object => ({ ok: true, data: ANSWERS[name] ?? {} });

/** A command, and the text that it had. */
type Got = readonly [name: string, text?: string];

/**
 * A server that opens sessions of this user, for tokens that live `life` ms, does every command but the `refused`, and
 * has what it got, in order.
 */
export async function answering(user_id = "alice", life = 3.6e6, refused: string[] = []): Promise<Running & { readonly got: Got[] }> {
  const got: Got[] = [];
  const times = { server_time: new Date().toISOString(), expires_at: new Date(Date.now() + life).toISOString() };
  const data = { user_id, ...times, ...STATE };
  const ready = JSON.stringify(["session.ready", { type: "session.ready", data }]);
  const running = await serving((socket) => {
    socket.send(OPEN);
    socket.on("message", (bytes) => {
      const [, kind, namespace = "", id = "", body = ""] = /^4(\d)(\/\w+),(\d*)(.*)$/.exec(String(bytes)) ?? [];
      if (kind === "0") socket.send(`40${namespace},{"sid":"s"}`);
      if (kind === "0" && namespace === "/chat") for (const event of [ready, AWAY, AWAY]) socket.send(`42/chat,${event}`);
      if (kind !== "2") return;
      const [name, { text }] = JSON.parse(body) as [string, { text?: string }];
      got.push(text === undefined ? [name] : [name, text]);
      socket.send(`43${namespace},${id}${JSON.stringify([refused.includes(name) ? REFUSED : ackOf(name)])}`);
    });
  });
  return { ...running, got };
}
