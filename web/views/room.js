// @ts-check
// The open room: header, bar about the connection, messages, who types, composer.
import { h, icon, iconButton, onClick, update } from "../dom.js";
import { t } from "../strings.js";
import { avatar, presenceLine } from "./avatar.js";
import { barView } from "./bar.js";
import { composerView } from "./composer.js";
import { messagesView } from "./messages.js";
import { newChatDialog } from "./new-chat.js";
import { roomSigns } from "./signs.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").RoomState} RoomState */

const NAMED = 6;

/** @param {App} app */
export function roomView(app) {
  const face = h("span", { class: "face" });
  const title = h("h2", { id: "title" });
  const members = h("span", { id: "members" });
  const signs = h("span", { class: "signs" });
  const typing = h("p", { id: "typing", role: "status" });
  const messages = messagesView(app);
  const composer = composerView(app, () => messages.toEnd());
  const back = iconButton("arrow-left", t.back, { "data-action": "back", id: "back" });
  const button = iconButton("panel-right", t.details, { "data-action": "details", id: "details-button" });
  const header = h("header", {}, back, face, h("div", { class: "who" }, title, members), signs, button);
  const pane = h("section", { id: "room" }, header, barView(app, "bar", () => !app.isList), messages.node, typing, composer);
  const nothing = nothingOpen();
  const root = h("div", { id: "pane" }, pane, nothing);
  onClick(root, {
    back: () => app.open(null),
    plus: () => newChatDialog(app),
    details: () => app.showDetails(!app.ui.value.details),
  });
  app.draws(() => {
    const { room, opening, details } = app.ui.value;
    const { state } = app;
    pane.hidden = !room && opening === null;
    nothing.hidden = !pane.hidden;
    const name = opening?.title ?? state?.title ?? "";
    title.textContent = name || "…";
    members.textContent = opening === null ? about(app, state) : t.opening;
    renderFace(app, face, name);
    update(signs, state ? roomSigns(state) : []);
    typing.textContent = state ? t.typing(state.typing.map((id) => app.client.name(id))) : "";
    button.setAttribute("aria-expanded", String(details));
    button.setAttribute("aria-label", t.detailsOf(name || "…"));
    button.hidden = !room;
  });
  return root;
}

/** What stands there while no room is open. */
const nothingOpen = () =>
  h(
    "div",
    { id: "nothing" },
    icon("message-circle"),
    h("p", {}, t.choose),
    h("button", { type: "button", class: "primary", "data-action": "plus" }, icon("plus"), t.newChat),
  );

/** @param {App} app @param {HTMLElement} face @param {string} name */
function renderFace({ ui, state, presences }, face, name) {
  const partner = state?.partner;
  update(face, [avatar(partner ?? ui.value.room?.room_id ?? name, name, presences[partner ?? ""])]);
}

/** @param {App} app @param {RoomState | null} state */
function about(app, state) {
  if (!state?.room) return t.loading;
  if (state.room.type === "direct") {
    const presence = app.presences[state.partner ?? ""];
    return presence ? presenceLine(presence) : "";
  }
  const names = state.members.slice(0, NAMED).map(({ user_id }) => app.name(user_id));
  const more = state.members.length - names.length;
  return names.join(", ") + (more > 0 ? ` +${more}` : "");
}
