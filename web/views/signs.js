// @ts-check
// What is special about a room: muted, read-only; and how far a message is.
import { h, icon } from "../dom.js";
import { t } from "../strings.js";

/** @typedef {NonNullable<import("../app.js").ShownMessage["status"]>} MessageStatus */

const MARKS = /** @type {const} */ ({
  uploading: "clock",
  sending: "clock",
  accepted: "clock",
  queued: "check",
  delivered: "check-check",
  read: "check-check",
  refused: "circle-alert",
});

/** @param {MessageStatus} status @param {string} [whom] it goes to */
export function mark(status, whom = t.everybody) {
  const said = t.status[status](whom);
  return h("span", { class: `mark ${status}`, role: "img", "aria-label": said, title: said }, icon(MARKS[status]));
}

/** @param {string} name @param {string} label */
const sign = (name, label) => h("span", { class: "sign", role: "img", "aria-label": label, title: label }, icon(name));

/** @typedef {{ muted?: boolean, frozen?: boolean, role?: string }} Special */

/** @param {Special} room @returns {[icon: string, label: string][]} */
function specials({ muted, frozen, role }) {
  return [...(muted ? [/** @type {[string, string]} */ (["bell-off", t.muted])] : []), ...(frozen || role === "readonly" ? [/** @type {[string, string]} */ (["snowflake", t.frozen])] : [])];
}

/** @param {Special} room */
export const roomSigns = (room) => specials(room).map(([name, label]) => sign(name, label));

/** The same for ears. @param {Special} room */
export const roomWords = (room) => specials(room).map(([, label]) => label);
