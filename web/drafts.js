// @ts-check
// What a draft has beside its text, by room: what it answers or edits, and files. It survives a reload.
import { indexedDbStorage } from "./vendor/rts-chat.min.js";

/**
 * A message that is answered, or edited: then with the text as it is typed by now.
 * @typedef {{ mode: "reply" | "edit", message: import("./app.js").ShownMessage, text?: string }} Composing
 */

export class Drafts {
  #storage = indexedDbStorage("rts-web");
  #user;
  #changed;
  #lost;
  /** @type {Map<string, Composing>} */
  #composing = new Map();
  /** @type {Map<string, readonly File[]>} */
  #files = new Map();

  /** @param {string} user @param {() => void} changed
   * @param {(error: unknown, isFile: boolean) => void} lost something cannot be kept over a reload */
  constructor(user, changed, lost) {
    this.#user = encodeURIComponent(user);
    this.#changed = changed;
    this.#lost = lost;
    const restored = [this.#restore("composing", this.#composing), this.#restore("files", this.#files)];
    Promise.all(restored).then(changed, (/** @type {unknown} */ error) => lost(error, false));
  }

  /** @param {string} room_id */
  composing(room_id) {
    return this.#composing.get(room_id);
  }

  /** @param {string} room_id @returns {readonly File[]} */
  files(room_id) {
    return this.#files.get(room_id) ?? [];
  }

  /** @param {string} room_id @param {Composing | undefined} composing */
  compose(room_id, composing) {
    if (composing) this.#composing.set(room_id, composing);
    else this.#composing.delete(room_id);
    this.#keep(this.#key("composing", room_id), composing);
  }

  /** @param {string} room_id @param {readonly File[]} files */
  choose(room_id, files) {
    this.#files.set(room_id, files);
    this.#keep(this.#key("files", room_id), files.length ? files : undefined);
  }

  /** @param {"composing" | "files"} kind */
  #key(kind, room_id = "") {
    return `${this.#user}/${kind}/${room_id}`;
  }

  /** @param {string} key @param {Composing | readonly File[] | undefined} value */
  #keep(key, value) {
    const kept = value ? this.#storage.set(key, value) : this.#storage.delete(key);
    Promise.resolve(kept).catch((/** @type {unknown} */ error) => this.#lost(error, Array.isArray(value)));
    this.#changed();
  }

  /** What the page before this one left, where this one has nothing by now.
   * @template T @param {"composing" | "files"} kind @param {Map<string, T>} known */
  async #restore(kind, known) {
    const prefix = this.#key(kind);
    for (const [key, value] of await this.#storage.entries(prefix)) {
      const room_id = key.slice(prefix.length);
      if (!known.has(room_id)) known.set(room_id, /** @type {T} */ (value));
    }
  }
}
