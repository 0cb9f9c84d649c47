import {
  computed,
  DestroyRef,
  effect,
  type EnvironmentProviders,
  inject,
  makeEnvironmentProviders,
  type Signal,
  signal,
} from "@angular/core";
import { type Client, createClient, type Session } from "./client.ts";
import type { ConnectionState } from "./connection.ts";
import type { ShownMessage } from "./message.ts";
import type { Observable } from "./observable.ts";
import type { ClientOptions } from "./options.ts";
import type { Presences } from "./presences.ts";
import type { Room } from "./room.ts";
import type { RoomState } from "./room-state.ts";
import type { RoomSummary } from "./rooms.ts";
import type { Totals } from "./wire.ts";

const NO_MESSAGES: readonly ShownMessage[] = [];
const NOTHING: Observable<undefined> = { value: undefined, subscribe: () => () => undefined };

/** A value, or a signal or an input of it. */
export type MaybeSignal<T> = T | (() => T);

/**
 * The chat as signals: `inject(Chat)`. Methods that watch something belong into an injection context
 * (a field or the constructor of a component), and end with it.
 */
export class Chat {
  readonly client: Client;
  readonly connection: Signal<ConnectionState>;
  readonly session: Signal<Session | undefined>;
  readonly unread: Signal<Totals>;
  /** The rooms by last activity. */
  readonly rooms: Signal<readonly RoomSummary[]>;
  readonly hiddenRooms: Signal<readonly RoomSummary[]>;

  constructor(client: Client) {
    this.client = client;
    this.connection = toSignal(client.connection);
    this.session = toSignal(client.session);
    this.unread = toSignal(client.unread);
    this.rooms = toSignal(client.rooms());
    this.hiddenRooms = toSignal(client.rooms({ hidden: true }));
  }

  /** What a room can do. */
  room(room_id: string): Room {
    return this.client.room(room_id);
  }

  /** The state of a room, which is watched; undefined while `room_id` is: no room is open. */
  state(room_id: MaybeSignal<string>): Signal<RoomState>;
  state(room_id: MaybeSignal<string | undefined>): Signal<RoomState | undefined>;
  state(room_id: MaybeSignal<string | undefined>): Signal<RoomState | undefined> {
    const id = read(room_id);
    const room = computed(() => {
      const open = id();
      return open === undefined ? undefined : this.room(open);
    });
    effect((onCleanup) => {
      const stop = room()?.watch();
      if (stop) onCleanup(stop);
    });
    return switched(() => room()?.state ?? NOTHING);
  }

  /** The messages of a room, which is watched; none while `room_id` is undefined. */
  messages(room_id: MaybeSignal<string | undefined>): Signal<readonly ShownMessage[]> {
    const state = this.state(room_id);
    return computed(() => state()?.messages ?? NO_MESSAGES);
  }

  /** How users are, by id; who is not in it is offline, or not known. */
  presence(user_ids: MaybeSignal<readonly string[]>): Signal<Presences> {
    const ids = read(user_ids);
    return switched(() => this.client.presence(ids()));
  }
}

/** Provides Chat: a client of its own, connected from the first injection to the end of the application. */
export function provideChat(options: ClientOptions | (() => ClientOptions)): EnvironmentProviders {
  const useFactory = () => {
    const client = createClient(typeof options === "function" ? options() : options);
    inject(DestroyRef).onDestroy(() => client.close());
    client.connect();
    return new Chat(client);
  };
  return makeEnvironmentProviders([{ provide: Chat, useFactory }]);
}

const read = <T>(value: MaybeSignal<T>): (() => T) =>
  typeof value === "function" ? (value as () => T) : () => value;

function toSignal<T>(observable: Observable<T>): Signal<T> {
  const held = signal(observable.value);
  inject(DestroyRef).onDestroy(observable.subscribe((value) => held.set(value)));
  return held.asReadonly();
}

/** The value of whichever observable it is now. */
function switched<T>(pick: () => Observable<T>): Signal<T> {
  const observable = computed(pick);
  const changes = signal(0);
  effect((onCleanup) => onCleanup(observable().subscribe(() => changes.update((n) => n + 1))));
  return computed(() => {
    changes();
    return observable().value;
  });
}
