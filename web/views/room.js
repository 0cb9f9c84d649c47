// @ts-check
// The open room: header, bar about the connection, messages, who types, composer.
import { h, icon, iconButton, onClick, update } from "../dom.js";
import { explain, t } from "../strings.js";
import { avatar, presenceLine } from "./avatar.js";
import { composerView } from "./composer.js";
import { messagesView } from "./messages.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").RoomState} RoomState */

const NAMED = 6;

/** @param {App} app */
export function roomView(app) {
  const face = h("span", { class: "face" });
  const title = h("h2", { id: "title" });
  const members = h("span", { id: "members" });
  const bar = h("div", { id: "bar", role: "status" });
  const typing = h("p", { id: "typing", role: "status" });
  const messages = messagesView(app);
  const composer = composerView(app, () => messages.toEnd());
  const pane = h(
    "section",
    { id: "room" },
    h(
      "header",
      {},
      iconButton("arrow-left", t.back, { "data-action": "back", id: "back" }),
      face,
      h("div", { class: "who" }, title, members),
      iconButton("panel-right", t.details, { "data-action": "details", id: "details-button" }),
    ),
    bar,
    messages.node,
    typing,
    composer,
  );
  const nothing = h("p", { id: "nothing" }, t.choose);
  const root = h("main", {}, pane, nothing);
  onClick(root, {
    back: () => app.open(null),
    details: () => app.ui.set({ details: !app.ui.value.details }),
    reconnect: () => app.client.connect(),
  });
  app.draws(() => {
    const { room, opening, details } = app.ui.value;
    const { state } = app;
    pane.hidden = !room && opening === null;
    nothing.hidden = !pane.hidden;
    renderBar(app, bar);
    const name = opening ?? state?.title ?? "";
    title.textContent = name || "…";
    members.textContent = opening === null ? about(app, state) : t.opening;
    const partner = partnerOf(app, state);
    update(face, [avatar(partner ?? room?.room_id ?? name, name, partner === undefined ? undefined : app.presences[partner])]);
    typing.textContent = t.typing((state?.typing ?? []).map((id) => app.client.name(id)));
    const button = document.getElementById("details-button");
    button?.setAttribute("aria-expanded", String(details));
    if (button) button.hidden = !room;
  });
  return root;
}

/** @param {App} app @param {HTMLElement} bar */
function renderBar(app, bar) {
  const connection = app.client.connection.value;
  const refused = connection.status === "refused";
  bar.hidden = !refused && !app.ui.value.offline;
  if (bar.hidden) return update(bar, []);
  const why = refused ? t.refusedBar(explain({ code: connection.code, message: connection.code })) : t.offlineBar;
  const again = h("button", { type: "button", "data-action": "reconnect" }, t.reconnect);
  update(bar, refused ? [icon("wifi-off"), h("span", {}, why), again] : [icon("wifi-off"), h("span", {}, why)]);
}

/** @param {App} app @param {RoomState | null} state */
function partnerOf(app, state) {
  if (state?.room?.type !== "direct") return undefined;
  return state.members.map(({ user_id }) => user_id).find((id) => id !== app.user);
}

/** @param {App} app @param {RoomState | null} state */
function about(app, state) {
  if (!state?.room) return t.loading;
  if (state.room.type === "direct") {
    const presence = app.presences[partnerOf(app, state) ?? ""];
    return presence ? presenceLine(presence) : "";
  }
  const names = state.members.slice(0, NAMED).map(({ user_id }) => app.name(user_id));
  const more = state.members.length - names.length;
  return names.join(", ") + (more > 0 ? ` +${more}` : "");
}
