import type { Commands, Room as RoomView, RoomCreatePayload } from "../types.js";
import type { Commander } from "./connection.ts";
import type { Rooms } from "./rooms.ts";

/**
 * Creates rooms. The ack waits until the room is stored, up to 3 s; room.added comes at once and
 * shows the same room. So the creation is done by whichever comes first.
 */
export class Creations {
  readonly #connection: Commander;
  readonly #rooms: Rooms;
  readonly #pending = new Set<(view: RoomView) => void>();

  constructor(connection: Commander, rooms: Rooms) {
    this.#connection = connection;
    this.#rooms = rooms;
  }

  /** The id of the room. Rejects with ChatError. */
  async create(payload: RoomCreatePayload): Promise<string> {
    let heard: ((view: RoomView) => void) | undefined;
    const heardOf = new Set<string>();
    const added = new Promise<string>((resolve) => {
      heard = (view) => {
        heardOf.add(view.room_id);
        void this.#matches(view, payload).then((is) => is && resolve(view.room_id));
      };
      this.#pending.add(heard);
    });
    const acked = this.#connection.command("room.create", payload).then(({ room }) => {
      // The answer may come seconds after the room: what was muted or hidden since, or that it was left, is not in it.
      if (!heardOf.has(room.room_id) && !this.#rooms.get(room.room_id).view) this.#rooms.learn(room);
      return room.room_id;
    });
    acked.catch(() => undefined); // the call rejects with it, or the room came without it
    try {
      return await Promise.race([acked, added]);
    } finally {
      if (heard) this.#pending.delete(heard);
    }
  }

  /** A room was added to the user's. */
  added(view: RoomView): void {
    for (const heard of this.#pending) heard(view);
  }

  /** Another device may create a room at the same moment: its members tell. */
  async #matches(view: RoomView, wanted: RoomCreatePayload): Promise<boolean> {
    if (view.type !== wanted.type || (view.name ?? undefined) !== wanted.name) return false;
    try {
      const page: Commands["member.list"]["answer"] = await this.#connection.once("member.list", {
        room_id: view.room_id,
      });
      const members = new Set(page.members.map(({ user_id }) => user_id));
      return wanted.members.every((user_id) => members.has(user_id));
    } catch {
      return false; // the ack says the same
    }
  }
}
