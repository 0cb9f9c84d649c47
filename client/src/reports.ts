import type { Commander } from "./connection.ts";
import type { RoomCore } from "./room-core.ts";

const INTERVAL = 1_000;
const MOST = 500; // rooms in one report

/** Tells the server what arrived and what was read: at most once a second, all rooms together. */
export class Reports {
  readonly #connection: Commander;
  readonly #rooms: () => Iterable<RoomCore>;
  readonly #warn: (message: string, error: unknown) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last = 0;

  constructor(
    connection: Commander,
    rooms: () => Iterable<RoomCore>,
    warn: (message: string, error: unknown) => void,
  ) {
    this.#connection = connection;
    this.#rooms = rooms;
    this.#warn = warn;
  }

  /** Something may have to be told; call it as often as you like. */
  soon(): void {
    if (this.#timer !== undefined || !this.#connection.online) return;
    const wait = Math.max(0, this.#last + INTERVAL - Date.now());
    this.#timer = setTimeout(() => void this.#tell(), wait);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #tell(): Promise<void> {
    this.#last = Date.now();
    const rooms = [...this.#rooms()].map((room) => ({ room, ...room.unreported }));
    const delivered = rooms.filter((one) => one.delivered !== undefined).slice(0, MOST);
    const read = rooms.filter((one) => one.read !== undefined);
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
    if ([...this.#rooms()].some((room) => isNews(room, rooms))) this.soon();
  }

  async #delivered(found: { room: RoomCore; delivered?: number }[]): Promise<void> {
    const rooms = Object.fromEntries(found.map(({ room, delivered }) => [room.room_id, delivered ?? 0]));
    await this.#connection.command("receipt.delivered", { rooms });
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

function isNews(room: RoomCore, told: readonly Told[]): boolean {
  const { delivered, read } = room.unreported;
  const before = told.find((one) => one.room === room);
  return (
    (delivered !== undefined && delivered > (before?.delivered ?? 0)) ||
    (read !== undefined && read > (before?.read ?? 0))
  );
}
