// What a message and a room look like with the changes that are on their way. The log's own state never has them.
import type { Message, Room as RoomView } from "../types.js";
import type { Change, Pending } from "./changes.ts";
import { reacted } from "./reactions.ts";
import { cut } from "./summary.ts";

export function changedMessage(message: Message, changes: readonly Pending[], me: string): Message {
  return changes.reduce((now, { change, created_at }) => changed(now, change, created_at, me), message);
}

export function changedRoom(view: RoomView, changes: readonly Pending[]): RoomView {
  return changes.reduce((now, { change }) => settled(now, change), view);
}

function changed(message: Message, { name, payload }: Change, at: string, me: string): Message {
  if (message.deleted_at !== undefined) return message; // the change will be refused
  switch (name) {
    case "message.edit":
      return { ...message, ...payload, ...(payload.text !== undefined && { edited_at: at }) } as Message;
    case "message.delete":
      return { ...message, text: "", attachments: [], mentions: [], reactions: {}, deleted_at: at, deleted_by: me };
    case "message.react": {
      const { emoji, on } = payload;
      const { count, user_ids } = message.reactions[emoji] ?? { count: 0, user_ids: [] };
      if (user_ids.includes(me) === on) return message; // its event came before its ack
      return { ...message, reactions: reacted(message.reactions, { emoji, user_id: me, on }, on ? count + 1 : count - 1) };
    }
    default:
      return message;
  }
}

function settled(view: RoomView, { name, payload }: Change): RoomView {
  switch (name) {
    case "room.mute":
    case "room.hide":
      return { ...view, ...payload };
    case "message.edit":
      return payload.text ? said(view, payload.message_id, { preview: cut(payload.text) }) : view;
    case "message.delete":
      return said(view, payload.message_id, { preview: "", deleted: true });
    default:
      return view;
  }
}

/** Where the message is the last one, the list shows it. */
function said(view: RoomView, message_id: string, news: { preview: string; deleted?: boolean }): RoomView {
  const last = view.last_message;
  if (last?.message_id !== message_id || last.deleted) return view;
  return { ...view, last_message: { ...last, ...news } };
}
