import type {
  AnyEvent,
  Events,
  LogEvent,
  Presence,
  PresenceSetPayload,
  RoomCreatePayload,
  SessionReadyData,
  Totals,
} from "../types.js";
import { described, objectOf, userIdsOf } from "./args.ts";
import { Connection, type ConnectionState } from "./connection.ts";
import { Creations } from "./creations.ts";
import { Emitter } from "./emitter.ts";
import { uuid7 } from "./id.ts";
import type { ChatLogger } from "./logger.ts";
import { type Observable, Value } from "./observable.ts";
import { type Presences, PresenceWatch } from "./presences.ts";
import { Reports } from "./reports.ts";
import { Room } from "./room.ts";
import type { RoomCore, RoomOwner } from "./room-core.ts";
import { Rooms, type RoomSummary } from "./rooms.ts";
import { type ChatStorage, keyPrefix, memoryStorage } from "./storage.ts";
import { openTabs, type Tabs } from "./tabs.ts";
import type { GetToken } from "./token.ts";

export interface ClientOptions {
  /** Where the server is, without a path. */
  url: string;
  /** A token that is valid now; asked for at every connect and before the last one ends. */
  getToken: GetToken;
  /** Where unsent messages and drafts survive a reload: `webStorage()`, `indexedDbStorage()`. */
  storage?: ChatStorage;
  /** The console by default: without it, a `getToken` that fails would only look like being offline. */
  logger?: ChatLogger;
}

/** Who is signed in, and what the server allows; undefined before the first session. */
export type Session = Pick<SessionReadyData, "user_id" | "limits">;

/** One user's chat: all rooms, kept up to date over every loss of the connection. */
export class Client {
  readonly connection: Observable<ConnectionState>;
  readonly session: Observable<Session | undefined>;
  /** Unread messages of all rooms but muted and hidden ones. */
  readonly unread: Observable<Totals>;
  readonly #session = new Value<Session | undefined>(undefined);
  readonly #connection: Connection;
  readonly #rooms: Rooms;
  readonly #presence: PresenceWatch;
  readonly #reports: Reports;
  readonly #events = new Emitter<Events>();
  readonly #creations: Creations;
  readonly #names = new Map<string, string>();
  readonly #public = new Map<string, Room>();
  readonly #storage: ChatStorage;
  readonly #warn: (message: string, error: unknown) => void;
  /** One of those that share the storage. */
  readonly #tab = uuid7();
  #tabs: Tabs | undefined;

