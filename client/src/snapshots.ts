import type { Commands, Room as RoomView } from "../types.js";
import { backoff, pause } from "./backoff.ts";
import type { Commander } from "./connection.ts";
import { asChatError, isNowhere } from "./error.ts";
import type { RoomCore } from "./room-core.ts";

const SOON = 20; // ms in which rooms are gathered
const FEW = 5; // rooms that are read one by one; more are read as the list
const PAGE = 50;

/** Fetches snapshots of rooms that need one: a few alone, many by the list of rooms. */
export class Snapshots {
  readonly #connection: Commander;
  readonly #learn: (view: RoomView) => void;
  readonly #warn: (message: string, error: unknown) => void;
  readonly #wanted = new Set<RoomCore>();
  #running = false;
  #attempt = 0;

  constructor(
    connection: Commander,
    learn: (view: RoomView) => void,
    warn: (message: string, error: unknown) => void,
  ) {
    this.#connection = connection;
    this.#learn = learn;
    this.#warn = warn;
  }

  /** This room needs one; soon it has one. */
  want(core: RoomCore): void {
    this.#wanted.add(core);
    if (!this.#running) void this.#run();
  }

  /** Read the whole list: the rooms that are shown, then the hidden ones. */
  async all(): Promise<void> {
    for (const hidden of [false, true]) {
      let cursor: string | null = null;
      do {
        const from: Commands["room.list"]["payload"] = cursor === null ? {} : { cursor };
        const page: Commands["room.list"]["answer"] = await this.#connection.command("room.list", {
          limit: PAGE,
          hidden,
          ...from,
        });
        for (const view of page.rooms) this.#learn(view);
        cursor = page.next_cursor;
      } while (cursor !== null);
    }
  }

  async #run(): Promise<void> {
    this.#running = true;
    await pause(SOON);
    while (this.#wanted.size > 0) {
      const cores = [...this.#wanted];
      this.#wanted.clear();
      try {
        if (cores.length > FEW) await this.all();
        const stale = cores.filter(({ replica }) => replica.stale);
        for (let first = 0; first < stale.length; first += FEW)
          await Promise.all(stale.slice(first, first + FEW).map(this.#read));
        this.#attempt = 0;
      } catch (error) {
        this.#warn("Rooms cannot be read; trying again.", error);
        if (!this.#connection.online) break; // the next session says what it needs
        await pause(backoff((this.#attempt += 1)));
      }
      for (const core of cores) if (core.replica.stale) this.#wanted.add(core);
    }
    this.#running = false;
  }

  readonly #read = async (core: RoomCore): Promise<void> => {
    try {
      const { room } = await this.#connection.command("room.get", { room_id: core.room_id });
      this.#learn(room);
    } catch (error) {
      if (!isNowhere(asChatError(error))) throw error;
      core.lose();
    }
  };
}
