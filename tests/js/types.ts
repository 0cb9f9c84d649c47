// Compiled by a test: what a client writes against client/types.d.ts, and what must not compile.
import { io, type Socket } from "socket.io-client";
import type { ChatCommands, ChatEvents, ReceiptsCommands, ReceiptsEvents } from "../../client/types.js";

const chat: Socket<ChatEvents, ChatCommands> = io("/chat");
const receipts: Socket<ReceiptsEvents, ReceiptsCommands> = io("/receipts");

chat.on("message.new", ({ room_id, offset, data: { message } }) => {
  const text: string = message.text;
  const at: [string | undefined, number | undefined] = [room_id, offset];
  console.log(text, at);
});
chat.emit("message.send", { room_id: "r", client_msg_id: "c", text: "t" }, (ack) => {
  if (ack.ok) console.log(ack.data.seq + 1, ack.data.status);
  else console.log(ack.error.code, ack.error.retry_after_ms);
});
receipts.emit("receipt.read", { room_id: "r", up_to_seq: 1 }, (ack) => ack.ok && ack.data.unread);

// @ts-expect-error a field is missing
chat.emit("message.send", { room_id: "r", text: "t" }, () => {});
// @ts-expect-error there is no such command
chat.emit("message.shout", { room_id: "r" }, () => {});
// @ts-expect-error there is no such role
chat.emit("member.update", { room_id: "r", user_id: "u", role: "king" }, () => {});
