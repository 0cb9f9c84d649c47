import type { LogEvent, Message, MessageReactedData } from "../types.js";
import { reacted } from "./reactions.ts";

const MOST_UNWATCHED = 200;
const KEPT = 100; // messages of a room that nobody looks at

const bySeq = (one: Message, other: Message): number => one.epoch - other.epoch || one.seq - other.seq;

/**
 * Messages in order with one more at the end, or another in the place of `old`; undefined if that
 * takes a sort. Of 10,000 messages each new one would sort all.
 */
function placed(ordered: readonly Message[], message: Message, old?: Message): Message[] | undefined {
  const last = ordered.at(-1);
  if (!old) return !last || bySeq(last, message) < 0 ? [...ordered, message] : undefined;
  if (bySeq(old, message) !== 0) return undefined;
  let [low, high] = [0, ordered.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bySeq(ordered[middle] ?? old, old) < 0) low = middle + 1;
    else high = middle;
  }
  const next = [...ordered];
  next[low] = message;
  return next;
}

/** An event, or the ack of one's own message. */
type Change = LogEvent | { type: "acked"; message: Message };

/**
 * The messages of a room that are held, without a hole: a window of its history, or its end. While a
 * page is on its way the events are kept too, since it may have been read before them.
 */
export class Timeline {
  hasOlder = true;
  hasNewer = true;
  readonly #messages = new Map<string, Message>();
  #ordered: readonly Message[] | undefined = [];
  #meanwhile: Change[] = [];
  #loading = false;

  /** The messages in order; the same array until something changes. */
  get messages(): readonly Message[] {
    return (this.#ordered ??= [...this.#messages.values()].sort(bySeq));
  }

  get size(): number {
    return this.#messages.size;
  }

  get(message_id: string): Message | undefined {
    return this.#messages.get(message_id);
  }

  /** Call it before asking for a page. */
  expect(): void {
    this.#loading = true;
    this.#meanwhile = [];
  }

  /** No page comes. */
  unexpect(): void {
    this.#loading = false;
    this.#meanwhile = [];
  }

  /** Add a page that continues the window; `ends` says what is known of its two ends by now. */
  extend(page: readonly Message[], ends: { hasOlder?: boolean; hasNewer?: boolean }): void {
    Object.assign(this, ends);
    if (page.length > 1) this.#ordered = undefined; // one sort for all
    for (const message of page) this.#merge(message);
    this.#catchUp();
  }

  /** Hold these messages instead. */
  replace(page: readonly Message[], ends: { hasOlder: boolean; hasNewer: boolean }): void {
    this.#messages.clear();
    this.#ordered = undefined; // also if the page is empty
    this.extend(page, ends);
  }

  /** Let go of the oldest if there are many. */
  trim(): void {
    if (this.#loading || this.hasNewer || this.size <= MOST_UNWATCHED) return;
    for (const { message_id } of this.messages.slice(0, -KEPT)) this.#messages.delete(message_id);
    this.hasOlder = true;
    this.#ordered = undefined;
  }

  /** Let go of all. */
  clear(): void {
    this.#messages.clear();
    this.#ordered = [];
    this.hasOlder = this.hasNewer = true;
  }

  /** Apply an event of the log. */
  apply(event: LogEvent): void {
    this.await(event);
    this.#change(event);
  }

  /** Apply an event to the page that is on its way, if one is. */
  await(event: Change): void {
    if (this.#loading) this.#meanwhile.push(event);
  }

  /** A newer state of a message, if it is held. */
  update(message: Message): void {
    if (this.#messages.has(message.message_id)) this.#merge(message);
  }

  /** The ack of one's own message may come before its event. */
  acked(message: Message): void {
    this.await({ type: "acked", message });
    this.#change({ type: "acked", message });
  }

  /** Add one's own message, unless others between it and those held are missing: an old one may be acked again. */
  #acked(message: Message): void {
    if (this.hasNewer || this.#messages.has(message.message_id)) return;
    const first = this.messages[0];
    if (!this.hasOlder || (first && message.seq > first.seq)) this.#merge(message);
  }

  #catchUp(): void {
    const events = this.#meanwhile;
    this.unexpect();
    for (const event of events) this.#change(event);
  }

  #change(event: Change): void {
    switch (event.type) {
      case "acked":
        return this.#acked(event.message);
      case "message.new":
        if (!this.hasNewer || this.#messages.has(event.data.message.message_id))
          this.#merge(event.data.message);
        return;
      case "message.deleted":
        return this.update(event.data.message);
      case "message.updated":
        return "message" in event.data ? this.update(event.data.message) : this.#react(event.data);
      case "message.failed":
        if (this.#messages.delete(event.data.message_id)) this.#ordered = undefined;
    }
  }

  /** Of one message_id the higher version and the later (epoch, seq) count. */
  #merge(message: Message): void {
    const old = this.#messages.get(message.message_id);
    if (old && old.version >= message.version && bySeq(old, message) >= 0) return;
    const body = old && old.version >= message.version ? old : message;
    const { epoch, seq } = old && bySeq(old, message) >= 0 ? old : message;
    this.#set({ ...body, epoch, seq });
  }

  /** A reaction is a difference: it applies to the version before it. */
  #react({ message_id, version, reaction, counts }: MessageReactedData): void {
    const message = this.#messages.get(message_id);
    if (!message || version <= message.version) return;
    const reactions = reacted(message.reactions, reaction, counts[reaction.emoji] ?? 0);
    this.#set({ ...message, version, reactions });
  }

  #set(message: Message): void {
    const old = this.#messages.get(message.message_id);
    this.#messages.set(message.message_id, message);
    this.#ordered &&= placed(this.#ordered, message, old);
  }
}
