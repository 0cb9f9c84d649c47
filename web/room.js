// One room as this client knows it. It has two positions in the room's log, because a snapshot
// (room.get, room.list) may be ahead of the events that are still on their way:
//   the summary (name, last message, unread) stands at (summary.epoch, summary.offset);
//   the messages, while held, stand at `cursor`, which is what a reconnect sends.
import { Sends } from "./sends.js";

/** Reactions kept for messages that are not held yet. */
const REACTED = 100;

/** Order of two [epoch, offset]. */
export const compare = (one, other) => one[0] - other[0] || one[1] - other[1];

const bySeq = (one, other) => compare([one.epoch, one.seq], [other.epoch, other.seq]);

export class Room {
  constructor(room_id) {
    this.room_id = room_id;
    this.summary = null;
    this.cursor = null;
    this.early = [];
    this.reacted = [];
    this.unread = 0;
    this.read_seq = 0;
    this.delivered_seq = 0;
    this.told_seq = 0;
    this.held = false;
    this.stale = false;
    this.has_more = false;
    this.messages = new Map();
    this.members = new Map();
    this.delivery = new Map();
    this.sends = new Sends();
  }

  /** Take a snapshot; an older one than the summary changes nothing. */
  learn(view, me) {
    const at = [view.epoch, view.offset];
    if (!this.held && (!this.cursor || compare(at, this.cursor) > 0)) this.cursor = at;
    if (!this.summary || compare(at, this.#summaryAt()) >= 0) {
      this.summary = { ...this.summary, ...view };
      this.read_seq = Math.max(this.read_seq, view.read_seq ?? 0);
      this.told_seq = Math.max(this.told_seq, view.read_seq ?? 0);
      this.delivered_seq = Math.max(this.delivered_seq, view.delivered_seq ?? 0);
      this.unread = Math.min(view.unread ?? this.unread, Math.max(0, view.seq - this.read_seq));
    }
    this.stale = false;
    for (const event of this.early.splice(0)) this.apply(event, me);
  }

  /** Apply a durable event, each half only above the position that it stands at. */
  apply(event, me) {
    if (!this.summary) return void this.early.push(event);
    const at = [event.epoch, event.offset];
    // Who does not stand at `prev` misses events: sync.reset follows and says where to stand.
    if (event.type === "room.epoch" && compare(this.cursor, event.data.prev) !== 0) return;
    if (compare(at, this.#summaryAt()) > 0) {
      SUMMARY[event.type]?.(this, event.data, me);
      [this.summary.epoch, this.summary.offset] = at;
    }
    if (compare(at, this.cursor) > 0) {
      if (this.held) MESSAGES[event.type]?.(this, event.data);
      this.cursor = at;
    }
  }

  /** Drop the messages; `cursor` is where the server says to stand, if it does. */
  reset(cursor = this.cursor) {
    this.cursor = cursor;
    this.messages.clear();
    this.reacted = [];
    this.held = false;
  }

  /** Keep the messages of the log from here on; call it before asking for the newest page. */
  hold() {
    this.held = true;
  }

  /** Merge a page of message.list, the newest or one before the oldest message held. */
  page({ messages, has_more }) {
    if (!this.held) return; // reset meanwhile: the page could leave a hole
    for (const message of messages) this.merge(message);
    for (const data of this.reacted.splice(0)) this.react(data);
    this.has_more = has_more;
  }

  /** Of one message_id the higher version and the later (epoch, seq) count. */
  merge(message) {
    const old = this.messages.get(message.message_id) ?? message;
    const body = message.version >= old.version ? message : old;
    const { epoch, seq } = bySeq(message, old) >= 0 ? message : old;
    this.messages.set(message.message_id, { ...body, epoch, seq });
  }

  /** One reaction came or went; `counts` are those of all of the message. */
  react(data) {
    const { message_id, version, reaction: { emoji, user_id, on }, counts } = data;
    const message = this.messages.get(message_id);
    // The page that brings the message may be on its way, read before this.
    if (!message) return void (this.reacted = [...this.reacted, data].slice(-REACTED));
    if (version <= message.version) return;
    const users = (message.reactions[emoji]?.user_ids ?? []).filter((one) => one !== user_id);
    const user_ids = on ? [...users, user_id] : users;
    const reactions = { ...message.reactions, [emoji]: { count: counts[emoji], user_ids } };
    if (!counts[emoji]) delete reactions[emoji];
    this.messages.set(message_id, { ...message, version, reactions });
  }

  /** Where other members are; a cursor only moves forward. */
  receipts(cursors) {
    for (const { user_id, read_seq, delivered_seq } of cursors) {
      const member = this.members.get(user_id);
      if (!member) continue;
      member.read_seq = Math.max(member.read_seq, read_seq);
      member.delivered_seq = Math.max(member.delivered_seq, delivered_seq);
    }
  }

  /** How far a durable message has come with all others: queued, delivered or read. */
  reached(seq, me) {
    const others = [...this.members.values()].filter(({ user_id }) => user_id !== me);
    if (!others.length) return "queued";
    if (others.every(({ read_seq }) => read_seq >= seq)) return "read";
    return others.every(({ delivered_seq }) => delivered_seq >= seq) ? "delivered" : "queued";
  }

  /** What the room is to this user alone. */
  settle({ muted, hidden, role }) {
    if (!this.summary) return;
    this.summary = { ...this.summary, muted, hidden, role };
  }

  /** Everything up to `seq`, the newest, is read. */
  read(seq = this.summary.seq) {
    this.read_seq = Math.max(this.read_seq, seq);
    this.unread = 0;
  }

  /** The ack of message.send: the send becomes a message, which message.new may have brought. */
  acked({ client_msg_id, text, files }, { message_id, seq, epoch, created_at, status }, me) {
    this.sends.remove(client_msg_id);
    // A message.status that overtook the ack of a repeated send is not taken back.
    if (this.delivery.get(client_msg_id) !== "queued") this.delivery.set(client_msg_id, status);
    if (!this.held || this.messages.has(message_id)) return;
    const mine = { sender_id: me, type: "text", text, metadata: {}, reactions: {}, version: 0 };
    const attachments = files.map(({ attachment }) => attachment);
    this.merge({ ...mine, room_id: this.room_id, attachments, message_id, client_msg_id, seq, epoch, created_at });
  }

  /** What to show: messages in order, then sends not yet heard; `mark` only on own ones. */
  rows(me) {
    const rows = [...this.messages.values()].sort(bySeq).map((message) => this.#row(message, me));
    const heard = new Set(rows.filter(({ mark }) => mark).map(({ key }) => key));
    const sends = this.sends.list.filter(({ client_msg_id }) => !heard.has(client_msg_id));
    return [...rows, ...sends.map((send) => this.#sendRow(send, me))];
  }

  /** The oldest message held, or undefined. */
  oldest() {
    return [...this.messages.values()].sort(bySeq)[0];
  }

  #summaryAt() {
    return [this.summary.epoch, this.summary.offset];
  }

  #row(message, me) {
    if (message.sender_id !== me || message.type === "system") {
      return { ...message, key: message.message_id };
    }
    const { client_msg_id } = message;
    const status = this.sends.get(client_msg_id) ? "sending" : this.delivery.get(client_msg_id);
    const durable = (status ?? "queued") === "queued";
    const mark = durable ? this.reached(message.seq, me) : status;
    return { ...message, key: client_msg_id, mark };
  }

  #sendRow({ client_msg_id, text, created_at, phase, error, files }, me) {
    const mark = phase === "refused" ? "refused" : "sending";
    const attachments = files.map((file) => file.shown());
    const row = { key: client_msg_id, sender_id: me, type: "text", text, attachments };
    return { ...row, created_at, mark, error, uploading: phase === "uploading" };
  }
}

// A durable event of another type only moves the positions.
const SUMMARY = {
  "message.new"(room, { message }, me) {
    const { message_id, seq, sender_id, type, text, attachments, created_at } = message;
    room.summary.seq = Math.max(room.summary.seq, seq);
    if (type === "system") return;
    const preview = (text || (attachments[0]?.name ?? "")).slice(0, 200);
    const last = { message_id, seq, sender_id, type, preview, deleted: false, created_at };
    room.summary.last_message = last;
    if (sender_id === me) room.read(seq);
    else if (seq > room.read_seq) room.unread += 1;
  },
  "message.failed"(room, { message_id, seq }) {
    if (seq > room.read_seq) room.unread = Math.max(0, room.unread - 1);
    if (room.summary.last_message?.message_id === message_id) room.stale = true;
  },
  "message.updated"(room, { message }) {
    if (message) preview(room, message);
  },
  "message.deleted"(room, { message }, me) {
    const counted = message.seq > room.read_seq && message.sender_id !== me;
    if (counted && message.type !== "system") room.unread = Math.max(0, room.unread - 1);
    preview(room, message);
  },
  "room.updated"(room, { room: { name, metadata, version, frozen } }) {
    Object.assign(room.summary, { name, metadata, version, frozen });
  },
  "member.added"(room, { members }) {
    room.summary.member_count += members.length;
  },
  "member.removed"(room, { members }) {
    room.summary.member_count -= members.length;
  },
  "member.updated"(room, { members }, me) {
    const mine = members.find(({ user_id }) => user_id === me);
    if (mine) room.summary.role = mine.role;
  },
};

function preview(room, { message_id, text, attachments, deleted_at }) {
  const last = room.summary.last_message;
  if (last?.message_id !== message_id) return;
  const seen = (text || (attachments[0]?.name ?? "")).slice(0, 200);
  room.summary.last_message = { ...last, preview: seen, deleted: Boolean(deleted_at) };
}

const MESSAGES = {
  "message.new"(room, { message }) {
    room.merge(message);
  },
  "message.failed"(room, { message_id }) {
    room.messages.delete(message_id);
  },
  "message.updated"(room, data) {
    if (data.reaction) room.react(data);
    else room.merge(data.message);
  },
  "message.deleted"(room, { message }) {
    room.merge(message);
  },
};
