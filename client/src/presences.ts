import type { Presence, PresenceOrError } from "../types.js";
import { MOST_WATCHED } from "./args.ts";
import { pause } from "./backoff.ts";
import type { Commander } from "./connection.ts";
import { asChatError } from "./error.ts";
import { Cell, isSame, type Observable } from "./observable.ts";

const SOON = 100; // ms in which changes of what is watched are gathered
const AGAIN = 5_000; // ms after which what was refused, though it was repeated, is tried again

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
  #isWatching = false;

  constructor(connection: Commander, warn: (message: string, error: unknown) => void) {
    this.#connection = connection;
    this.#warn = warn;
  }

  /** The presences of these users, watched while there are subscribers. */
  of(user_ids: readonly string[]): Observable<Presences> {
    let presences: Presences = {};
    const cell = new Cell<Presences>(() => (presences = this.#pick(user_ids, presences)));
    let subscribers = 0;
    const renew = () => {
      if (subscribers === 0) cell.changed(); // nobody told it
    };
    return {
      get value() {
        renew();
        return cell.value;
      },
      subscribe: (listener) => {
        renew();
        const stop = cell.subscribe(listener); // it may throw
        if ((subscribers += 1) === 1) this.#want(cell, user_ids);
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

  /** The same object while nothing of these users changed. */
  #pick(user_ids: readonly string[], before: Presences): Presences {
    const found = user_ids.flatMap((user_id) => this.#known.get(user_id) ?? []);
    const presences = Object.fromEntries(found.map((one) => [one.user_id, one]));
    return isSame(Object.values(presences), Object.values(before)) ? before : presences;
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

  /** Each call is within the limit, all together may not be. */
  #first(user_ids: readonly string[]): string[] {
    if (user_ids.length > MOST_WATCHED)
      this.#warn("Subscribers want the presence of too many users; watched are only the first", MOST_WATCHED);
    return user_ids.slice(0, MOST_WATCHED);
  }

  async #watch(): Promise<void> {
    const user_ids = this.#first([...new Set([...this.#wanted.values()].flat())]);
    const watched = user_ids.join(" ");
    if (this.#isWatching || !this.#connection.online || watched === this.#watched) return;
    this.#watched = watched;
    this.#isWatching = true; // one after another: a repeated one would undo a later one
    try {
      const { presences } = await this.#connection.command("presence.watch", { user_ids });
      const still = new Set(user_ids);
      for (const user_id of this.#known.keys()) if (!still.has(user_id)) this.#known.delete(user_id);
      this.take(presences);
    } catch (error) {
      this.#warn("Presence cannot be watched.", error);
      if (this.#watched === watched) this.#watched = "";
      if (asChatError(error).code !== "closed") await pause(AGAIN);
    }
    this.#isWatching = false;
    this.#soon(); // for what came meanwhile
  }
}
