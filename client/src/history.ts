import type { Message, MessageListPayload } from "../types.js";
import type { Commander } from "./connection.ts";
import type { Timeline } from "./timeline.ts";

const PAGE = 50;
const MOST_PAGES = 10; // of a window that is read again

/** Loads pages into a timeline, one after another. */
export class History {
  readonly #connection: Commander;
  readonly #room_id: string;
  readonly #timeline: Timeline;
  readonly #changed: () => void;
  #queue: Promise<unknown> = Promise.resolve();
  #run = 0;
  /** A page is on its way. */
  loading = false;
  /** What the timeline holds is without a hole. */
  #held = false;

  constructor(connection: Commander, room_id: string, timeline: Timeline, changed: () => void) {
    this.#connection = connection;
    this.#room_id = room_id;
    this.#timeline = timeline;
    this.#changed = changed;
  }

  /** Hold the end of the history, unless it is held. */
  newest(): Promise<void> {
    return this.#load(async () => {
      if (!this.#timeline.hasNewer) return undefined;
      const { messages, has_more } = await this.#page({});
      return () => this.#timeline.replace(messages, { hasOlder: has_more, hasNewer: false });
    });
  }

  /** Add a page before the oldest message held. */
  older(): Promise<void> {
    return this.#load(async () => {
      const first = this.#timeline.messages[0];
      if (!first || !this.#timeline.hasOlder) return undefined;
      const { messages, has_more } = await this.#page({ before_seq: first.seq });
      return () => this.#timeline.extend(messages, { hasOlder: has_more });
    }, false);
  }

  /** Add a page behind the newest message held. */
  newer(): Promise<void> {
    return this.#load(async () => {
      const last = this.#timeline.messages.at(-1);
      if (!last || !this.#timeline.hasNewer) return undefined;
      const { messages, has_more } = await this.#page({ after_seq: last.seq });
      return () => this.#timeline.extend(messages, { hasNewer: has_more });
    }, false);
  }

  /** Hold what is around a seq instead. */
  around(seq: number): Promise<void> {
    return this.#load(async () => {
      const half = { limit: PAGE / 2 };
      const before = await this.#page({ before_seq: seq, ...half });
      const after = await this.#page({ after_seq: seq - 1, ...half });
      const ends = { hasOlder: before.has_more, hasNewer: after.has_more };
      return () => this.#timeline.replace([...before.messages, ...after.messages], ends);
    });
  }

  /** Hold the end, or what was held before events were missed; nothing to do while none were. */
  async hold(): Promise<void> {
    if (this.#held) return;
    return this.#load(async () => {
      if (this.#held) return undefined; // by what was asked for before
      const { size, hasNewer } = this.#timeline;
      return size > 0 && hasNewer ? this.#windowAgain() : this.#endAgain();
    });
  }

  /** Events are missing. What is held stays until `hold` has read it again. */
  invalidate(): void {
    this.#run += 1; // a page that is on its way could leave a hole
    this.#held = false;
  }

  /** Hold nothing any more. */
  drop(): void {
    this.invalidate();
    this.#timeline.clear();
  }

  async #endAgain(): Promise<() => void> {
    const first = this.#timeline.messages[0];
    let found = await this.#page({});
    let messages: Message[] = found.messages;
    for (let pages = 1; found.has_more && pages < MOST_PAGES; pages += 1) {
      const oldest = messages[0];
      if (!first || !oldest || oldest.seq <= first.seq) break;
      found = await this.#page({ before_seq: oldest.seq });
      messages = [...found.messages, ...messages];
    }
    const ends = { hasOlder: found.has_more, hasNewer: false };
    return () => this.#timeline.replace(messages, ends);
  }

  async #windowAgain(): Promise<() => void> {
    const { messages: held, hasOlder } = this.#timeline;
    const [first, last] = [held[0]?.seq ?? 0, held.at(-1)?.seq ?? 0];
    let found = await this.#page({ after_seq: first - 1 });
    let messages: Message[] = found.messages;
    for (let pages = 1; found.has_more && pages < MOST_PAGES; pages += 1) {
      const newest = messages.at(-1);
      if (!newest || newest.seq >= last) break;
      found = await this.#page({ after_seq: newest.seq });
      messages = [...messages, ...found.messages];
    }
    return () => this.#timeline.replace(messages, { hasOlder, hasNewer: found.has_more });
  }

  #page(bound: Omit<MessageListPayload, "room_id">) {
    return this.#connection.command("message.list", { room_id: this.#room_id, limit: PAGE, ...bound });
  }

  /**
   * `read` answers how to take what it found, or nothing if there is nothing to do. If events were missed meanwhile it
   * reads again: whoever asked still waits. What only continues a window does not hold one.
   */
  #load(read: () => Promise<(() => void) | undefined>, holds = true): Promise<void> {
    const work = async () => {
      this.loading = true;
      try {
        const take = await this.#certain(read);
        if (!take) return;
        take();
        this.#held ||= holds;
      } finally {
        this.#timeline.unexpect();
        this.loading = false;
        this.#changed();
      }
    };
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /** What `read` answers when no reset came in between. */
  async #certain<Found>(read: () => Promise<Found>): Promise<Found> {
    for (;;) {
      const run = this.#run;
      this.#timeline.expect();
      this.#changed();
      const found = await read();
      if (run === this.#run) return found;
    }
  }
}
