// @ts-check
// What is special about a room: muted, read-only.
import { h, icon, spoken } from "../dom.js";
import { t } from "../strings.js";

/** @param {string} name @param {string} label */
const sign = (name, label) => h("span", { class: "sign", title: label }, icon(name), spoken(label));

/** @param {{ muted?: boolean, frozen?: boolean, role?: string }} room */
export function roomSigns({ muted, frozen, role }) {
  const signs = [muted && sign("bell-off", t.muted), (frozen || role === "readonly") && sign("snowflake", t.frozen)];
  return signs.filter((one) => one instanceof Node);
}
