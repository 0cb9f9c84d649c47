// @ts-check
// Rooms that the user is no member of any more: no list shows what was not sent there. Their ids survive a reload,
// as their messages do in the storage of the client.
import { t } from "./strings.js";
import { unsentOf } from "./unsent.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./app.js").ShownMessage} ShownMessage */
/** @typedef {{ room_id: string, title: string, messages: readonly ShownMessage[] }} LeftRoom with at least one message */

export class LeftRooms {
  #app;
  #key;
  /** Titles by room. @type {Map<string, string>} */
  #titles;
  /** Of which rooms the user was told. @type {Set<string>} */
  #told = new Set();
  /** @type {Map<string, () => void>} */
  #stops = new Map();

  /** @param {App} app */
  constructor(app) {
    this.#app = app;
    this.#key = `rts-web/left/${app.user}`;
    this.#titles = read(this.#key);
  }

  /** What an earlier page left is read by the client, and comes with the states of its rooms. */
  follow() {
    for (const room_id of this.#titles.keys()) this.#follow(room_id);
  }

  /** The user was removed, or left. @param {string} room_id @param {string} title */
  add(room_id, title) {
    if (!this.#unsent(room_id).length) return;
    this.#titles.set(room_id, title);
    this.#follow(room_id);
    this.#keep();
  }

  /** The rooms with what was not sent. @returns {LeftRoom[]} */
  get list() {
    const all = [...this.#titles].map(([room_id, title]) => ({ room_id, title, messages: this.#unsent(room_id) }));
    return all.filter(({ messages }) => messages.length);
  }

  /** Tell the user, once per room: as soon as it is sure that nothing of it is on its way any more. */
  tell() {
    this.#dropOwn();
    for (const { room_id, title, messages } of this.list) {
      if (this.#told.has(room_id) || messages.some(({ status }) => status !== "refused")) continue;
      this.#told.add(room_id);
      const act = () => void document.dispatchEvent(new Event("not-sent"));
      this.#app.toasts.show(t.notSent(messages.length, title), { isError: true, stays: true, action: t.show, act });
    }
  }

  /** Who is a member again sees it in the room. */
  #dropOwn() {
    const own = [...this.#app.rooms.value, ...this.#app.hidden.value].filter(({ room_id }) => this.#titles.has(room_id));
    if (!own.length) return;
    for (const { room_id } of own) {
      this.#titles.delete(room_id);
      this.#told.delete(room_id);
      this.#stops.get(room_id)?.();
      this.#stops.delete(room_id);
    }
    this.#keep();
  }

  /** @param {string} room_id */
  #unsent(room_id) {
    return unsentOf(this.#app.client.room(room_id).state.value);
  }

  /** @param {string} room_id */
  #follow(room_id) {
    if (this.#stops.has(room_id)) return;
    this.#stops.set(room_id, this.#app.client.room(room_id).state.subscribe(this.#app.changed));
  }

  #keep() {
    if (this.#titles.size) localStorage.setItem(this.#key, JSON.stringify([...this.#titles]));
    else localStorage.removeItem(this.#key);
  }
}

/** @param {string} key @returns {Map<string, string>} */
function read(key) {
  try {
    /** @type {unknown} */
    const kept = JSON.parse(localStorage.getItem(key) ?? "[]");
    return new Map(/** @type {[string, string][]} */ (kept));
  } catch {
    return new Map(); // not of this page
  }
}
