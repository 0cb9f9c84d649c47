// The work of a chat server on socket.io, on Node and on Bun: as its documentation has it, nothing tuned.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";

const { RTS_REDIS_URL, RTS_JWT_SECRET } = process.env;

function verified(token) {
  const [head, body, signature] = token.split(".");
  const expected = createHmac("sha256", RTS_JWT_SECRET).update(`${head}.${body}`).digest();
  if (!timingSafeEqual(expected, Buffer.from(signature, "base64url"))) throw new Error("signature");
  const claims = JSON.parse(Buffer.from(body, "base64url"));
  if (claims.exp < Date.now() / 1000) throw new Error("expired");
  return claims;
}

const seqs = new Map();

function messageNew(room_id, sender_id, { client_msg_id, text }) {
  const seq = (seqs.get(room_id) ?? 0) + 1;
  seqs.set(room_id, seq);
  const ts = new Date().toISOString();
  const message = {
    message_id: createHmac("sha256", room_id).update(client_msg_id).digest("hex").slice(0, 26),
    client_msg_id,
    room_id,
    seq,
    epoch: 1,
    sender_id,
    type: "text",
    text,
    attachments: [],
    mentions: [],
    reactions: {},
    metadata: {},
    version: 1,
    created_at: ts,
  };
  const at = { epoch: 1, offset: seq };
  return { type: "message.new", ts, room_id, actor_id: sender_id, ...at, data: { message } };
}

export async function redisAdapter(kind) {
  const publisher = createClient({ url: RTS_REDIS_URL });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  return (kind === "sharded" ? createShardedAdapter : createAdapter)(publisher, subscriber);
}

export function serveChat(io) {
  const chat = io.of("/chat");
  chat.use((socket, next) => {
    try {
      socket.data = verified(socket.handshake.auth.token);
      next();
    } catch (error) {
      next(error);
    }
  });
  chat.on("connection", async (socket) => {
    const { sub, rooms } = socket.data;
    socket.on("message.send", (asked, ack) => {
      const event = messageNew(asked.room_id, sub, asked);
      chat.to(asked.room_id).emit("message.new", event);
      const { message_id, client_msg_id, seq, epoch, created_at } = event.data.message;
      const data = { message_id, client_msg_id, seq, epoch, offset: event.offset, created_at };
      ack({ ok: true, data: { ...data, status: "queued" } });
    });
    socket.on("sync", (_, ack) => ack({ ok: true, data: { rooms: {} } }));
    await socket.join(rooms);
    socket.emit("session.ready", { type: "session.ready", data: { user_id: sub } });
  });
}
