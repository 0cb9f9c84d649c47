import type { AnyEvent, Room as RoomView, RoomCursor, Totals } from "../types.js";
import { Cell, isSame, type Observable } from "./observable.ts";
import type { Position } from "./position.ts";
import { RoomCore } from "./room-core.ts";
import type { RoomOwner } from "./room-owner.ts";
import { Snapshots } from "./snapshots.ts";

const MOST_CURSORS = 500;
const AT_ONCE = 3; // member lists that are read at a time, for the names
const PAGE = 100; // members of the largest group of which they are read: one page

/** A line of the list of rooms. */
export interface RoomSummary extends RoomView {
  /** Its name, or of a direct room the other person's; "" while that is not known. */
  readonly title: string;
  /** The other person of a direct room. */
  readonly partner?: string;
}

/** All rooms of the user. They are listed once; from then on events and cursors keep them. */
export class Rooms {
  readonly #owner: RoomOwner;
  readonly #snapshots: Snapshots;
  readonly #cores = new Map<string, RoomCore>();
  readonly #lines = new Map<RoomCore, { view: RoomView; line: RoomSummary }>();
  readonly #lists = {
    shown: new Cell(() => this.#list(false)),
    hidden: new Cell(() => this.#list(true)),
  };
  #listed: Record<"shown" | "hidden", readonly RoomSummary[]> = { shown: [], hidden: [] };
  readonly unread = new Cell<Totals>(() => this.#totals());
  readonly #asked = new Set<string>();
  readonly #unanswered: string[] = []; // of them, to be asked again in the next session
  #asking = 0;
  #complete = false;
  #listing = false;
  #told: Totals = { total: 0, rooms: 0 };

  constructor(owner: RoomOwner) {
    this.#owner = owner;
    const warn = (message: string, error: unknown) => owner.warn(message, error);
    this.#snapshots = new Snapshots(owner.connection, (view) => void this.learn(view), warn);
  }

  /** This room needs a snapshot. */
  want(core: RoomCore): void {
    this.#snapshots.want(core);
  }

  list({ hidden = false }: { hidden?: boolean } = {}): Observable<readonly RoomSummary[]> {
    return hidden ? this.#lists.hidden : this.#lists.shown;
  }

  /** The room of an id, known or not. */
  get(room_id: string): RoomCore {
    let core = this.#cores.get(room_id);
    if (!core) this.#cores.set(room_id, (core = new RoomCore(room_id, this.#owner)));
    return core;
  }

  all(): Iterable<RoomCore> {
    return this.#cores.values();
  }

  /** Where a reconnect goes on, the most active rooms first. */
  cursors(): Record<string, RoomCursor> {
    const found = [...this.#cores.values()].flatMap((core) => {
      const { view, cursor } = core;
      return view && cursor ? [{ core, view, cursor }] : [];
    });
    found.sort((one, other) => (activity(one.view) < activity(other.view) ? 1 : -1));
    return Object.fromEntries(
      found.slice(0, MOST_CURSORS).map(({ core, cursor }) => [core.room_id, cursor]),
    );
  }

  learn(view: RoomView): RoomCore {
    const core = this.get(view.room_id);
    core.learn(view);
    return core;
  }

  /** A session begins. What it recovered goes on by itself; only what is missing is fetched. */
  async online(ready: Extract<AnyEvent, { type: "session.ready" }>["data"]): Promise<void> {
    this.#told = ready.unread;
    for (const unknown of this.#unanswered.splice(0)) this.#asked.delete(unknown);
    for (const core of this.#cores.values()) {
      // A room that had no cursor may miss events as well.
      if (!ready.recovered[core.room_id]) core.reset();
      core.online();
    }
    this.changed();
    if ((this.#complete && !ready.more_rooms) || this.#listing) return;
    this.#listing = true;
    try {
      await this.#snapshots.all();
    } finally {
      this.#listing = false;
    }
    this.#complete = true;
    // A room that became active while the pages were read may be on none of them.
    for (const core of this.#cores.values()) core.missing();
    this.changed();
  }

  /** Apply an event of a room. Returns whether the application should hear of it now. */
  hear(event: Exclude<AnyEvent, { type: `session.${string}` | "presence.changed" }>): boolean {
    if ("offset" in event) return this.get(event.room_id).hear(event);
    const core = this.get(event.room_id);
    switch (event.type) {
      case "room.added":
        core.learn(event.data.room);
        break;
      case "room.removed":
        core.lose();
        break;
      case "room.state":
        core.settle(event.data);
        break;
      case "sync.reset":
        core.reset([event.data.epoch, event.data.offset] satisfies Position);
        break;
      case "message.status":
        core.durable(event.data.client_msg_id);
        break;
      case "receipt.updated":
        core.receipts(event.data.cursors);
        break;
      case "unread.changed":
        this.#told = { total: event.data.total, rooms: event.data.rooms };
        core.recount(event.data);
        break;
      case "typing.changed":
        core.types(event.data.user_ids);
    }
    return true;
  }

  /** Something that the lists show changed. */
  changed(): void {
    this.#lists.shown.changed();
    this.#lists.hidden.changed();
    this.unread.changed();
  }

  #list(hidden: boolean): readonly RoomSummary[] {
    const lines = [...this.#cores.values()].flatMap((core) => this.#line(core) ?? []);
    const found = lines.filter((line) => line.hidden === hidden);
    found.sort((one, other) => (activity(one) < activity(other) ? 1 : -1));
    this.#meet(found);
    const kind = hidden ? "hidden" : "shown";
    if (!isSame(found, this.#listed[kind])) this.#listed[kind] = found;
    return this.#listed[kind];
  }

  /** The same object until the room changes. */
  #line(core: RoomCore): RoomSummary | undefined {
    const { view, title, partner } = core;
    if (!view) return undefined;
    const known = this.#lines.get(core);
    if (known?.view === view && known.line.title === title) return known.line;
    const line = { ...view, title, ...(partner !== undefined && { partner }) };
    this.#lines.set(core, { view, line });
    return line;
  }

  #totals(): Totals {
    if (!this.#complete) return this.#told;
    const counts = [...this.#cores.values()].flatMap(({ view }) =>
      view && !view.muted && !view.hidden && view.unread > 0 ? [view.unread] : [],
    );
    const total = counts.reduce((sum, unread) => sum + unread, 0);
    const { total: old, rooms } = this.#told;
    if (total !== old || counts.length !== rooms) this.#told = { total, rooms: counts.length };
    return this.#told;
  }

  /** Read who is in the rooms that somebody looks at: the title, or who wrote last, is a name. */
  #meet(lines: readonly RoomSummary[]): void {
    for (const line of lines) {
      if (this.#asking >= AT_ONCE) return;
      const core = this.get(line.room_id);
      const unknown = this.#unknown(line);
      if (core.isMet || unknown === undefined || this.#asked.has(unknown)) continue;
      this.#asked.add(unknown);
      this.#asking += 1;
      const done = () => {
        this.#asking -= 1;
        this.changed();
      };
      core.loadMembers().then(done, (error: unknown) => {
        this.#owner.warn("Members cannot be read.", error);
        this.#unanswered.push(unknown);
        done();
      });
    }
  }

  /** What to ask for once: the members of a direct room; in groups an author without a name, in one of them. */
  #unknown({ room_id, type, member_count, last_message }: RoomSummary): string | undefined {
    if (type === "direct") return room_id;
    const author = last_message?.sender_id ?? this.#owner.me;
    const isKnown = author === this.#owner.me || this.#owner.name(author) !== undefined;
    return isKnown || member_count > PAGE ? undefined : `of ${author}`;
  }
}

const activity = (view: RoomView): string => view.last_message?.created_at ?? view.created_at;
