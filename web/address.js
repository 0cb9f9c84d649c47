// @ts-check
// The address of the open room and the steps of the browser's history, of which none leads back into a
// view that was left: a step down is a new entry, and leaving goes back over it, or takes its place.

/** @typedef {{ fromList?: boolean, details?: boolean }} Step what an entry stands for, and whether the list is below it */

export class Address {
  #changed;
  #goes = false;
  /** What waits until the browser has gone back. @type {(() => void)[]} */
  #then = [];

  /** @param {() => void} changed the user went to another entry */
  constructor(changed) {
    this.#changed = changed;
    addEventListener("popstate", () => this.#arrived());
    addEventListener("hashchange", () => this.#tell());
  }

  get room_id() {
    return location.hash.slice(1);
  }

  /** Whether the details are a step of their own. */
  get details() {
    return this.#step.details === true;
  }

  /** @param {string} room_id */
  open(room_id) {
    this.#after(() => {
      const { fromList = false, details = false } = this.#step;
      if (room_id === this.room_id) return void (details && this.#go(-1));
      if (details) history.replaceState({ fromList }, "", `#${room_id}`);
      else history.pushState({ fromList: !this.room_id }, "", `#${room_id}`);
    });
  }

  /** Leave the room for the list. */
  close() {
    this.#after(() => {
      const { fromList = false, details = false } = this.#step;
      const replace = () => history.replaceState(null, "", location.pathname + location.search);
      if (fromList) return this.#go(details ? -2 : -1);
      if (!details) return replace();
      this.#go(-1);
      this.#after(replace);
    });
  }

  /** @param {boolean} details */
  showDetails(details) {
    this.#after(() => {
      if (details === this.details) return;
      if (details) history.pushState({ ...this.#step, details }, "");
      else this.#go(-1);
    });
  }

  /** @returns {Step} */
  get #step() {
    const state = /** @type {unknown} */ (history.state);
    return typeof state === "object" && state ? state : {};
  }

  /** @param {number} by */
  #go(by) {
    this.#goes = true;
    history.go(by);
  }

  /** @param {() => void} act */
  #after(act) {
    if (this.#goes) this.#then.push(act);
    else act();
  }

  #arrived() {
    this.#goes = false;
    for (const act of this.#then.splice(0)) this.#after(act);
    this.#tell();
  }

  #tell() {
    if (!this.#goes) this.#changed();
  }
}
