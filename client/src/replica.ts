import type { LogEvent, Room as RoomView, RoomCursor } from "../types.js";
import { Members } from "./members.ts";
import { compare, isAbove, type Position, positionOf, START } from "./position.ts";
import { apply, learn, read, type Recount, recount, type Summary } from "./summary.ts";
import { Timeline } from "./timeline.ts";

/**
 * This client's copy of a room. Events come in order, each once or more; snapshots come at any time
 * and may be ahead of events that are still on their way. So the stream has a position, which a
 * reconnect goes on from, and so has each part of the summary.
 */
export class Replica {
  readonly timeline = new Timeline();
  readonly members = new Members();
  /** The summary is not certain: fetch a snapshot. */
  stale = false;
  #summary: Summary | undefined;
  /** The last event of the stream; undefined while none was heard. */
  #heard: Position | undefined;
  /** The first snapshot: until an event is heard, the stream is not behind what this holds. */
  #start: Position | undefined;
  /** What came and needs a snapshot to stand on; undefined while none is missing. */
  #early: (LogEvent | Recount)[] | undefined = [];
  /** The count of unread messages is an estimate until the server has counted above what was read here. */
  #isEstimated = false;
  /** What was seen before the first snapshot, up to this seq. */
  #seen = 0;

  /** The room as it is now; undefined before its first snapshot. */
  get view(): RoomView | undefined {
    return this.#summary?.view;
  }

  /** What a reconnect sends; undefined if it needs a snapshot instead. */
  get cursor(): RoomCursor | undefined {
    const position = this.#heard ?? this.#start;
    if (!this.#summary || !position) return undefined;
    const { read_seq, delivered_seq } = this.#summary.view;
    return [position[0], position[1], read_seq, delivered_seq];
  }

  /** Whether events came of which no snapshot is known. */
  get waits(): boolean {
    return !this.#summary && Boolean(this.#early?.length);
  }

  /** Take a snapshot. Returns the events that waited for it and count now. */
  learn(view: RoomView, me: string): LogEvent[] {
    this.#start ??= positionOf(view);
    const waited = this.#early;
    this.#counted(view);
    const summary = learn(waited ? this.#readHere() : this.#summary, view);
    // One that events have overtaken says nothing about them: another must be fetched.
    if (summary !== this.#summary) this.stale = false;
    this.#summary = summary;
    this.#early = undefined;
    const events = (waited ?? []).filter((one): one is LogEvent =>
      "type" in one ? this.apply(one, me) : this.recount(one),
    );
    const seen = this.#seen;
    this.#seen = 0; // of what comes later nothing was seen
    this.read(seen, me);
    return events;
  }

  /** Apply an event of the log. Returns whether it was new. */
  apply(event: LogEvent, me: string): boolean {
    if (this.#early || !this.#summary) {
      (this.#early ??= []).push(event);
      this.timeline.await(event); // a page needs no snapshot to stand on
      return false;
    }
    const position = positionOf(event);
    if (event.type === "room.epoch") {
      const prev = event.data.prev;
      // Who does not stand at prev misses events: sync.reset follows and says where to stand.
      if (compare(this.#heard ?? this.#start ?? START, prev) !== 0) return false;
      // A snapshot from before the loss may hold what was lost.
      if (compare(positionOf(this.#summary.view), prev) !== 0) this.stale = true;
    }
    if (!isAbove(position, this.#heard ?? START)) return false;
    this.#heard = position;
    this.#summary = apply(this.#summary, event, me);
    this.timeline.apply(event);
    this.members.apply(event);
    // It may have been a message that counts for nobody, and the last one is another now.
    if (event.type === "message.failed") this.stale = true;
    return true;
  }

  /** Events are missing: go on from `position`, or from the next snapshot. Until then nothing counts. */
  reset(position?: Position): void {
    this.#heard = position;
    this.#start = undefined;
    this.#early = [];
    this.stale = true;
  }

  /** unread.changed: the server's count, at this place of the stream. */
  recount(data: Recount): false {
    if (this.#early || !this.#summary) (this.#early ??= []).push(data);
    // The snapshot may have counted events that come only now: they count from here.
    else {
      this.#counted(data);
      this.#summary = recount(this.#summary, data, this.#heard ?? START);
    }
    return false;
  }

  /** A session begins: what the server counted may have been said in one that ended. */
  resume(): void {
    if (this.#isEstimated) this.stale = true;
  }

  #counted({ read_seq }: Pick<RoomView, "read_seq">): void {
    if (read_seq >= (this.#summary?.view.read_seq ?? 0)) this.#isEstimated = false;
  }

  /** Everything up to `seq` was seen. Returns whether that is new. */
  read(seq: number, me: string): boolean {
    const summary = this.#summary;
    if (!summary) this.#seen = Math.max(this.#seen, seq);
    if (!summary || seq <= summary.view.read_seq) return false;
    const unread = this.#held(seq, me);
    this.#isEstimated = unread === undefined;
    this.#summary = read(summary, Math.min(seq, summary.view.seq), above(seq, summary.view, unread));
    return true;
  }

  /** room.state: what the room is to this user alone. */
  settle(state: Partial<Pick<RoomView, "muted" | "hidden" | "role" | "delivered_seq">>): void {
    const summary = this.#summary;
    if (summary) this.#summary = { ...summary, view: { ...summary.view, ...state } };
  }

  /** Messages of others above a seq; undefined where not all are held. */
  #held(seq: number, me: string): number | undefined {
    const { messages, hasNewer } = this.timeline;
    const first = messages[0];
    if (hasNewer || !first || first.seq > seq + 1) return undefined;
    return messages.filter(
      (message) =>
        message.seq > seq &&
        message.type !== "system" &&
        message.sender_id !== me &&
        message.deleted_at === undefined,
    ).length;
  }

  /** After a reset only what was read here is kept: a snapshot of any position counts. */
  #readHere(): Summary | undefined {
    const summary = this.#summary;
    return summary && { view: { ...summary.view, epoch: 0, offset: 0 }, counted: START };
  }
}

/** Unread messages above a seq: those that are held, else as many as there may be. */
function above(seq: number, view: RoomView, held = Infinity): number {
  return Math.min(view.unread, Math.max(0, view.seq - seq), held);
}
