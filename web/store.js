// @ts-check
// A value that views follow.

/** @template T */
export class Store {
  #value;
  /** @type {Set<(value: T) => void>} */
  #listeners = new Set();

  /** @param {T} value */
  constructor(value) {
    this.#value = value;
  }

  get value() {
    return this.#value;
  }

  /** Change some fields; listeners hear of it if one is different. @param {Partial<T>} change */
  set(change) {
    const next = { ...this.#value, ...change };
    const keys = /** @type {(keyof T)[]} */ (Object.keys(change));
    if (keys.every((key) => Object.is(next[key], this.#value[key]))) return;
    this.#value = next;
    for (const listener of [...this.#listeners]) listener(next);
  }

  /** @param {(value: T) => void} listener */
  subscribe(listener) {
    this.#listeners.add(listener);
    listener(this.#value);
    return () => void this.#listeners.delete(listener);
  }
}
