// @ts-check
// Messages that the user deleted: they go once the offer to take it back has ended.
import { t } from "./strings.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./app.js").Room} Room */
/** @typedef {import("./app.js").ShownMessage} ShownMessage */

export class Deletions {
  #app;
  /** Keys of the rows that are shown as deleted. @type {Set<string>} */
  #keys = new Set();
  /** How to delete those that can be taken back: all by one button. @type {Map<string, () => Promise<void>>} */
  #waiting = new Map();
  #toast = 0;

  /** @param {App} app */
  constructor(app) {
    this.#app = app;
  }

  /** @param {string} key */
  has(key) {
    return this.#keys.has(key);
  }

  /** @param {Room} room @param {ShownMessage} message */
  add(room, { key, message_id }) {
    if (message_id === undefined || this.has(key)) return;
    this.#keys.add(key);
    this.#waiting.set(key, () => room.delete(message_id));
    const offer = { action: t.undo, act: () => this.#undo(), done: () => this.#delete() };
    this.#toast = this.#app.toasts.show(t.deleting(this.#waiting.size), offer, this.#toast);
  }

  #undo() {
    for (const key of this.#waiting.keys()) this.#keys.delete(key);
    this.#waiting.clear();
    this.#app.changed();
  }

  #delete() {
    for (const [key, work] of this.#waiting)
      void this.#app.guard(work()).then(() => {
        this.#keys.delete(key);
        this.#app.changed();
      });
    this.#waiting.clear();
  }
}