  constructor(options: ClientOptions) {
    checkOptions(options);
    const { url, getToken, storage = memoryStorage(), logger = console } = options;
    this.#storage = storage;
    this.#warn = (message, error) => logger.warn(message, error);
    this.#connection = new Connection({
      url,
      getToken,
      cursors: () => this.#rooms.cursors(),
      event: (event) => this.#hear(event),
      warn: this.#warn,
    });
    this.#rooms = new Rooms(this.#owner());
    this.#presence = new PresenceWatch(this.#connection, this.#warn);
    this.#reports = new Reports(this.#connection, () => this.#rooms.all(), this.#warn);
    this.#creations = new Creations(this.#connection, this.#rooms, this.#warn);
    this.connection = this.#connection.state;
    this.session = this.#session;
    this.unread = this.#rooms.unread;
    this.connection.subscribe(({ status }) => {
      if (status !== "online") this.#offline();
    });
  }

  /**
   * Begin, or begin again after `refused` or `close`. After everything else it comes back by itself;
   * while it waits for that, this makes the next attempt at once.
   */
  connect(): void {
    this.#connection.connect();
  }

  /** Leave. What is unsent stays in the storage, for another client of this user. */
  close(): void {
    this.#tabs?.end();
    this.#reports.last();
    this.#connection.close();
  }

  /** The rooms by last activity: those in the list, or the hidden ones. */
  rooms(filter: { hidden?: boolean } = {}): Observable<readonly RoomSummary[]> {
    return this.#rooms.list(filter);
  }

  /** The same object for the same id. */
  room(room_id: string): Room {
    let room = this.#public.get(room_id);
    if (!room) this.#public.set(room_id, (room = new Room(this.#rooms.get(room_id))));
    return room;
  }

  /**
   * The room with another user, made if there is none; as soon as it can be written in and its
   * members are known, of which its title is one.
   */
  async direct(user_id: string): Promise<Room> {
    const known = [...this.#rooms.all()].find((core) => core.view && core.partner === user_id);
    const room_id = known?.room_id ?? (await this.#creations.create({ type: "direct", members: [user_id] }));
    const core = this.#rooms.get(room_id);
    // Without them the room can be used all the same: a room that is watched reads them again.
    if (!core.isMet)
      await core.loadMembers().catch((error: unknown) => this.#warn("Members cannot be read.", error));
    return this.room(room_id);
  }

  /** A new group; as soon as it can be written in. */
  async group(group: {
    name: string;
    members?: readonly string[];
    metadata?: Record<string, unknown>;
  }): Promise<Room> {
    const { name, members = [], metadata } = objectOf("group", group);
    const payload: RoomCreatePayload = {
      type: "group",
      name,
      members: userIdsOf("members", members),
      client_room_id: uuid7(),
      ...(metadata && { metadata }),
    };
    return this.room(await this.#creations.create(payload));
  }

  /** How users are, by id, while somebody subscribes. Who is not in it is offline, or not known. Throws ChatError. */
  presence(user_ids: readonly string[]): Observable<Presences> {
    return this.#presence.of(userIdsOf("userIds", user_ids));
  }

  /** What others see of this user, until it is set again or the user goes. */
  async setPresence(state: PresenceSetPayload["state"], statusText?: string | null): Promise<Presence> {
    const text = statusText === undefined ? {} : { status_text: statusText };
    return (await this.#connection.command("presence.set", { state, ...text })).presence;
  }

  /** What a user is called: the name that a room told, else the id. */
  name(user_id: string): string {
    return this.#names.get(user_id) ?? user_id;
  }

  /** Hear every event of this kind once, after the state has it. Returns how to stop. */
  on<Type extends keyof Events>(type: Type, handler: (event: Events[Type]) => void): () => void {
    return this.#events.on(type, handler);
  }

  #hear(event: AnyEvent): void {
    if (event.type === "session.ready") return this.#ready(event);
    if (event.type === "presence.changed") this.#presence.take([event.data]);
    else if (event.type !== "session.closing" && !this.#rooms.hear(event)) return;
    if (event.type === "room.added") this.#creations.added(event.data.room);
    if (event.type === "room.added" || event.type === "member.added") this.#presence.met();
    this.#emit(event);
  }

  #ready(event: Extract<AnyEvent, { type: "session.ready" }>): void {
    const { user_id, limits } = event.data;
    this.#session.set({ user_id, limits });
    this.#run("What was unsent cannot be read.", this.#tabs ? this.#tabs.begin() : this.#restore(user_id));
    this.#run("The rooms cannot be read.", this.#rooms.online(event.data));
    this.#presence.online();
    this.#reports.start(limits.report_interval_ms);
    this.#emit(event);
  }

  #offline(): void {
    this.#reports.stop();
    this.#presence.offline();
    for (const core of this.#rooms.all()) core.offline();
  }

  async #restore(user_id: string): Promise<void> {
    const closed = (tab: string) =>
      this.#takeOver(tab).catch((error: unknown) => this.#warn("What is unsent cannot be taken over.", error));
    this.#tabs = openTabs({ id: this.#tab, user_id, storage: this.#storage, closed });
    // Typed before it was known whose it is.
    for (const { room_id, draft } of this.#rooms.all()) if (draft.value) this.#keepDraft(room_id, draft.value);
    await this.#tabs.begin();
    const unsent = await this.#storage.entries(this.#key("outbox"));
    for (const tab of new Set(unsent.map(tabOf))) if (tab !== this.#tab) this.#tabs.follow(tab);
    const drafts = this.#key("draft");
    for (const [key, text] of await this.#storage.entries(drafts)) {
      const { draft } = this.#rooms.get(key.slice(drafts.length));
      if (draft.value === "") draft.set(String(text));
    }
  }

  /** What a closed client left unsent becomes this one's, in the order of typing. */
  async #takeOver(tab: string): Promise<void> {
    const prefix = this.#key("outbox");
    const byRoom = new Map<string, [string, unknown][]>();
    for (const entry of await this.#storage.entries(prefix)) {
      if (tabOf(entry) !== tab) continue;
      const [key, value] = entry;
      await this.#storage.set(key, { ...(value as object), tab: this.#tab });
      const room_id = key.slice(prefix.length).split("/", 1)[0] ?? "";
      byRoom.set(room_id, [...(byRoom.get(room_id) ?? []), entry]);
    }
    for (const [room_id, entries] of byRoom) this.#rooms.get(room_id).outbox.restore(entries);
  }

  #emit(event: AnyEvent): void {
    try {
      this.#events.emit(event.type, event);
    } catch (error) {
      this.#warn(`A handler of ${event.type} failed.`, error);
    }
  }

  #run(message: string, work: Promise<void>): void {
    work.catch((error: unknown) => this.#warn(message, error));
  }

  #key(kind: "outbox" | "draft"): string {
    return keyPrefix(this.#session.value?.user_id ?? "", kind);
  }

  #owner(): RoomOwner {
    const me = () => this.#session.value?.user_id ?? "";
    return {
      connection: this.#connection,
      get me() {
        return me();
      },
      outboxPrefix: (room_id) => (me() ? `${this.#key("outbox")}${room_id}/` : undefined),
      storage: this.#storage,
      tab: this.#tab,
      keepDraft: (room_id, text) => this.#keepDraft(room_id, text),
      name: (user_id) => this.#names.get(user_id),
      met: (members) => this.#met(members),
      changed: () => this.#rooms.changed(),
      want: (core: RoomCore) => this.#rooms.want(core),
      report: (isRead) => this.#reports.soon(isRead),
      heard: (events: readonly LogEvent[]) => events.forEach((event) => this.#emit(event)),
      warn: this.#warn,
    };
  }

  #keepDraft(room_id: string, text: string): void {
    if (!this.#session.value) return;
    const key = `${this.#key("draft")}${room_id}`;
    const kept = async () => (text ? this.#storage.set(key, text) : this.#storage.delete(key));
    this.#run("A draft cannot be stored.", kept());
  }

  #met(members: readonly { user_id: string; name?: string }[]): void {
    const news = members.filter(({ user_id, name }) => name !== undefined && this.#names.get(user_id) !== name);
    if (news.length === 0) return;
    for (const { user_id, name = user_id } of news) this.#names.set(user_id, name);
    this.#rooms.changed();
    for (const { state } of this.#rooms.all()) state.changed(); // titles of rooms with them
  }
}

/** The client that sends this entry; "" in one of an earlier release. */
const tabOf = ([, value]: [key: string, value: unknown]): string => (value as { tab?: string } | null)?.tab ?? "";

/** Without them the client would only look like being offline, for ever. */
function checkOptions(options: unknown): void {
  if (typeof options !== "object" || options === null)
    throw new TypeError(`createClient takes an object with url and getToken, not ${described(options)}.`);
  const { url, getToken } = options as { url?: unknown; getToken?: unknown };
  if (typeof url !== "string" || !/^(https?|wss?):\/\/[^/\s]\S*$/i.test(url))
    throw new TypeError(
      `url must be the address of the server, as "https://chat.example.com", not ${described(url)}.`,
    );
  if (typeof getToken !== "function")
    throw new TypeError(`getToken must be a function that returns a token, not ${described(getToken)}.`);
}

/** A client for one user; `connect()` begins. Throws TypeError if an option cannot work. */
export function createClient(options: ClientOptions): Client {
  return new Client(options);
}
