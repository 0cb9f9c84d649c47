// @ts-check
// The chats: who is signed in, search, the list, hidden ones, and a way to new ones.
import { h, icon, iconButton, onClick, spoken, update } from "../dom.js";
import { cut, preview as shownPreview, shortTime } from "../format.js";
import { t } from "../strings.js";
import { applyTheme, theme, THEMES } from "../theme.js";
import { avatar } from "./avatar.js";
import { newChatDialog } from "./new-chat.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").RoomSummary} RoomSummary */

const PREVIEW = 80;
const SERVER_PREVIEW = 200; // code points of last_message.preview at most
const STATES = /** @type {const} */ (["online", "away"]);

/** @param {App} app */
export function sidebarView(app) {
  const state = h("span", { id: "state", role: "status" });
  const search = h("input", { id: "search", type: "search", placeholder: t.search, "aria-label": t.search });
  const rooms = h("ol", { id: "rooms", "aria-label": t.chats });
  const hidden = h("ol", { id: "hidden-rooms", "aria-label": t.archived });
  const archive = h("details", { id: "archive" }, h("summary", {}, icon("archive"), t.archived), hidden);
  const empty = h("p", { id: "no-rooms", class: "hint" });
  const skeleton = h("div", { class: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
  const root = h(
    "nav",
    { id: "sidebar", "aria-label": t.chats },
    h("h1", { class: "spoken" }, t.chats),
    head(app, state),
    h("div", { class: "search" }, icon("search"), search),
    h("div", { id: "room-lists" }, skeleton, rooms, empty, archive),
  );
  search.addEventListener("input", () => app.ui.set({ filter: search.value }));
  search.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") app.ui.set({ filter: (search.value = "") });
    if (key === "Enter") rooms.querySelector("button")?.click();
  });
  onClick(root, {
    open: ({ dataset }) => app.open(dataset.room ?? null),
    plus: () => newChatDialog(app),
    "sign-out": () => app.signOut(),
  });
  app.draws(() => {
    const found = filtered(app.rooms.value, app.ui.value.filter);
    const archived = filtered(app.hidden.value, app.ui.value.filter);
    update(rooms, found.map((room) => roomItem(app, room)));
    update(hidden, archived.map((room) => roomItem(app, room)));
    archive.hidden = !archived.length;
    const isKnown = app.client.session.value !== undefined;
    skeleton.hidden = isKnown || found.length > 0;
    empty.hidden = !isKnown || found.length > 0;
    empty.textContent = app.ui.value.filter ? t.noMatch : t.noChats;
    const { status } = app.client.connection.value;
    state.textContent = { online: t.online, connecting: t.connecting, offline: t.offline, refused: t.offline }[status];
    state.className = status;
  });
  return root;
}

/** @param {App} app @param {HTMLElement} state */
function head(app, state) {
  const other = app.user === "bob" ? "alice" : "bob";
  const themes = h("select", { "aria-label": t.theme });
  for (const one of THEMES) themes.append(h("option", { value: one, selected: one === theme() }, t.themes[one]));
  themes.addEventListener("change", () => applyTheme(THEMES[themes.selectedIndex]));
  const presences = h("select", { "aria-label": t.presence });
  for (const one of STATES) presences.append(h("option", { value: one }, t.presences[one]));
  presences.addEventListener("change", () => {
    const chosen = STATES[presences.selectedIndex];
    if (chosen) void app.guard(app.client.setPresence(chosen));
  });
  const menu = h(
    "details",
    { id: "own-menu" },
    h("summary", { "aria-label": t.you, title: t.you }, icon("ellipsis")),
    h(
      "div",
      { class: "panel" },
      h("label", {}, t.presence, presences),
      h("label", {}, t.theme, themes),
      h("a", { id: "second", href: `/?user=${other}`, target: "_blank", rel: "noopener" }, t.secondWindow(other)),
      h("button", { type: "button", "data-action": "sign-out", id: "sign-out" }, icon("log-out"), t.signOut),
    ),
  );
  closesItself(menu);
  return h(
    "header",
    {},
    avatar(app.user, app.user),
    h("div", { class: "who" }, h("strong", { id: "me" }, app.user), state),
    iconButton("plus", t.newChat, { "data-action": "plus", id: "new" }),
    menu,
  );
}

/** Escape and a click elsewhere close a <details>. @param {HTMLDetailsElement} menu */
function closesItself(menu) {
  document.addEventListener("click", ({ target }) => {
    if (target instanceof Node && !menu.contains(target)) menu.open = false;
  });
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary")?.focus();
  });
}

/** @param {readonly RoomSummary[]} rooms @param {string} filter */
function filtered(rooms, filter) {
  const wanted = filter.trim().toLocaleLowerCase();
  return wanted ? rooms.filter(({ title }) => title.toLocaleLowerCase().includes(wanted)) : rooms;
}

/** @param {App} app @param {RoomSummary} room */
function roomItem(app, room) {
  const { room_id, partner, unread, muted, frozen, last_message } = room;
  const title = room.title || "…";
  const button = h(
    "button",
    {
      type: "button",
      "data-action": "open",
      "data-room": room_id,
      "aria-current": room_id === app.ui.value.room?.room_id && "true",
    },
    avatar(partner ?? room_id, title, partner === undefined ? undefined : app.presences[partner]),
    h("span", { class: "title" }, title),
    last_message && h("time", { datetime: last_message.created_at }, shortTime(last_message.created_at)),
    preview(app, room),
    h(
      "span",
      { class: "signs" },
      muted && sign("bell-off", t.muted),
      frozen && sign("snowflake", t.frozen),
      h("span", { class: muted ? "badge quiet" : "badge", title: unread ? t.unread(unread) : null }, unread ? String(unread) : ""),
      unread > 0 && spoken(t.unread(unread).replace(/^\d+/, "")),
    ),
  );
  return h("li", { "data-key": room_id }, button);
}

/** @param {string} name @param {string} label */
const sign = (name, label) => h("span", { class: "sign", title: label }, icon(name), spoken(label));

/** @param {App} app @param {RoomSummary} room */
function preview(app, { room_id, last_message }) {
  const draft = app.client.room(room_id).draft.value;
  const isOpen = app.ui.value.room?.room_id === room_id;
  if (draft && !isOpen)
    return h("span", { class: "preview" }, h("span", { class: "accent" }, t.draft), ` ${cut(draft, PREVIEW)}`);
  if (!last_message) return h("span", { class: "preview" }, t.noMessages);
  const said = last_message.deleted ? t.deleted : cut(shownPreview(last_message.preview, SERVER_PREVIEW), PREVIEW);
  const isFile = last_message.type === "file" && !last_message.deleted;
  return h(
    "span",
    { class: "preview" },
    `${app.name(last_message.sender_id)}: `,
    isFile && icon("paperclip"),
    said,
  );
}
