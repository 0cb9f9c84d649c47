// @ts-check
// Messages that the user deleted: they go once the offer to take it back has ended.
import { t } from "./strings.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./app.js").Room} Room */
/** @typedef {import("./app.js").ShownMessage} ShownMessage */

export class Deletions {
  #app;
  /** Ids of the messages that are shown as deleted. @type {Set<string>} */
  #ids = new Set();
  /** How to delete those that can be taken back: all by one button. @type {Map<string, () => Promise<void>>} */
  #waiting = new Map();
  #toast = 0;

  /** @param {App} app */
  constructor(app) {
    this.#app = app;
  }

  /** Whether a message is shown as deleted: it is, or it will be unless that is taken back.
   * @param {{ message_id?: string, deleted_at?: string }} message */
  has({ message_id = "", deleted_at }) {
    return deleted_at !== undefined || this.#ids.has(message_id);
  }

  /** @param {Room} room @param {ShownMessage} message */
  add(room, message) {
    const { message_id } = message;
    if (message_id === undefined || this.has(message)) return;
    this.#ids.add(message_id);
    this.#waiting.set(message_id, () => room.delete(message_id));
    const offer = { action: t.undo, act: () => this.#undo(), done: () => this.#delete() };
    this.#toast = this.#app.toasts.show(t.deleting(this.#waiting.size), offer, this.#toast);
  }

  #undo() {
    for (const message_id of this.#waiting.keys()) this.#ids.delete(message_id);
    this.#waiting.clear();
    this.#app.changed();
  }

  #delete() {
    for (const [message_id, work] of this.#waiting)
      void this.#app.guard(work()).then(() => {
        this.#ids.delete(message_id);
        this.#app.changed();
      });
    this.#waiting.clear();
  }
}
