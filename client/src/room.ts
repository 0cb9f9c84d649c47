import type { Role, RoomUpdatePayload } from "../types.js";
import { fieldsOf, flagOf, idOf, numberOf, recordOf, seqOf, textOf, userIdsOf } from "./args.ts";
import { Links } from "./links.ts";
import type { ShownMessage } from "./message.ts";
import type { Observable, Value } from "./observable.ts";
import type { Draft } from "./outbox.ts";
import type { RoomCore } from "./room-core.ts";
import type { RoomState } from "./room-state.ts";

const TYPING = 3_000; // ms between two signals while one types
const TYPING_ENDS = 8_000; // ms after which the server forgets one

/** What it may be, the server says. */
const roleOf = (role: Role): Role => idOf("role", role) as Role;

/**
 * One room. Methods that change it resolve when the server has done so, and reject with ChatError. What `send`, `edit`,
 * `delete`, `react`, `mute` and `hide` do stands in the state at once, marked as pending, and goes out in order, also
 * after a reload; what is refused is taken back.
 */
export class Room {
  readonly room_id: string;
  readonly state: Observable<RoomState>;
  /** What is typed and not sent; it survives a reload. */
  readonly draft: Value<string>;
  readonly members: {
    add(user_ids: readonly string[], role?: Role): Promise<void>;
    remove(user_ids: readonly string[]): Promise<void>;
    setRole(user_id: string, role: Role): Promise<void>;
  };
  readonly #core: RoomCore;
  readonly #links: Links;
  #typed = 0;

  /** @internal */
  constructor(core: RoomCore) {
    this.#core = core;
    this.room_id = core.room_id;
    this.state = core.state;
    this.draft = core.draft;
    this.#links = new Links(core.owner.connection, core.room_id);
    this.members = {
      async add(user_ids, role) {
        await core.command("member.add", {
          user_ids: userIdsOf("userIds", user_ids),
          ...(role !== undefined && { role: roleOf(role) }),
        });
      },
      async remove(user_ids) {
        await core.command("member.remove", { user_ids: userIdsOf("userIds", user_ids) });
      },
      async setRole(user_id, role) {
        await core.command("member.update", { user_id: idOf("userId", user_id), role: roleOf(role) });
      },
    };
  }

  /** Load messages and members and keep them up to date. Returns how to stop. */
  watch(): () => void {
    return this.#core.watch();
  }

  /** Load a page before the oldest message; nothing if there is none. */
  older(): Promise<void> {
    return this.#core.history.older();
  }

  /** Load a page behind the newest message held; nothing if there is none. */
  newer(): Promise<void> {
    return this.#core.history.newer();
  }

  /** Show what is around a message instead; `newer` leads back to the end, `newest` at once. */
  async around(seq: number): Promise<void> {
    return this.#core.history.around(seqOf("seq", seq));
  }

  /** Show the end of the history. */
  newest(): Promise<void> {
    return this.#core.history.newest();
  }

  /** A message by its id if it is loaded, without a search among all. */
  held(message_id: string): ShownMessage | undefined {
    const message = this.#core.replica.timeline.get(textOf("messageId", message_id));
    return message && this.#core.show(message);
  }

  /** A message by its id, also one that is not loaded. */
  async message(message_id: string): Promise<ShownMessage> {
    const { message } = await this.#core.command("message.get", { message_id: idOf("messageId", message_id) });
    return this.#core.show(message);
  }

  /**
   * Say something. It stands in the state at once, goes out in the order of sending, also after a
   * reload, and its `status` says how far it is. Returns the `key` of its row; throws ChatError if
   * the draft has not the form of one.
   */
  send(draft: Draft): string {
    this.typing(false); // a start that is on its way would outlive the message
    return this.#core.outbox.add(draft).client_msg_id;
  }

  /** Another text, or other metadata or mentions, of a message of one's own. */
  async edit(
    message_id: string,
    change: { text?: string; mentions?: string[]; metadata?: Record<string, unknown> },
  ): Promise<void> {
    idOf("messageId", message_id);
    const checked = fieldsOf("change", change, { text: textOf, mentions: userIdsOf, metadata: recordOf });
    await this.#core.changes.make({ name: "message.edit", payload: { message_id, ...checked } });
  }

  async delete(message_id: string): Promise<void> {
    await this.#core.changes.make({ name: "message.delete", payload: { message_id: idOf("messageId", message_id) } });
  }

  async react(message_id: string, emoji: string, on = true): Promise<void> {
    const payload = { message_id: idOf("messageId", message_id), emoji: idOf("emoji", emoji), on: flagOf("on", on) };
    await this.#core.changes.make({ name: "message.react", payload });
  }

  /**
   * The user has seen everything up to this seq, or the last one: call it for what is in view. In a page whose
   * window is hidden or has no focus nobody reads: it counts once it has, if the room is still watched.
   */
  markVisible(seq: number): void {
    this.#core.see(seqOf("seq", seq));
  }

  /** The user types: call it at every key. `false`: not any more. */
  typing(on = true): void {
    flagOf("on", on);
    const now = Date.now();
    const since = now - this.#typed;
    if (since < TYPING ? on : !on && since > TYPING_ENDS) return;
    this.#typed = on ? now : 0;
    const { connection } = this.#core.owner;
    connection.tell(on ? "typing.start" : "typing.stop", { room_id: this.room_id });
  }

  /** Another name, metadata or frozen. */
  async update(change: Omit<RoomUpdatePayload, "room_id">): Promise<void> {
    const checks = { name: textOf, metadata: recordOf, frozen: flagOf, version: numberOf };
    await this.#core.command("room.update", fieldsOf("change", change, checks));
  }

  /** The last owner of a group names another. */
  async leave(newOwner?: string): Promise<void> {
    await this.#core.command("room.leave", newOwner === undefined ? {} : { new_owner: idOf("newOwner", newOwner) });
  }

  /** Count it in no total. */
  async mute(muted = true): Promise<void> {
    await this.#core.changes.make({ name: "room.mute", payload: { muted: flagOf("muted", muted) } });
  }

  /** Leave it out of the list until somebody else writes. */
  async hide(hidden = true): Promise<void> {
    await this.#core.changes.make({ name: "room.hide", payload: { hidden: flagOf("hidden", hidden) } });
  }

  /** An address of a file that works for some minutes; asked for once in that time. */
  async fileUrl(message_id: string, attachment_id: string): Promise<string> {
    return this.#links.url(idOf("messageId", message_id), idOf("attachmentId", attachment_id));
  }
}
