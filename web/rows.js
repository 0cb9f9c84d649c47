// @ts-check
// Messages → rows: days, the divider, and what belongs together.

/** @typedef {import("./vendor/rts-chat.min.js").ShownMessage} ShownMessage */

/**
 * @typedef {object} Row
 * @property {string} key
 * @property {ShownMessage} message
 * @property {boolean} day the first of its day
 * @property {boolean} divider what is new begins here
 * @property {boolean} head the first of a group of one sender
 * @property {boolean} tail the last of it
 */

const TOGETHER = 5 * 60_000; // ms between two messages of a group

/** Of 10,000 messages few are new: when was each? @type {WeakMap<ShownMessage, { time: number, day: string }>} */
const moments = new WeakMap();

/** @param {ShownMessage} message */
function momentOf(message) {
  const known = moments.get(message);
  if (known) return known;
  const date = new Date(message.created_at);
  const moment = { time: date.getTime(), day: date.toDateString() };
  moments.set(message, moment);
  return moment;
}

/** @param {ShownMessage} one @param {ShownMessage} other */
const sameDay = (one, other) => momentOf(one).day === momentOf(other).day;

/** @param {ShownMessage} one @param {ShownMessage} other */
const together = (one, other) =>
  one.sender_id === other.sender_id &&
  one.type !== "system" &&
  other.type !== "system" &&
  momentOf(other).time - momentOf(one).time < TOGETHER;

/** Where what is new begins: the first message behind `seen` that is of somebody else, or -1.
 * @param {readonly ShownMessage[]} messages @param {number | null} seen a seq */
function dividerOf(messages, seen) {
  let found = -1;
  if (seen === null) return found;
  for (let index = messages.length - 1; index >= 0; index -= 1) {
    const message = messages[index];
    if (message?.seq !== undefined && message.seq <= seen) break;
    if (message?.seq !== undefined && !message.own && message.type !== "system") found = index;
  }
  return found;
}

export class Rows {
  /** @type {readonly ShownMessage[]} */
  #messages = [];
  #divider = -1;
  /** @type {readonly Row[]} */
  #rows = [];

  /** A row stays the same object until it, or what stands beside it, changes.
   * @param {readonly ShownMessage[]} messages @param {number | null} seen the seq behind which all is new */
  of(messages, seen) {
    const divider = dividerOf(messages, seen);
    if (messages === this.#messages && divider === this.#divider) return this.#rows;
    const shift = messages.length - this.#messages.length;
    const rows = messages.map((message, index) => {
      const is = /** @param {number} from */ (from) => this.#isSame(from, messages, index, divider);
      const old = is(index) ? this.#rows[index] : is(index - shift) ? this.#rows[index - shift] : undefined;
      return old ?? rowOf(message, messages[index - 1], messages[index + 1], index - divider);
    });
    this.#messages = messages;
    this.#divider = divider;
    return (this.#rows = rows);
  }

  /** Whether the old row at `from` is that of the message at `index`.
   * @param {number} from @param {readonly ShownMessage[]} messages @param {number} index @param {number} divider */
  #isSame(from, messages, index, divider) {
    const before = this.#messages;
    if (before[from] !== messages[index] || before[from - 1] !== messages[index - 1]) return false;
    if (before[from + 1] !== messages[index + 1]) return false;
    // The divider makes its own row a head, and the one above it a tail.
    const [was, now] = [from - this.#divider, index - divider];
    return was === now || (was !== 0 && was !== -1 && now !== 0 && now !== -1);
  }
}

/** @param {ShownMessage} message @param {ShownMessage | undefined} before @param {ShownMessage | undefined} after
 * @param {number} behind how many rows behind the divider it stands @returns {Row} */
function rowOf(message, before, after, behind) {
  const day = !before || !sameDay(before, message);
  const divider = behind === 0;
  const head = day || divider || !together(before, message);
  const tail = !after || behind === -1 || !sameDay(message, after) || !together(message, after);
  return { key: message.key, message, day, divider, head, tail };
}
