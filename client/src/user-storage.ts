import type { RoomCore } from "./room-core.ts";
import type { UnsentKind } from "./room-owner.ts";
import { type ChatStorage, keyPrefix, memoryStorage, patient } from "./storage.ts";
import { openTabs, type Tabs } from "./tabs.ts";

export interface UserStorageOptions {
  /** Without one nothing survives the page. */
  readonly storage: ChatStorage | undefined;
  /** The client that this is, among those that share the storage. */
  readonly tab: string;
  room: (room_id: string) => RoomCore;
  rooms: () => Iterable<RoomCore>;
  warn: (message: string, error: unknown) => void;
}

/**
 * What one user has not sent yet, and drafts: written as soon as it is known who they are, and read once the client
 * connects. Until it is known, both stay in memory.
 */
export class UserStorage {
  readonly storage: ChatStorage;
  readonly #options: UserStorageOptions;
  #user_id: string | undefined;
  #isOpen = false;
  #tabs: Tabs | undefined;

  constructor(options: UserStorageOptions) {
    this.#options = options;
    this.storage = options.storage ? patient(options.storage) : memoryStorage();
  }

  get tab(): string {
    return this.#options.tab;
  }

  get user_id(): string | undefined {
    return this.#user_id;
  }

  /** It is this user's, for good. */
  know(user_id: string): void {
    if (this.#user_id !== undefined) return;
    this.#user_id = user_id;
    for (const core of this.#options.rooms()) {
      core.keep();
      if (core.draft.value) this.keepDraft(core.room_id, core.draft.value);
    }
    if (this.#isOpen) this.open();
  }

  /** The client connects: take over what closed ones left, now and later. */
  open(): void {
    this.#isOpen = true;
    if (this.#user_id === undefined) return;
    this.#run("What is unsent cannot be read.", this.#tabs ? this.#tabs.begin() : this.#restore(this.#user_id));
  }

  close(): void {
    this.#isOpen = false;
    this.#tabs?.end();
  }

  /** Keys of what is unsent in a room begin so; undefined while the user is not known. */
  prefix(kind: UnsentKind, room_id: string): string | undefined {
    const prefix = this.#key(kind);
    if (prefix === undefined) this.#unknown();
    return prefix && `${prefix}${room_id}/`;
  }

  keepDraft(room_id: string, text: string): void {
    const prefix = this.#key("draft");
    if (prefix === undefined) {
      if (text) this.#unknown();
      return;
    }
    const kept = async () => (text ? this.storage.set(prefix + room_id, text) : this.storage.delete(prefix + room_id));
    this.#run("What is unsent cannot be stored.", kept());
  }

  async #restore(user_id: string): Promise<void> {
    const { tab, warn, room } = this.#options;
    const closed = (id: string) =>
      this.#takeOver(user_id, id).catch((error: unknown) => warn("What is unsent cannot be taken over.", error));
    this.#tabs = openTabs({ id: tab, user_id, storage: this.storage, closed });
    await this.#tabs.begin();
    const unsent = [await this.#entries(user_id, "outbox"), await this.#entries(user_id, "change")].flat();
    for (const one of new Set(unsent.map(tabOf))) if (one !== tab) this.#tabs.follow(one);
    const drafts = keyPrefix(user_id, "draft");
    for (const [key, text] of await this.storage.entries(drafts)) {
      const { draft } = room(key.slice(drafts.length));
      if (draft.value === "" && typeof text === "string") draft.set(text);
    }
  }

  /** What a closed client left unsent becomes this one's, in the order of typing. */
  async #takeOver(user_id: string, left: string): Promise<void> {
    const { tab, room } = this.#options;
    for (const kind of UNSENT) {
      const prefix = keyPrefix(user_id, kind);
      const byRoom = new Map<string, [string, unknown][]>();
      for (const entry of await this.#entries(user_id, kind)) {
        if (tabOf(entry) !== left) continue;
        const [key, value] = entry;
        await this.storage.set(key, { ...(value as object), tab });
        const room_id = key.slice(prefix.length).split("/", 1)[0] ?? "";
        byRoom.set(room_id, [...(byRoom.get(room_id) ?? []), entry]);
      }
      for (const [room_id, entries] of byRoom) room(room_id).restore(kind, entries);
    }
  }

  async #entries(user_id: string, kind: UnsentKind): Promise<[key: string, value: unknown][]> {
    return this.storage.entries(keyPrefix(user_id, kind));
  }

  #key(kind: UnsentKind | "draft"): string | undefined {
    return this.#user_id === undefined ? undefined : keyPrefix(this.#user_id, kind);
  }

  /** A reload would lose it, against what a storage promises. */
  #unknown(): void {
    const { storage, warn } = this.#options;
    if (storage)
      warn("Kept in memory only, until it is known who the user is; a reload loses it. Give createClient:", "userId");
  }

  #run(message: string, work: Promise<void>): void {
    work.catch((error: unknown) => this.#options.warn(message, error));
  }
}

/** In this order: changes go behind messages that were typed before them. */
const UNSENT: readonly UnsentKind[] = ["outbox", "change"];

/** The client that sends this entry; "" in one of an earlier release. */
const tabOf = ([, value]: [key: string, value: unknown]): string => (value as { tab?: string } | null)?.tab ?? "";
