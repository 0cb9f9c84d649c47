// @ts-check
// The page of a signed-in user: the panes, and what belongs to none of them.
import { h } from "../dom.js";
import { keyboard } from "../keyboard.js";
import { t } from "../strings.js";
import { detailsView } from "./details.js";
import { notSentDialog } from "./not-sent.js";
import { roomView } from "./room.js";
import { sidebarView } from "./sidebar.js";
import { toastsView } from "./toasts.js";

/** @typedef {import("../app.js").App} App */

/** @param {App} app */
export function chatView(app) {
  const root = h("main", { id: "chat" });
  // Beside the panes: on a telephone each of them may be hidden.
  root.append(h("h1", { class: "spoken" }, t.chats), sidebarView(app), roomView(app), detailsView(app), toastsView(app));
  app.draws(() => {
    const { room, opening, details } = app.ui.value;
    root.dataset.pane = room || opening !== null ? (details && app.state?.room ? "details" : "room") : "rooms";
    badge(app.client.unread.value.total, app.user);
  });
  document.addEventListener("not-sent", () => notSentDialog(app));
  keyboard(app);
  return root;
}

/** The count of unread messages in the title and in the icon of the tab.
 * @param {number} unread @param {string} user */
function badge(unread, user) {
  document.title = `${unread ? `(${unread}) ` : ""}${user} · ${t.product}`;
  const dot = unread ? '<circle cx="24" cy="8" r="8" fill="#d92d20"/>' : "";
  const bubble = '<path d="M4 6h24v18H14l-6 6v-6H4z" fill="#4f46e5"/>';
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${bubble}${dot}</svg>`;
  document.getElementById("favicon")?.setAttribute("href", `data:image/svg+xml,${encodeURIComponent(svg)}`);
}
