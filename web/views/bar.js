// @ts-check
// Why nothing arrives, and when that may change: below the header of the room, or of the list without one.
import { h, icon, onClick, update } from "../dom.js";
import { explain, t } from "../strings.js";

/** @typedef {import("../app.js").App} App */

const SECOND = 1000;

/** @param {App} app @param {string} id @param {() => boolean} isHere whether this is the one that is seen */
export function barView(app, id, isHere) {
  const bar = h("div", { id, class: "bar", role: "status" });
  onClick(bar, { reconnect: () => app.client.connect() });
  app.draws(() => {
    const refused = app.client.connection.value.status === "refused";
    bar.hidden = !isHere() || (!refused && !app.ui.value.offline);
    update(bar, bar.hidden ? [] : content(app));
  });
  return bar;
}

/** @param {App} app */
function content(app) {
  const connection = app.client.connection.value;
  if (connection.status === "refused")
    return [icon("wifi-off"), h("span", {}, t.refusedBar(explain(connection), connection.message)), again(t.reconnect)];
  const wait = connection.status === "offline" && connection.retryAt ? connection.retryAt - Date.now() : 0;
  if (wait > 0) setTimeout(app.changed, (wait % SECOND) + 1);
  const next = wait > 0 ? t.retryIn(Math.ceil(wait / SECOND)) : t.connecting;
  // Screen readers hear the first sentence; nobody wants to hear the seconds.
  const sentences = h("span", {}, `${t.offlineBar(app.trouble)} `, h("span", { "aria-hidden": "true" }, next));
  return [icon("wifi-off"), sentences, again(t.retryNow)];
}

/** @param {string} label */
const again = (label) => h("button", { type: "button", "data-action": "reconnect" }, label);
