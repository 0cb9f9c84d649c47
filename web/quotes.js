// @ts-check
// Messages that others answer and that are not loaded: each is asked for once, and again after a change.

/** @typedef {import("./vendor/rts-chat.min.js").Room} Room */
/** @typedef {import("./vendor/rts-chat.min.js").ShownMessage} ShownMessage */

const MOST = 500;

export class Quotes {
  #changed;
  /** By message_id; undefined while one is on its way, or cannot be read. @type {Map<string, ShownMessage | undefined>} */
  #known = new Map();

  /** @param {import("./vendor/rts-chat.min.js").Client} client @param {() => void} changed */
  constructor(client, changed) {
    this.#changed = changed;
    /** @param {string} message_id */
    const forget = (message_id) => {
      if (this.#known.delete(message_id)) changed();
    };
    client.on("message.updated", ({ data }) => forget("message" in data ? data.message.message_id : data.message_id));
    client.on("message.deleted", ({ data }) => forget(data.message.message_id));
    client.on("session.ready", () => this.#known.clear()); // what changed meanwhile is not told
  }

  /** @param {Room} room @param {string} message_id */
  of(room, message_id) {
    const held = room.state.value.messages.find((message) => message.message_id === message_id);
    if (held) return held;
    if (!this.#known.has(message_id)) void this.#ask(room, message_id);
    return this.#known.get(message_id);
  }

  /** @param {Room} room @param {string} message_id */
  async #ask(room, message_id) {
    if (this.#known.size >= MOST) this.#known.clear();
    this.#known.set(message_id, undefined);
    try {
      const message = await room.message(message_id);
      if (!this.#known.has(message_id)) return; // it changed meanwhile
      this.#known.set(message_id, message);
      this.#changed();
    } catch (error) {
      console.warn("A message that is answered cannot be read.", error);
    }
  }
}
