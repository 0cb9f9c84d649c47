// Compiled by a test: what a client writes against client/types.d.ts, and what must not compile.
import { io, type Socket } from "socket.io-client";
import type {
  Auth,
  ChatCommands,
  ChatEvents,
  ConnectRefusal,
  ReceiptsCommands,
  ReceiptsEvents,
  SystemMetadata,
} from "../../client/types.js";

const auth: Auth = { token: "t", cursors: { r: [1, 2], s: [1, 2, 3, 4] } };
const chat: Socket<ChatEvents, ChatCommands> = io("/chat", { auth });
const receipts: Socket<ReceiptsEvents, ReceiptsCommands> = io("/receipts");

chat.on("connect_error", (error) => {
  const { data } = error as Error & ConnectRefusal;
  if (data.code === "unauthorized") console.log("sign in again");
});
chat.on("message.new", ({ room_id, epoch, offset, data: { message } }) => {
  const at: [string, number, number] = [room_id, epoch, offset];
  console.log(message.text, at);
  if (message.type === "system") {
    const { event, user_ids }: SystemMetadata = message.metadata;
    console.log(event === "member.added" ? "joined" : "left", user_ids.length);
  } else console.log(message.metadata["order"]);
  // @ts-expect-error only a system message says what happened
  console.log(message.metadata.user_ids.length);
});
chat.on("message.updated", ({ data }) => {
  if ("reaction" in data) console.log(data.counts[data.reaction.emoji], data.version + 1);
  else console.log(data.message.text);
});
chat.on("session.closing", ({ data }) => {
  if (data.code === "revoked") console.log("for good");
  // @ts-expect-error there is no such reason
  if (data.code === "bored") console.log("never");
});
chat.emit("message.send", { room_id: "r", client_msg_id: "c", text: "t" }, (ack) => {
  if (ack.ok) console.log(ack.data.seq + 1, ack.data.status);
  else if (ack.error.code === "rate_limited") console.log(ack.error.retry_after_ms);
  // @ts-expect-error there is no such code
  if (!ack.ok && ack.error.code === "out_of_coffee") console.log("never");
});
chat.emit("sync", { cursors: {} }, (ack) => {
  if (!ack.ok) return;
  for (const room of Object.values(ack.data.rooms))
    console.log("removed" in room ? room.removed : room.events[0]?.offset);
});
receipts.emit("receipt.read", { room_id: "r", up_to_seq: 1 }, (ack) => ack.ok && ack.data.unread);

// @ts-expect-error a field is missing
chat.emit("message.send", { room_id: "r", text: "t" }, () => {});
// @ts-expect-error there is no such command
chat.emit("message.shout", { room_id: "r" }, () => {});
// @ts-expect-error there is no such role
chat.emit("member.update", { room_id: "r", user_id: "u", role: "king" }, () => {});
// @ts-expect-error an ephemeral event has no position
chat.on("room.state", ({ offset }) => offset);
