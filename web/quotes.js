// @ts-check
// Messages that others answer and that are not loaded: each is asked for once, and again after a change.

/** @typedef {import("./vendor/rts-chat.min.js").Room} Room */
/** @typedef {import("./vendor/rts-chat.min.js").ShownMessage} ShownMessage */

const MOST = 500;

export class Quotes {
  #changed;
  /** By message_id, as they were when they were asked for. @type {Map<string, ShownMessage>} */
  #known = new Map();
  /** What is not to be asked for now. @type {Set<string>} */
  #asked = new Set();

  /** @param {import("./vendor/rts-chat.min.js").Client} client @param {() => void} changed */
  constructor(client, changed) {
    this.#changed = changed;
    /** @param {string} message_id */
    const again = (message_id) => this.#asked.delete(message_id) && changed();
    client.on("message.updated", ({ data }) => again("message" in data ? data.message.message_id : data.message_id));
    client.on("message.deleted", ({ data }) => again(data.message.message_id));
    client.on("session.ready", () => this.#asked.clear()); // what changed meanwhile is not told
  }

  /** @param {Room} room @param {string} message_id */
  of(room, message_id) {
    const held = room.held(message_id);
    if (held) return held;
    if (!this.#asked.has(message_id)) void this.#ask(room, message_id);
    return this.#known.get(message_id);
  }

  /** @param {Room} room @param {string} message_id */
  async #ask(room, message_id) {
    if (this.#known.size >= MOST) this.#known.clear();
    this.#asked.add(message_id);
    try {
      this.#known.set(message_id, await room.message(message_id));
      this.#changed();
    } catch (error) {
      console.warn("A message that is answered cannot be read.", error);
    }
  }
}
