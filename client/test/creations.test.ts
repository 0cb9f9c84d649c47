// A room is there as soon as its event or the answer is, and the later of them changes nothing.
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import type { Room as RoomView } from "../types.js";
import type { Commander } from "../src/connection.ts";
import { Creations } from "../src/creations.ts";
import { Rooms } from "../src/rooms.ts";
import { memoryStorage } from "../src/storage.ts";
import { ME, ServerRoom } from "./server.ts";

const GROUP = { type: "group", name: "Team", members: ["bob"] } as const;

/** A client that creates a group with bob; the server answers as the test says. */
class Scene {
  readonly view: RoomView = { ...new ServerRoom().snapshot(), type: "group", name: "Team" };
  readonly rooms: Rooms;
  readonly created: Promise<string>;
  readonly #creations: Creations;
  #answer: ((answer: object) => void) | undefined;

  constructor() {
    const nothing = () => undefined;
    const connection = {
      online: true,
      command: () => new Promise((ok) => (this.#answer = ok)),
      once: () => Promise.resolve({ members: [{ user_id: "bob" }, { user_id: ME }], next_cursor: null }),
    } as unknown as Commander;
    const kept = { storage: memoryStorage(), tab: "tab", prefix: nothing, keepDraft: nothing };
    const owner = { connection, kept, me: ME, mostFiles: undefined };
    const heard = { name: nothing, met: nothing, want: nothing, report: nothing, heard: nothing, warn: nothing };
    this.rooms = new Rooms({ ...owner, ...heard, changed: () => this.rooms.changed() });
    this.#creations = new Creations(connection, this.rooms);
    this.created = this.#creations.create({ ...GROUP, members: [...GROUP.members] });
  }

  get listed(): string[] {
    return this.rooms.list().value.map(({ room_id }) => room_id);
  }

  added(): void {
    this.rooms.hear({ type: "room.added", room_id: "r", data: { room: this.view } } as never);
    this.#creations.added(this.view);
  }

  removed(): void {
    this.rooms.hear({ type: "room.removed", room_id: "r", data: {} } as never);
  }

  async answer(): Promise<void> {
    this.#answer?.({ room: this.view });
    await turn();
  }
}

test("a group whose answer comes before its event is listed", async () => {
  const scene = new Scene();
  await scene.answer();
  assert.deepEqual([await scene.created, scene.listed], ["r", ["r"]]);
});

test("a group that is left before the answer of its creation comes stays gone", async () => {
  const scene = new Scene();
  scene.added();
  assert.deepEqual([await scene.created, scene.listed], ["r", ["r"]]);
  scene.removed();
  await scene.answer();
  assert.deepEqual([scene.listed, scene.rooms.get("r").state.value.gone], [[], true]);
});
