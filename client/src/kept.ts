import type { ChatStorage } from "./storage.ts";

export interface KeptOwner {
  readonly storage: ChatStorage;
  /** The client that this is. */
  readonly tab: string;
  /** Keys of this room's entries begin so; undefined while the user is not known. */
  prefix: () => string | undefined;
  warn: (message: string, error: unknown) => void;
}

/** Where the entries of one kind of a room stand in the storage, until the server has them. */
export class Kept<Entry extends { readonly created_at: string }> {
  readonly #owner: KeptOwner;
  readonly #keys = new WeakMap<Entry, string>();
  /** Whether it stands in the storage. */
  readonly #written = new WeakMap<Entry, boolean | Promise<boolean>>();
  #count = 0;

  constructor(owner: KeptOwner) {
    this.#owner = owner;
  }

  has(entry: Entry): boolean {
    return this.#keys.has(entry);
  }

  /** An entry that was found in the storage. */
  found(entry: Entry, key: string): void {
    this.#keys.set(entry, key);
    this.#written.set(entry, true);
  }

  /**
   * False if another client took it over while this one was closed, or its page asleep.
   * What could not be written nobody takes over.
   */
  async isOurs(entry: Entry): Promise<boolean> {
    const key = this.#keys.get(entry);
    if (key === undefined || !(await this.#written.get(entry))) return true;
    const { storage, tab, warn } = this.#owner;
    try {
      const found = (await storage.entries(key)).find(([one]) => one === key);
      return (found?.[1] as { tab?: string } | undefined)?.tab === tab;
    } catch (error) {
      warn("What is unsent cannot be read.", error);
      return true;
    }
  }

  /** Write `value` for it, or anew; nothing while it is not known who the user is. */
  put(entry: Entry, id: string, value: object): void {
    const key = this.#key(entry, id);
    if (key === undefined) return;
    const { storage, tab, warn } = this.#owner;
    const before = this.#written.get(entry) ?? false;
    const written = new Promise<void>((done) => done(storage.set(key, { tab, ...value }))).then(
      () => true,
      (error: unknown) => {
        warn("What is unsent cannot be stored.", error);
        return before;
      },
    );
    this.#written.set(entry, written);
  }

  /** What stands under this key is none: somebody else wrote it, or a release that is too old. */
  drop(key: string): void {
    this.#owner.warn("What was unsent cannot be read, and is removed from the storage:", key);
    this.#delete(key);
  }

  remove(entry: Entry): void {
    const key = this.#keys.get(entry);
    if (key !== undefined) this.#delete(key);
  }

  #delete(key: string): void {
    const { storage, warn } = this.#owner;
    new Promise<void>((done) => done(storage.delete(key))).catch((error: unknown) =>
      warn("What was sent cannot be removed from the storage.", error),
    );
  }

  /** In the order of typing, also beside those of another window. */
  #key(entry: Entry, id: string): string | undefined {
    const known = this.#keys.get(entry);
    const prefix = this.#owner.prefix();
    if (known !== undefined || prefix === undefined) return known;
    const count = String((this.#count += 1)).padStart(6, "0");
    const key = `${prefix}${entry.created_at} ${count} ${id}`;
    this.#keys.set(entry, key);
    return key;
  }
}
