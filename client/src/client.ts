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
import { fieldsOf, flagOf, functionOf, idOf, oneOf, recordOf, textOf, userIdsOf, watchedIdsOf } from "./args.ts";
import { Connection, type ConnectionState } from "./connection.ts";
import { Creations } from "./creations.ts";
import { Emitter } from "./emitter.ts";
import { type ChatError, refusal } from "./error.ts";
import { EVENTS } from "./events.ts";
import { uuid7 } from "./id.ts";
import { type Observable, Value } from "./observable.ts";
import { checkedOptions, type ClientOptions } from "./options.ts";
import { type Presences, PresenceWatch } from "./presences.ts";
import { Reports } from "./reports.ts";
import { Room } from "./room.ts";
import type { RoomCore } from "./room-core.ts";
import type { RoomOwner } from "./room-owner.ts";
import { Rooms, type RoomSummary } from "./rooms.ts";
import { UserStorage } from "./user-storage.ts";
import { Warnings } from "./warnings.ts";

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
  readonly #kept: UserStorage;
  readonly #warnings: Warnings;
  readonly #warn: (message: string, error: unknown) => void;

  constructor(options: ClientOptions) {
    const { url, getToken, userId, storage, logger } = checkedOptions(options);
    this.#warnings = new Warnings(logger);
    this.#warn = this.#warnings.warn;
    this.#connection = new Connection({
      url,
      getToken,
      cursors: () => this.#rooms.cursors(),
      refusalOf: (user_id) => this.#meet(user_id),
      event: (event) => this.#hear(event),
      warn: this.#warn,
    });
    this.#kept = new UserStorage({
      storage,
      tab: uuid7(),
      room: (room_id) => this.#rooms.get(room_id),
      rooms: () => this.#rooms.all(),
      warn: this.#warn,
    });
    this.#rooms = new Rooms(this.#owner());
    if (userId !== undefined) this.#kept.know(userId);
    this.#presence = new PresenceWatch(this.#connection, this.#warn);
    this.#reports = new Reports(this.#connection, () => this.#rooms.all(), this.#warn);
    this.#creations = new Creations(this.#connection, this.#rooms);
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
    this.#kept.open();
    this.#connection.connect();
  }

  /** Leave. What is unsent stays in the storage, for another client of this user. */
  close(): void {
    this.#kept.close();
    this.#reports.last();
    this.#connection.close();
    for (const core of this.#rooms.all()) core.close(refusal("closed", "The client was closed."));
  }

  /** The rooms by last activity: those in the list, or the hidden ones. */
  rooms(filter: { hidden?: boolean } = {}): Observable<readonly RoomSummary[]> {
    return this.#rooms.list(fieldsOf("filter", filter, { hidden: flagOf }));
  }

  /** The same object for the same id. */
  room(room_id: string): Room {
    let room = this.#public.get(idOf("roomId", room_id));
    if (!room) this.#public.set(room_id, (room = new Room(this.#rooms.get(room_id))));
    return room;
  }

  /**
   * The room with another user, made if there is none; as soon as it can be written in and its
   * members are known, of which its title is one.
   */
  async direct(user_id: string): Promise<Room> {
    idOf("userId", user_id);
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
    const checks = { name: textOf, members: userIdsOf, metadata: recordOf };
    const { name, members = [], metadata } = fieldsOf("group", group, checks);
    const payload: RoomCreatePayload = {
      type: "group",
      name: idOf("name", name),
      members: [...members],
      client_room_id: uuid7(),
      ...(metadata && { metadata }),
    };
    return this.room(await this.#creations.create(payload));
  }

  /**
   * How up to 500 users are, by id, while somebody subscribes; so many in all are watched. Who is not in it is
   * offline, or not known. Throws ChatError.
   */
  presence(user_ids: readonly string[]): Observable<Presences> {
    return this.#presence.of(watchedIdsOf("userIds", user_ids));
  }

  /** What others see of this user, until it is set again or the user goes. */
  async setPresence(state: PresenceSetPayload["state"], statusText?: string | null): Promise<Presence> {
    oneOf("state", state, STATES);
    if (statusText === undefined) return this.#setPresence({ state });
    return this.#setPresence({ state, status_text: statusText === null ? null : textOf("statusText", statusText) });
  }

  /** What a user is called: the name that a room told, else the id. */
  name(user_id: string): string {
    return this.#names.get(textOf("userId", user_id)) ?? user_id;
  }

  /** Hear every event of this kind once, after the state has it. Returns how to stop. */
  on<Type extends keyof Events>(type: Type, handler: (event: Events[Type]) => void): () => void {
    return this.#events.on(oneOf("type", type, EVENTS), functionOf("handler", handler));
  }

  async #setPresence(presence: PresenceSetPayload): Promise<Presence> {
    return (await this.#connection.command("presence.set", presence)).presence;
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
    this.#warnings.begin();
    this.#session.set({ user_id, limits });
    this.#rooms.online(event.data).catch((error: unknown) => this.#warn("The rooms cannot be read.", error));
    this.#presence.online();
    this.#reports.start(limits.report_interval_ms);
    this.#emit(event);
  }

  #offline(): void {
    this.#reports.stop();
    this.#presence.offline();
    for (const core of this.#rooms.all()) core.offline();
  }

  #emit(event: AnyEvent): void {
    try {
      this.#events.emit(event.type, event);
    } catch (error) {
      this.#warn(`A handler of ${event.type} failed.`, error);
    }
  }

  /** The first user that is heard of, by a token or a session, is that of this client; another one is refused. */
  #meet(user_id: string): ChatError | undefined {
    this.#kept.know(user_id);
    const mine = this.#kept.user_id;
    if (user_id === mine) return undefined;
    return refusal("other_user", `The token is that of ${user_id}, and this client that of ${mine}: make one for each.`);
  }

  #owner(): RoomOwner {
    const [kept, session] = [this.#kept, this.#session];
    return {
      connection: this.#connection,
      get mostFiles() {
        return session.value?.limits.attachments;
      },
      get me() {
        return kept.user_id ?? "";
      },
      kept,
      name: (user_id) => this.#names.get(user_id),
      met: (members) => this.#met(members),
      changed: () => this.#rooms.changed(),
      want: (core: RoomCore) => this.#rooms.want(core),
      report: (isRead) => this.#reports.soon(isRead),
      heard: (events: readonly LogEvent[]) => events.forEach((event) => this.#emit(event)),
      warn: this.#warn,
    };
  }

  #met(members: readonly { user_id: string; name?: string }[]): void {
    const news = members.filter(({ user_id, name }) => name !== undefined && this.#names.get(user_id) !== name);
    if (news.length === 0) return;
    for (const { user_id, name = user_id } of news) this.#names.set(user_id, name);
    this.#rooms.changed();
    for (const { state } of this.#rooms.all()) state.changed(); // titles of rooms with them
  }
}

/** That a user can set. */
const STATES: Readonly<Record<PresenceSetPayload["state"], true>> = { online: true, away: true };

/** A client for one user; `connect()` begins. Throws TypeError if an option cannot work. */
export function createClient(options: ClientOptions): Client {
  return new Client(options);
}
