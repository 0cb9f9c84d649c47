import type { Commander } from "./connection.ts";
import type { RoomCore } from "./room-core.ts";

const INTERVAL = 1_000; // ms, for what was read, and for a server that asks for none
const MOST = 500; // rooms in one report

/**
 * Tells the server what arrived and what was read, all rooms together: the first at once, what arrives next
 * after the interval that the server asks for, what is read after a second, so that a reload does not show it
 * as new, and what is left when nobody looks any more.
 */
export class Reports {
  readonly #connection: Commander;
  readonly #rooms: () => Iterable<RoomCore>;
  readonly #warn: (message: string, error: unknown) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = 0;
  #last = 0;
  #interval = INTERVAL;

  constructor(
    connection: Commander,
    rooms: () => Iterable<RoomCore>,
    warn: (message: string, error: unknown) => void,
  ) {
    this.#connection = connection;
    this.#rooms = rooms;
    this.#warn = warn;
  }

  /** A session begins; `interval`: the ms between two reports that its server asks for. */
  start(interval = INTERVAL): void {
    this.#interval = interval;
    if (typeof document !== "undefined") document.addEventListener("visibilitychange", this.#hidden);
    this.soon();
  }

  /** Something may have to be told; call it as often as you like. `isRead`: it was read. */
  soon(isRead = false): void {
    if (!this.#connection.online) return;
    const interval = isRead ? Math.min(INTERVAL, this.#interval) : this.#interval;
    const due = Math.max(Date.now(), this.#last + interval);
    if (this.#timer !== undefined && this.#due <= due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => void this.#tell(), Math.max(0, due - Date.now()));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (typeof document !== "undefined") document.removeEventListener("visibilitychange", this.#hidden);
  }

  /** Tell now what would be told later: there may be no later. No answer is awaited. */
  last(): void {
    if (this.#timer === undefined) return;
    const { delivered, read } = this.#found();
    if (delivered.length) this.#connection.tell("receipt.delivered", { rooms: seqs(delivered) });
    for (const one of read)
      this.#connection.tell("receipt.read", { room_id: one.room.room_id, up_to_seq: one.read ?? 0 });
  }

  readonly #hidden = (): void => {
    if (document.visibilityState === "hidden") this.last();
  };

  #found(): { rooms: Told[]; delivered: Told[]; read: Told[] } {
    const rooms = [...this.#rooms()].map((room) => ({ room, ...room.unreported }));
    const delivered = rooms.filter((one) => one.delivered !== undefined).slice(0, MOST);
    return { rooms, delivered, read: rooms.filter((one) => one.read !== undefined) };
  }

  async #tell(): Promise<void> {
    const { rooms, delivered, read } = this.#found();
    if (delivered.length + read.length > 0) this.#last = Date.now();
    try {
      await Promise.all([
        ...(delivered.length ? [this.#delivered(delivered)] : []),
        ...read.map(({ room, read }) => this.#read(room, read ?? 0)),
      ]);
    } catch (error) {
      // Cursors go with the next connect; whatever arrives next is reported with these.
      this.#warn("Receipts cannot be reported.", error);
    } finally {
      this.#timer = undefined;
    }
    // What came meanwhile; what failed waits for the next occasion.
    const news = [...this.#rooms()].filter((room) => isNews(room, rooms));
    if (news.length) this.soon(news.some(({ unreported }) => unreported.read !== undefined));
  }

  async #delivered(found: readonly Told[]): Promise<void> {
    await this.#connection.command("receipt.delivered", { rooms: seqs(found) });
    for (const { room, delivered } of found) room.reported({ ...(delivered && { delivered }) });
  }

  async #read(room: RoomCore, read: number): Promise<void> {
    await this.#connection.command("receipt.read", { room_id: room.room_id, up_to_seq: read });
    room.reported({ read });
  }
}

interface Told {
  room: RoomCore;
  delivered?: number;
  read?: number;
}

/** Up to where messages arrived, by room. */
function seqs(found: readonly Told[]): Record<string, number> {
  return Object.fromEntries(found.map(({ room, delivered }) => [room.room_id, delivered ?? 0]));
}

function isNews(room: RoomCore, told: readonly Told[]): boolean {
  const { delivered, read } = room.unreported;
  const before = told.find((one) => one.room === room);
  return (
    (delivered !== undefined && delivered > (before?.delivered ?? 0)) ||
    (read !== undefined && read > (before?.read ?? 0))
  );
}
