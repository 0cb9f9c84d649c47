// A room as the server keeps it, for tests: commands change it, and its log, snapshots and pages
// can be asked for at any moment.
import type { LogEvent, Message, MessageFields, Room as RoomView, UserMessage } from "../types.js";
import type { Recount } from "../src/summary.ts";
import { compare, type Position, positionOf } from "../src/position.ts";

const T = "2030-01-01T00:00:00.000Z";

export const ME = "alice";

/** What goes down the wire of one connection, in this order. */
export type Packet = { event: LogEvent } | { recount: Recount };

export class ServerRoom {
  readonly log: LogEvent[] = [];
  #epoch = 1;
  #offset = 1;
  #seq = 0;
  #read = 0;
  #uncounted = new Set<number>();
  #messages = new Map<string, Message>();
  #last: UserMessage | undefined;
  #name = "Room";
  #version = 1;
  #members = new Set([ME, "bob"]);

  get position(): Position {
    return [this.#epoch, this.#offset];
  }

  get seq(): number {
    return this.#seq;
  }

  get messages(): Message[] {
    return [...this.#messages.values()].sort((a, b) => a.seq - b.seq);
  }

  /** room.get */
  snapshot(): RoomView {
    const last = this.#last;
    return {
      room_id: "r",
      type: "group",
      name: this.#name,
      metadata: {},
      created_at: T,
      created_by: "bob",
      version: this.#version,
      member_count: this.#members.size,
      frozen: false,
      ...(last && {
        last_message: {
          message_id: last.message_id,
          seq: last.seq,
          sender_id: last.sender_id,
          type: last.type,
          preview: last.text,
          deleted: last.deleted_at !== undefined,
          created_at: last.created_at,
        },
      }),
      seq: this.#seq,
      epoch: this.#epoch,
      offset: this.#offset,
      role: "member",
      read_seq: this.#read,
      delivered_seq: this.#read,
      unread: this.#unread(),
      muted: false,
      hidden: false,
    };
  }

  /** message.list */
  page(bound: { before?: number; after?: number }, limit: number): { messages: Message[]; has_more: boolean } {
    const { before = Infinity, after } = bound;
    const found = this.messages.filter(({ seq }) => seq < before && seq > (after ?? 0));
    const messages = after === undefined ? found.slice(-limit) : found.slice(0, limit);
    return { messages, has_more: found.length > messages.length };
  }

  /** What a reconnect replays. */
  after(position: Position): LogEvent[] {
    return this.log.filter((event) => compare(positionOf(event), position) > 0);
  }

  send(sender_id: string, type: Message["type"] = "text"): LogEvent {
    const seq = (this.#seq += 1);
    const fields: MessageFields = {
      message_id: `m${seq}`,
      client_msg_id: `c${seq}`,
      room_id: "r",
      seq,
      epoch: this.#epoch,
      sender_id,
      text: type === "system" ? "" : `text ${seq}`,
      attachments: [],
      mentions: [],
      reactions: {},
      version: 1,
      created_at: T,
    };
    const message: Message =
      type === "system"
        ? { ...fields, type, metadata: { event: "member.added", user_ids: ["carol"] } }
        : { ...fields, type, metadata: {} };
    this.#messages.set(message.message_id, message);
    if (message.type === "system") this.#uncounted.add(seq);
    else {
      this.#last = message;
      if (sender_id === ME) this.#read = seq;
    }
    return this.#append("message.new", { message });
  }

  edit(index: number): LogEvent | undefined {
    return this.#change(index, (message) => ({ ...message, text: `${message.text}!` }), "message.updated");
  }

  delete(index: number): LogEvent | undefined {
    const event = this.#change(
      index,
      (message) => ({ ...message, text: "", reactions: {}, deleted_at: T, deleted_by: "bob" }),
      "message.deleted",
    );
    if (event?.type === "message.deleted") this.#uncounted.add(event.data.message.seq);
    return event;
  }

  react(index: number, user_id: string): LogEvent | undefined {
    const message = this.#pick(index);
    if (!message) return undefined;
    const users = message.reactions["👍"]?.user_ids ?? [];
    const on = !users.includes(user_id);
    const user_ids = on ? [...users, user_id] : users.filter((one) => one !== user_id);
    const version = message.version + 1;
    const reactions = user_ids.length ? { "👍": { count: user_ids.length, user_ids } } : {};
    this.#messages.set(message.message_id, { ...message, version, reactions });
    const counts: Record<string, number> = user_ids.length ? { "👍": user_ids.length } : {};
    const { message_id } = message;
    return this.#append("message.updated", { message_id, version, reaction: { emoji: "👍", user_id, on }, counts });
  }

  fail(index: number): LogEvent | undefined {
    const message = this.#pick(index);
    if (!message) return undefined;
    const { message_id, client_msg_id, seq } = message;
    this.#messages.delete(message_id);
    this.#uncounted.add(seq);
    if (this.#last?.message_id === message_id) this.#last = undefined;
    return this.#append("message.failed", { message_id, client_msg_id, seq, reason: null });
  }

  rename(): LogEvent {
    this.#version += 1;
    this.#name = `Room ${this.#version}`;
    return this.#append("room.updated", { room: this.snapshot() });
  }

  join(): LogEvent {
    const user_id = `user${this.#members.size}`;
    this.#members.add(user_id);
    const cursors = { read_seq: this.#seq, delivered_seq: this.#seq };
    const members = [{ user_id, role: "member" as const, joined_at: T, ...cursors }];
    return this.#append("member.added", { members });
  }

  /** This user reads elsewhere. */
  read(seq: number): Recount | undefined {
    if (seq <= this.#read || seq > this.#seq) return undefined;
    this.#read = seq;
    return { unread: this.#unread(), read_seq: seq };
  }

  /** Redis was lost up to here and the room went on in a new epoch. */
  reopen(): LogEvent {
    const prev: [number, number] = [this.#epoch, this.#offset];
    this.#epoch += 1;
    this.#offset = 0;
    return this.#append("room.epoch", { prev });
  }

  #unread(): number {
    const uncounted = [...this.#uncounted].filter((seq) => seq > this.#read).length;
    return Math.max(0, this.#seq - this.#read - uncounted);
  }

  #pick(index: number): Message | undefined {
    const living = this.messages.filter(({ type, deleted_at }) => type !== "system" && !deleted_at);
    return living[index % Math.max(1, living.length)];
  }

  #change(
    index: number,
    change: (message: Message) => Message,
    type: "message.updated" | "message.deleted",
  ): LogEvent | undefined {
    const old = this.#pick(index);
    if (!old) return undefined;
    const message = { ...change(old), version: old.version + 1 };
    this.#messages.set(message.message_id, message);
    if (message.type !== "system" && this.#last?.message_id === message.message_id) this.#last = message;
    return this.#append(type, { message });
  }

  #append<Type extends LogEvent["type"]>(type: Type, data: Extract<LogEvent, { type: Type }>["data"]): LogEvent {
    this.#offset += 1;
    const at = { epoch: this.#epoch, offset: this.#offset };
    const event = { type, ts: T, room_id: "r", actor_id: "bob", ...at, data } as unknown as LogEvent;
    this.log.push(event);
    return event;
  }
}
