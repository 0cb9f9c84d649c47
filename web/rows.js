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

/** @param {readonly ShownMessage[]} messages @param {number | null} seen the seq behind which all is new
 * @returns {Row[]} */
export function rowsOf(messages, seen) {
  let isNew = false;
  const rows = messages.map((message, index) => {
    const before = messages[index - 1];
    const day = !before || !sameDay(before, message);
    const divider = !isNew && seen !== null && !message.own && message.type !== "system" && (message.seq ?? 0) > seen;
    isNew ||= divider;
    return { key: message.key, message, day, divider, head: day || divider || !together(before, message), tail: true };
  });
  rows.forEach((row, index) => (row.tail = rows[index + 1]?.head ?? true));
  return rows;
}
