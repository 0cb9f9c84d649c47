// @ts-check
// Initials on a colour of the id, and how somebody is.
import { h } from "../dom.js";
import { hue, initials, shortTime } from "../format.js";
import { t } from "../strings.js";

/** @typedef {import("../vendor/rts-chat.min.js").Presence} Presence */

/** @param {string} id @param {string} name @param {Presence} [presence] */
export function avatar(id, name, presence) {
  const line = presence ? presenceLine(presence) : "";
  return h(
    "span",
    { class: `avatar hue-${hue(id)}`, role: "img", "aria-label": t.avatar(name || id, line) },
    initials(name),
    presence && h("span", { class: `dot ${presence.state}`, title: line }),
  );
}

/** @param {Presence} presence */
export function presenceLine({ state, status_text, last_active_at }) {
  const seen =
    state === "offline" && last_active_at ? t.lastHere(shortTime(last_active_at)) : t.presences[state];
  return status_text ? `${seen} · ${status_text}` : seen;
}
