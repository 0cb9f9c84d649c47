import type { Message } from "../types.js";
import { type MessageStatus, shown, type ShownMessage, shownUnsent } from "./message.ts";
import { isSame } from "./observable.ts";
import type { Outbox } from "./outbox.ts";
import type { Replica } from "./replica.ts";

interface Row {
  readonly message: Message;
  readonly status: MessageStatus | undefined;
  readonly shown: ShownMessage;
}

/** The messages to show: those of the log, then unsent ones. A row stays the same object until it changes. */
export class Rows {
  readonly #room_id: string;
  readonly #replica: Replica;
  readonly #outbox: Outbox;
  #known = new Map<string, Row>();
  #list: readonly ShownMessage[] = [];

  constructor(room_id: string, replica: Replica, outbox: Outbox) {
    this.#room_id = room_id;
    this.#replica = replica;
    this.#outbox = outbox;
  }

  list(me: string): readonly ShownMessage[] {
    const { timeline, members } = this.#replica;
    const reached = members.reached(me);
    const known = new Map<string, Row>();
    const heard = new Set<string>();
    const rows = timeline.messages.map((message) => {
      const own = message.sender_id === me && message.type !== "system";
      if (own) heard.add(message.client_msg_id);
      const status = own ? this.#status(message, reached) : undefined;
      const old = this.#known.get(message.message_id);
      const row =
        old?.message === message && old.status === status
          ? old
          : { message, status, shown: shown(message, own, status) };
      known.set(message.message_id, row);
      return row.shown;
    });
    this.#known = known;
    // Behind a window in the middle of the history nothing is the end.
    const unsent = timeline.hasNewer && timeline.size > 0 ? [] : this.#outbox.list;
    for (const one of unsent)
      if (one.phase !== "accepted" && !heard.has(one.client_msg_id))
        rows.push(shownUnsent(one, this.#outbox, this.#room_id, me));
    if (!isSame(rows, this.#list)) this.#list = rows;
    return this.#list;
  }

  #status(message: Message, reached: { read: number; delivered: number }): MessageStatus {
    const { client_msg_id, seq } = message;
    const unsent = this.#outbox.get(client_msg_id);
    if (unsent) return unsent.phase === "accepted" ? "accepted" : "sending";
    if (reached.read >= seq) return "read";
    return reached.delivered >= seq ? "delivered" : "queued";
  }
}
