// A client that is told what to show: for tests of what renders it.
import type { Client, ConnectionState, RoomState, RoomSummary, ShownMessage } from "../src/index.ts";
import { Value } from "../src/observable.ts";

const EMPTY = { messages: [], typing: [], title: "Team" } as unknown as RoomState;

export class FakeChat {
  readonly calls: string[] = [];
  readonly connection = new Value<ConnectionState>({ status: "offline" });
  readonly session = new Value(undefined);
  readonly unread = new Value({ total: 0, rooms: 0 });
  readonly list = new Value<readonly RoomSummary[]>([]);
  readonly presences = new Value({});
  readonly states = new Map<string, Value<RoomState>>();

  get client(): Client {
    return this as unknown as Client;
  }

  connect(): void {
    this.calls.push("connect");
  }

  close(): void {
    this.calls.push("close");
  }

  rooms(): Value<readonly RoomSummary[]> {
    return this.list;
  }

  presence(user_ids: readonly string[]): Value<object> {
    this.calls.push(`presence ${user_ids.join()}`);
    return this.presences;
  }

  room(room_id: string) {
    let state = this.states.get(room_id);
    if (!state) this.states.set(room_id, (state = new Value({ ...EMPTY, room_id })));
    const watch = () => {
      this.calls.push(`watch ${room_id}`);
      return () => void this.calls.push(`unwatch ${room_id}`);
    };
    this.#rooms[room_id] ??= { room_id, state, watch };
    return this.#rooms[room_id];
  }

  readonly #rooms: Record<string, object> = {};

  /** The messages of a room are these now. */
  says(room_id: string, ...texts: string[]): void {
    this.room(room_id);
    const state = this.states.get(room_id);
    const messages = texts.map((text) => ({ key: text, text }) as ShownMessage);
    state?.set({ ...state.value, messages });
  }
}
