// The list of a user's rooms over what the server answers and refuses.
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { refusal } from "../src/error.ts";
import type { RoomOwner } from "../src/room-owner.ts";
import { Rooms } from "../src/rooms.ts";
import { memoryStorage } from "../src/storage.ts";
import { ME, ServerRoom } from "./server.ts";

const READY = { recovered: { r: true }, more_rooms: false, unread: { total: 0, rooms: 0 } };

/** A user with one direct room, at a server that refuses to tell its members at first. */
class Scene {
  readonly warned: string[] = [];
  reads = 0;
  readonly rooms: Rooms;
  readonly #names = new Map<string, string>();

  constructor() {
    const nothing = () => undefined;
    const view = { ...new ServerRoom().snapshot(), type: "direct" };
    this.rooms = new Rooms({
      connection: {
        online: true,
        command: (name: string) => {
          if (name === "room.list") return Promise.resolve({ rooms: [view], next_cursor: null });
          this.reads += 1;
          if (this.reads === 1) return Promise.reject(refusal("unavailable", "Not now."));
          return Promise.resolve({ members: [{ user_id: "bob", name: "Bob B." }], next_cursor: null });
        },
      },
      kept: { storage: memoryStorage(), tab: "tab", prefix: () => "outbox/", keepDraft: nothing },
      me: ME,
      mostFiles: undefined,
      name: (user_id: string) => this.#names.get(user_id),
      met: (members: { user_id: string; name: string }[]) => {
        for (const { user_id, name } of members) this.#names.set(user_id, name);
      },
      changed: () => this.rooms.changed(),
      want: nothing,
      report: nothing,
      heard: nothing,
      warn: (message: string) => void this.warned.push(message),
    } as unknown as RoomOwner);
    this.rooms.list().subscribe(nothing);
  }

  /** A session begins; its title as the list shows it then. */
  async session(): Promise<string | undefined> {
    await this.rooms.online(READY as unknown as Parameters<Rooms["online"]>[0]);
    await turn();
    return this.rooms.list().value[0]?.title;
  }
}

test("who could not be read is no user without a name, and is read again in the next session", async () => {
  const scene = new Scene();
  assert.equal(await scene.session(), "");
  assert.deepEqual(scene.warned, ["Members cannot be read."]);
  assert.equal(scene.rooms.get("r").isMet, false);
  assert.equal(scene.reads, 1); // not again and again
  assert.equal(await scene.session(), "Bob B.");
  assert.equal(scene.rooms.get("r").isMet, true);
  assert.equal(await scene.session(), "Bob B.");
  assert.equal(scene.reads, 2);
});
