// @ts-check
// What happened, in a sentence, for some seconds: few at a time, and the same sentence once.

/**
 * @typedef {object} Toast
 * @property {number} id
 * @property {string} text
 * @property {boolean} [isError]
 * @property {string} [action] label of its button
 * @property {() => void} [act] what the button does
 * @property {() => void} [done] it went away without that
 * @property {boolean} [stays] until the user has answered it
 */

const LIFE = 5000; // ms
const MOST = 3;

export class Toasts {
  /** The newest last. @type {readonly Toast[]} */
  shown = [];
  /** Whether somebody is at one of them: then none goes away by itself. */
  isHeld = () => false;
  #changed;
  #count = 0;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
  }

  /** @param {string} text @param {Omit<Toast, "id" | "text">} [more]
   * @param {number} [instead] the one whose place it takes */
  show(text, more = {}, instead) {
    const id = (this.#count += 1);
    const others = this.shown.filter((one) => one.id !== instead && (one.text !== text || one.act));
    this.#set([...others, { id, text, ...more }]);
    // Those that offer something go last.
    const first = this.shown.find(({ act }) => !act) ?? this.shown[0];
    if (first && this.shown.length > MOST) this.close(first.id);
    if (!more.stays) this.#expire(id);
    return id;
  }

  /** @param {number} id @param {boolean} [acted] whether its button was used */
  close(id, acted = false) {
    const toast = this.shown.find((one) => one.id === id);
    if (!toast) return;
    this.#set(this.shown.filter((one) => one !== toast));
    if (acted) toast.act?.();
    else toast.done?.();
  }

  /** All of them. Returns whether there was one. */
  closeAll() {
    const all = this.shown;
    for (const { id } of all) this.close(id);
    return all.length > 0;
  }

  /** @param {readonly Toast[]} shown */
  #set(shown) {
    this.shown = shown;
    this.#changed();
  }

  /** @param {number} id */
  #expire(id) {
    setTimeout(() => {
      if (!this.isHeld()) this.close(id);
      else if (this.shown.some((one) => one.id === id)) this.#expire(id);
    }, LIFE);
  }
}
