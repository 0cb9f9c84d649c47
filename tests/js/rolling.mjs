// A group whose members write to each other, each by the real socket.io-client and by the rules:
// cursors at every connect, the same client_msg_id until there is a final ack.
//
//   node rolling.mjs '{"url", "tokens": [token], "every": ms between two sends of a member}' out.json
//
// Says {"ready": true} once all write; on the end of stdin they stop writing, wait for their acks
// and for what was acked, and out.json gets
//   {room_id, acked: [client_msg_id], history: [client_msg_id], resets, codes: {code: n}, final: [code],
//    clients: [{lost: [ms of each lost connection], closings: [{at, code, retry_after_ms}],
//               offsets: [offset of each event of the room]}]}      at, ms: Unix time in ms
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { io } from "socket.io-client";
import { hold } from "./cursors.mjs";

const { url, tokens, every } = JSON.parse(process.argv[2]);
const seen = { acked: [], codes: {}, final: [], resets: 0 };
let room_id;
let writing = true;

const userOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url")).sub;

async function connected(token) {
  const cursors = {};
  const client = { lost: [], closings: [], offsets: [], messages: new Set() };
  client.socket = io(`${url}/chat`, {
    transports: ["websocket"],
    forceNew: true,
    reconnectionDelay: 100,
    reconnectionDelayMax: 1000,
    auth: (done) => done({ token, cursors }),
  });
  client.socket.on("disconnect", () => client.lost.push(Date.now()));
  client.socket.on("session.closing", ({ data }) => client.closings.push({ at: Date.now(), ...data }));
  client.socket.on("sync.reset", () => (seen.resets += 1));
  client.socket.onAny((type, event) => {
    hold(cursors, event);
    if (event.offset && event.room_id) client.offsets.push(event.offset);
    if (type === "message.new") client.messages.add(event.data.message.client_msg_id);
  });
  await new Promise((ready) => client.socket.once("session.ready", ready));
  return client;
}

async function command({ socket }, name, payload) {
  for (;;) {
    const answer = await socket.timeout(6000).emitWithAck(name, payload)
      .catch(() => ({ error: { code: "no_ack", retryable: true } }));
    if (answer.ok) return answer.data;
    seen.codes[answer.error.code] = (seen.codes[answer.error.code] ?? 0) + 1;
    if (!answer.error.retryable) {
      seen.final.push(`${name}: ${answer.error.code}`);
      return null;
    }
    await pause(answer.error.retry_after_ms ?? 200);
  }
}

async function write(client) {
  await pause(Math.random() * every);
  while (writing) {
    const client_msg_id = randomUUID();
    if (await command(client, "message.send", { room_id, client_msg_id, text: "rolling" }))
      seen.acked.push(client_msg_id);
    await pause(every);
  }
}

async function history(client) {
  const ids = [];
  for (let page = { has_more: true }, after_seq = 0; page.has_more; after_seq = page.messages.at(-1)?.seq) {
    page = await command(client, "message.list", { room_id, limit: 100, after_seq });
    ids.push(...page.messages.map((message) => message.client_msg_id));
  }
  return ids;
}

const clients = await Promise.all(tokens.map(connected));
const members = tokens.slice(1).map(userOf);
const made = await command(clients[0], "room.create", { type: "group", client_room_id: randomUUID(), members });
room_id = made.room.room_id;
const writers = clients.map(write);
console.log(JSON.stringify({ ready: true }));
for await (const _ of process.stdin);
writing = false;
await Promise.all(writers);
const late = () => clients.some(({ messages }) => seen.acked.some((id) => !messages.has(id)));
for (const end = Date.now() + 10_000; late() && Date.now() < end; ) await pause(50);
const report = { room_id, ...seen, history: await history(clients[0]) };
report.clients = clients.map(({ lost, closings, offsets }) => ({ lost, closings, offsets }));
writeFileSync(process.argv[3], JSON.stringify(report));
for (const { socket } of clients) socket.close();
