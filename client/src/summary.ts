import type { LogEvent, Message, Room as RoomView } from "../types.js";
import { isAbove, type Position, positionOf } from "./position.ts";

const PREVIEW = 200;

/**
 * A room as a list shows it. It comes from a snapshot (room.list, room.get) and goes on by events.
 * A snapshot may be ahead of events that are still on their way, and unread.changed behind it: so
 * the count of unread messages has a position of its own.
 */
export interface Summary {
  readonly view: RoomView;
  readonly counted: Position;
}

const at = ({ view }: Summary): Position => positionOf(view);

/** Take a snapshot unless it is older. What was read here stays read, known to the server or not. */
export function learn(summary: Summary | undefined, view: RoomView): Summary {
  if (!summary) return { view, counted: positionOf(view) };
  if (isAbove(at(summary), positionOf(view))) return summary;
  const read_seq = Math.max(view.read_seq, summary.view.read_seq);
  const delivered_seq = Math.max(view.delivered_seq, summary.view.delivered_seq);
  // Above what was read here fewer are left than the snapshot counts: as many as were counted since, if so.
  const isCounted = !isAbove(positionOf(view), summary.counted);
  const most = Math.min(view.unread, view.seq - read_seq, isCounted ? summary.view.unread : Infinity);
  const unread = read_seq > view.read_seq ? most : view.unread;
  return { view: { ...view, read_seq, delivered_seq, unread }, counted: positionOf(view) };
}

/** Apply an event of the log, each half only above its own position. */
export function apply(summary: Summary, event: LogEvent, me: string): Summary {
  const position = positionOf(event);
  let { view, counted } = summary;
  if (isAbove(position, counted)) {
    view = { ...view, ...count(view, event, me) };
    counted = position;
  }
  if (isAbove(position, positionOf(view)))
    view = { ...view, ...change(view, event, me), epoch: event.epoch, offset: event.offset };
  return { view, counted };
}

/** Data of unread.changed. */
export interface Recount {
  unread: number;
  read_seq: number;
}

/** unread.changed, which stands between the events that were heard before and after it. */
export function recount(
  summary: Summary,
  { unread, read_seq }: Recount,
  heard: Position,
): Summary {
  // Where more was read here another one follows, once the server knows.
  if (read_seq < summary.view.read_seq) return summary;
  const delivered_seq = Math.max(summary.view.delivered_seq, read_seq);
  return { view: { ...summary.view, unread, read_seq, delivered_seq }, counted: heard };
}

/** Everything up to `seq` was seen; `unread` is what is left above it. */
export function read(summary: Summary, seq: number, unread: number): Summary {
  const read_seq = Math.max(summary.view.read_seq, seq);
  const delivered_seq = Math.max(summary.view.delivered_seq, read_seq);
  return { ...summary, view: { ...summary.view, read_seq, delivered_seq, unread } };
}

const counts = ({ type, sender_id }: Message, me: string): boolean =>
  type !== "system" && sender_id !== me;

function count(view: RoomView, event: LogEvent, me: string): Partial<RoomView> {
  const fewer = { unread: Math.max(0, view.unread - 1) };
  switch (event.type) {
    case "message.new": {
      const { message } = event.data;
      if (message.type !== "system" && message.sender_id === me)
        return {
          unread: 0,
          read_seq: Math.max(view.read_seq, message.seq),
          delivered_seq: Math.max(view.delivered_seq, message.seq),
        };
      return counts(message, me) && message.seq > view.read_seq ? { unread: view.unread + 1 } : {};
    }
    case "message.deleted": {
      const { message } = event.data;
      return counts(message, me) && message.seq > view.read_seq ? fewer : {};
    }
    case "message.failed":
      return event.data.seq > view.read_seq ? fewer : {};
    default:
      return {};
  }
}

function change(view: RoomView, event: LogEvent, me: string): Partial<RoomView> {
  switch (event.type) {
    case "message.new":
      return { seq: Math.max(view.seq, event.data.message.seq), ...latest(event.data.message) };
    case "message.updated":
      return "message" in event.data ? relatest(view, event.data.message) : {};
    case "message.deleted":
      return relatest(view, event.data.message);
    case "room.updated": {
      const { name, metadata, version, frozen } = event.data.room;
      return { name, metadata, version, frozen };
    }
    case "member.added":
      return { member_count: view.member_count + event.data.members.length };
    case "member.removed":
      return { member_count: view.member_count - event.data.members.length };
    case "member.updated": {
      const mine = event.data.members.find(({ user_id }) => user_id === me);
      return mine ? { role: mine.role } : {};
    }
    default:
      return {};
  }
}

function latest(message: Message): Partial<RoomView> {
  if (message.type === "system") return {};
  const { message_id, seq, sender_id, type, created_at } = message;
  const deleted = message.deleted_at !== undefined;
  return {
    last_message: { message_id, seq, sender_id, type, preview: preview(message), deleted, created_at },
  };
}

const relatest = (view: RoomView, message: Message): Partial<RoomView> =>
  view.last_message?.message_id === message.message_id ? latest(message) : {};

const preview = ({ text, attachments }: Message): string => cut(text || (attachments[0]?.name ?? ""));

/** As the server cuts a preview: by code points, not in the middle of an emoji. */
export const cut = (text: string): string =>
  text.length <= PREVIEW ? text : Array.from(text).slice(0, PREVIEW).join("");
