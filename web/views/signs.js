// @ts-check
// What is special about a room: muted, read-only; and how far a message is.
import { h, icon, spoken } from "../dom.js";
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

/** @param {MessageStatus} status */
export const mark = (status) =>
  h("span", { class: `mark ${status}`, title: t.status[status] }, icon(MARKS[status]), spoken(t.status[status]));

/** @param {string} name @param {string} label */
const sign = (name, label) => h("span", { class: "sign", title: label }, icon(name), spoken(label));

/** @param {{ muted?: boolean, frozen?: boolean, role?: string }} room */
export function roomSigns({ muted, frozen, role }) {
  const signs = [muted && sign("bell-off", t.muted), (frozen || role === "readonly") && sign("snowflake", t.frozen)];
  return signs.filter((one) => one instanceof Node);
}
