import type { Message } from "../types.js";
import type { Changes, MessageChanges } from "./changes.ts";
import { isOwn, type MessageStatus, shown, type ShownMessage, shownUnsent } from "./message.ts";
import { isSame } from "./observable.ts";
import type { Outbox } from "./outbox.ts";
import type { Replica } from "./replica.ts";
import type { Unsent } from "./unsent.ts";

interface Row {
  readonly message: Message;
  readonly status: MessageStatus | undefined;
  readonly changes: MessageChanges | undefined;
  readonly shown: ShownMessage;
}

/** The messages to show: those of the log, then unsent ones. A row stays the same object until it changes. */
export class Rows {
  readonly #room_id: string;
  readonly #replica: Replica;
  readonly #outbox: Outbox;
  readonly #changes: Changes;
  /** Of the messages of the log. */
  #rows: readonly Row[] = [];
  #list: readonly ShownMessage[] = [];

  constructor(room_id: string, replica: Replica, outbox: Outbox, changes: Changes) {
    this.#room_id = room_id;
    this.#replica = replica;
    this.#outbox = outbox;
    this.#changes = changes;
  }

  list(me: string): readonly ShownMessage[] {
    const { timeline, members } = this.#replica;
    const reached = members.reached(me);
    const { messages } = timeline;
    const before = this.#rows;
    const shift = messages.length - before.length;
    this.#rows = messages.map((message, index) => {
      const status = isOwn(message, me) ? this.#status(message, reached) : undefined;
      const changes = this.#changes.of(message.message_id);
      // Where it stood, or as many places further as there are more: of 10,000 few have changed.
      const there = before[index];
      const old = there?.message === message ? there : before[index - shift];
      if (old?.message === message && old.status === status && old.changes === changes) return old;
      return { message, status, changes, shown: shown(message, me, status, changes) };
    });
    const rows = this.#rows.map((row) => row.shown);
    for (const [place, one] of this.#unsent(me).reverse())
      rows.splice(place, 0, shownUnsent(one, this.#outbox, this.#room_id, me));
    if (!isSame(rows, this.#list)) this.#list = rows;
    return this.#list;
  }

  /** What is not in the log, each with the number of messages that it stands behind, in this order. */
  #unsent(me: string): [place: number, unsent: Unsent][] {
    const { messages, hasNewer, hasOlder } = this.#replica.timeline;
    // Behind a window in the middle of the history nothing is the end.
    if (hasNewer && messages.length > 0) return [];
    const found: [number, Unsent][] = [];
    for (const one of this.#outbox.list) {
      if (one.phase === "accepted" || isHeard(messages, one.client_msg_id, me)) continue;
      const place = messages.findLastIndex((message) => !isLater(message, one)) + 1;
      // Its place may be in a page that is not loaded.
      if (place > 0 || messages.length === 0 || !hasOlder) found.push([place, one]);
    }
    return found.sort(([place], [other]) => place - other);
  }

  #status(message: Message, reached: { read: number; delivered: number }): MessageStatus {
    const { client_msg_id, seq } = message;
    const unsent = this.#outbox.get(client_msg_id);
    if (unsent) return unsent.phase === "accepted" ? "accepted" : "sending";
    if (reached.read >= seq) return "read";
    return reached.delivered >= seq ? "delivered" : "queued";
  }
}

const isHeard = (messages: readonly Message[], client_msg_id: string, me: string): boolean =>
  messages.findLast((message) => message.client_msg_id === client_msg_id && message.sender_id === me) !== undefined;

/** Whether a message came after one was refused. A file that was lost was so at a time, behind no seq. */
function isLater({ seq, created_at }: Message, unsent: Unsent): boolean {
  if (unsent.after !== undefined) return seq > unsent.after;
  return unsent.phase === "refused" && created_at > unsent.created_at;
}
