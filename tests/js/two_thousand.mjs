// Two users write into their direct room as fast as acks come, and read the history right after
// the last ack.
//
//   node two_thousand.mjs '{"urls": [a, b], "tokens": [a, b], "count": 1000, "window": 1}' out.json
//
// `urls` may be one address for both; `window` is how many sends of a user are un-acked at once.
// out.json holds {room_id, acks: {status: n}, acked: [[epoch, seq, message_id, text]], retries,
// statuses, events_a, events_b: [[epoch, offset, seq, message_id]],
// history: [[epoch, seq, message_id, text]], elapsed (s, first send to last ack)};
// stdout one line without the lists; exit code 1 with {error} when the run broke off.
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { io } from "socket.io-client";

const ACK_TIMEOUT = 6000;
const ATTEMPTS = 20;
const PATIENCE = 60000;

class Refused extends Error {}

function userOf(token) {
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url")).sub;
}

async function until(condition, what) {
  for (const end = Date.now() + PATIENCE; !condition(); await pause(10)) {
    if (Date.now() > end) throw new Error(`no ${what} after ${PATIENCE} ms`);
  }
}

async function connected(url, token) {
  const seen = { messages: [], added: new Set(), statuses: 0, retries: 0 };
  const socket = io(`${url}/chat`, {
    transports: ["websocket"],
    forceNew: true,
    auth: (done) => done({ token }),
  });
  socket.on("message.new", ({ epoch, offset, data: { message } }) =>
    seen.messages.push([epoch, offset, message.seq, message.message_id]),
  );
  socket.on("room.added", ({ data: { room } }) => seen.added.add(room.room_id));
  socket.on("message.status", () => (seen.statuses += 1));
  await new Promise((ready, failed) => {
    socket.once("session.ready", ready);
    socket.once("connect_error", failed);
  });
  return { socket, seen };
}

async function command({ socket, seen }, name, payload) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await socket
      .timeout(ACK_TIMEOUT)
      .emitWithAck(name, payload)
      .catch((error) => ({ error: { code: "no_ack", message: error.message, retryable: true } }));
    if (answer.ok) return answer.data;
    if (!answer.error.retryable || attempt === ATTEMPTS) {
      throw new Refused(`${name}: ${answer.error.code} ${answer.error.message}`);
    }
    seen.retries += 1;
    await pause(answer.error.retry_after_ms ?? 100 * attempt);
  }
}

async function send(client, room_id, texts, acks) {
  for (let text = texts.shift(); text !== undefined; text = texts.shift()) {
    const client_msg_id = randomUUID();
    acks.push({
      ...(await command(client, "message.send", { room_id, client_msg_id, text })),
      text,
    });
  }
}

async function history(client, room_id) {
  const messages = [];
  for (let page, before = {}; !page || page.has_more;) {
    page = await command(client, "message.list", { room_id, limit: 100, ...before });
    messages.unshift(...page.messages);
    before = { before_seq: messages[0]?.seq };
  }
  return messages.map(({ epoch, seq, message_id, text }) => [epoch, seq, message_id, text]);
}

async function run({ urls, tokens, count = 1000, window = 1 }, clients) {
  for (const i of [0, 1]) clients.push(await connected(urls[i] ?? urls[0], tokens[i]));
  const [a, b] = clients;
  const { room, created } = await command(a, "room.create", {
    type: "direct",
    members: [userOf(tokens[1])],
  });
  if (created)
    await until(() => clients.every((c) => c.seen.added.has(room.room_id)), "room.added");

  const acks = [];
  const started = performance.now();
  await Promise.all(
    clients.flatMap((client, i) => {
      const texts = Array.from({ length: count }, (_, n) => `${"ab"[i]}-${n}`);
      return Array.from({ length: window }, () => send(client, room.room_id, texts, acks));
    }),
  );
  const elapsed = (performance.now() - started) / 1000;
  const stored = await history(a, room.room_id);
  await until(() => clients.every(({ seen }) => seen.messages.length >= 2 * count), "last event");

  const byStatus = {};
  for (const { status } of acks) byStatus[status] = (byStatus[status] ?? 0) + 1;
  return {
    room_id: room.room_id,
    acks: byStatus,
    acked: acks.map(({ epoch, seq, message_id, text }) => [epoch, seq, message_id, text]),
    retries: a.seen.retries + b.seen.retries,
    statuses: a.seen.statuses + b.seen.statuses,
    events_a: a.seen.messages,
    events_b: b.seen.messages,
    history: stored,
    elapsed,
  };
}

const clients = [];
try {
  const result = await run(JSON.parse(process.argv[2]), clients);
  writeFileSync(process.argv[3], JSON.stringify(result));
  const { acked, events_a, events_b, history: stored, ...line } = result;
  console.log(JSON.stringify({ ...line, history: stored.length }));
} catch (error) {
  console.log(JSON.stringify({ error: String(error) }));
  process.exitCode = 1;
} finally {
  for (const { socket } of clients) socket.close();
}
