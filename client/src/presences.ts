import type { Presence, PresenceOrError } from "../types.js";
import type { Commander } from "./connection.ts";
import { Cell, type Observable } from "./observable.ts";

const SOON = 100; // ms in which changes of what is watched are gathered
const MOST = 500;

/** How users are, by id; those of whom nothing is known (yet) are not in it. */
export type Presences = Readonly<Record<string, Presence>>;

/** Watches whoever somebody looks at: the union of all subscriptions, again after each connect. */
export class PresenceWatch {
  readonly #connection: Commander;
  readonly #warn: (message: string, error: unknown) => void;
  readonly #wanted = new Map<Cell<Presences>, readonly string[]>();
  readonly #known = new Map<string, Presence>();
  /** Who shares no room with the user: the server does not watch them. */
  readonly #strangers = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watched = "";

  constructor(connection: Commander, warn: (message: string, error: unknown) => void) {
    this.#connection = connection;
    this.#warn = warn;
  }

  /** The presences of these users, watched while there are subscribers. */
  of(user_ids: readonly string[]): Observable<Presences> {
    const cell = new Cell<Presences>(() => this.#pick(user_ids));
    let subscribers = 0;
    return {
      get value() {
        return cell.value;
      },
      subscribe: (listener) => {
        if ((subscribers += 1) === 1) this.#want(cell, user_ids);
        const stop = cell.subscribe(listener);
        let active = true;
        return () => {
          stop();
          if (active && (subscribers -= 1) === 0) this.#unwant(cell);
          active = false;
        };
      },
    };
  }

  take(presences: readonly PresenceOrError[]): void {
    for (const one of presences)
      if ("state" in one) this.#known.set(one.user_id, one);
      else this.#strangers.add(one.user_id);
    this.#changed();
  }

  /** A room or a member came: who was a stranger may be none any more. */
  met(): void {
    if (this.#strangers.size > 0) this.online();
  }

  online(): void {
    this.#watched = "";
    this.#strangers.clear();
    this.#soon();
  }

  /** Nothing is known while there is no connection: nobody stays online for ever. */
  offline(): void {
    this.#known.clear();
    this.#changed();
  }

  #pick(user_ids: readonly string[]): Presences {
    const found = user_ids.flatMap((user_id) => this.#known.get(user_id) ?? []);
    return Object.fromEntries(found.map((one) => [one.user_id, one]));
  }

  #want(cell: Cell<Presences>, user_ids: readonly string[]): void {
    this.#wanted.set(cell, user_ids);
    this.#soon();
  }

  #unwant(cell: Cell<Presences>): void {
    this.#wanted.delete(cell);
    this.#soon();
  }

  #changed(): void {
    for (const cell of this.#wanted.keys()) cell.changed();
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#watch();
    }, SOON);
  }

  async #watch(): Promise<void> {
    const user_ids = [...new Set([...this.#wanted.values()].flat())].slice(0, MOST);
    const watched = user_ids.join(" ");
    if (!this.#connection.online || watched === this.#watched) return;
    this.#watched = watched;
    try {
      this.take((await this.#connection.command("presence.watch", { user_ids })).presences);
    } catch (error) {
      this.#watched = "";
      this.#warn("Presence cannot be watched.", error);
    }
  }
}
