// @ts-check
// The chats: who is signed in, search, the list, hidden ones, and a way to new ones.
import { h, icon, iconButton, onClick, silent, spoken, update } from "../dom.js";
import { cut, preview as shownPreview, shortTime, spokenTime } from "../format.js";
import { focus, focusList } from "../keyboard.js";
import { t } from "../strings.js";
import { avatar, presenceLine } from "./avatar.js";
import { barView } from "./bar.js";
import { newChatDialog } from "./new-chat.js";
import { ownMenu } from "./own-menu.js";
import { signOut } from "./sign-out.js";
import { mark, roomSigns, roomWords } from "./signs.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").RoomSummary} RoomSummary */

const PREVIEW = 80;
const SERVER_PREVIEW = 200; // code points of last_message.preview at most

/** @param {App} app */
export function sidebarView(app) {
  const [state, search] = [h("span", { id: "state", role: "status" }), searchField()];
  const rooms = h("ol", { id: "rooms", "aria-label": t.chats });
  const hidden = h("ol", { id: "hidden-rooms", "aria-label": t.archived });
  const { archive, archived } = archiveOf(hidden);
  const empty = h("p", { id: "no-rooms", class: "hint" });
  const first = h("button", { type: "button", class: "primary", id: "first-chat", "data-action": "plus" }, icon("plus"), t.newChat);
  const skeleton = h("div", { class: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
  const root = h(
    "nav",
    { id: "sidebar", "aria-label": t.chats },
    head(app, state),
    barView(app, "list-bar", () => app.isList),
    h("div", { class: "search" }, icon("search"), search),
    h("div", { id: "room-lists" }, skeleton, rooms, empty, first, archive),
  );
  /** @param {string} filter */
  const find = (filter) => {
    if (!app.ui.value.filter) wasOpen = archive.open;
    archive.open = filter !== "" || wasOpen; // what is hidden is found too
    app.ui.set({ filter });
  };
  let wasOpen = false;
  const clear = () => find((search.value = ""));
  search.addEventListener("input", () => find(search.value.trim()));
  root.addEventListener("keydown", (event) => step(app, event, search, clear));
  onClick(root, {
    open: ({ dataset }) => {
      clear();
      app.open(dataset.room ?? null);
      if (matchMedia("(hover: hover)").matches) focus("#compose textarea"); // also of the one that is open
    },
    opening: ({ dataset }) => app.showOpening([...app.openings][Number(dataset.index)]),
    plus: () => newChatDialog(app),
    "sign-out": () => signOut(app),
  });
  app.draws(() => renderRooms(app, { rooms, hidden, archive, archived, empty, first, skeleton }));
  app.draws(() => renderState(app, state));
  return root;
}

const searchField = () => h("input", { id: "search", type: "search", placeholder: t.search, "aria-label": t.search });

/** @param {HTMLElement} hidden the list in it */
function archiveOf(hidden) {
  const archived = h("span");
  const archive = h("details", { id: "archive" }, h("summary", {}, icon("archive"), archived), hidden);
  return { archive, archived };
}

/** @param {App} app @param {Record<"rooms" | "hidden" | "archive" | "archived" | "empty" | "first" | "skeleton", HTMLElement>} parts */
function renderRooms(app, { rooms, hidden, archive, archived: label, empty, first, skeleton }) {
  const { filter } = app.ui.value;
  const found = filtered(app.rooms.value, filter);
  const archived = filtered(app.hidden.value, filter);
  const hadFocus = rooms.contains(document.activeElement) || hidden.contains(document.activeElement);
  const begun = app.waits ? [...app.openings].map((opening, index) => openingItem(app, opening, index)) : [];
  update(rooms, [...begun, ...found.map((room) => roomItem(app, room))]);
  update(hidden, archived.map((room) => roomItem(app, room)));
  archive.hidden = !archived.length;
  label.textContent = t.archivedCount(archived.length);
  const isKnown = app.client.session.value !== undefined;
  const isFound = begun.length + found.length > 0 || (filter !== "" && archived.length > 0);
  const isRefused = app.client.connection.value.status === "refused"; // nothing is on its way
  skeleton.hidden = isKnown || isRefused || found.length > 0;
  empty.hidden = !isKnown || isFound;
  first.hidden = empty.hidden || filter !== "";
  empty.textContent = filter ? t.noMatch : archived.length ? t.allHidden : t.noChats;
  if (hadFocus) focusList(); // unless it is there still: its row may have left the list
}

/** ↓ and ↑ go from the search to the chats and between them, Enter opens the first one.
 * @param {App} app @param {KeyboardEvent} event @param {HTMLInputElement} search @param {() => void} clear */
function step(app, event, search, clear) {
  const { key, target } = event;
  if (target === search && (key === "Enter" || key === "ArrowDown")) app.draw(); // what the last letter left
  /** @type {NodeListOf<HTMLElement>} */
  const chats = document.querySelectorAll("#room-lists button");
  const stops = [search, ...chats].filter((one) => one.checkVisibility());
  const now = stops.findIndex((one) => one === target);
  if (event.altKey || now < 0) return;
  if (key === "Escape" && search.value) clear();
  else if (key === "Enter" && target === search) stops[1]?.click();
  else if (key === "ArrowDown") stops[now + 1]?.focus();
  else if (key === "ArrowUp") stops[Math.max(0, now - 1)]?.focus();
  else return;
  event.preventDefault();
}

/** How the connection is, or once it is there, how others see this user.
 * @param {App} app @param {HTMLElement} state */
function renderState(app, state) {
  const { status } = app.client.connection.value;
  const own = app.ownPresence;
  const shown = own && own.state !== "offline" ? presenceLine(own) : t.online;
  state.textContent = { online: shown, connecting: t.connecting, offline: t.offline, refused: t.offline }[status];
  state.className = status === "online" ? (own?.state ?? status) : status;
}

/** @param {App} app @param {HTMLElement} state */
function head(app, state) {
  const face = h("span", { class: "face" });
  const me = h("strong", { id: "me" });
  app.draws(() => {
    me.textContent = app.client.name(app.user);
    update(face, [avatar(app.user, me.textContent, app.ownPresence)]);
  });
  return h(
    "header",
    {},
    face,
    h("div", { class: "who" }, me, state),
    iconButton("plus", t.newChat, { "data-action": "plus", id: "new" }),
    ownMenu(app),
  );
}

/** @param {readonly RoomSummary[]} rooms @param {string} filter */
function filtered(rooms, filter) {
  const wanted = filter.toLocaleLowerCase();
  return wanted ? rooms.filter(({ title }) => title.toLocaleLowerCase().includes(wanted)) : rooms;
}

/** Its parts are for eyes; ears get one sentence. @param {App} app @param {RoomSummary} room */
function roomItem(app, room) {
  const { room_id, partner, unread, muted, last_message } = room;
  const title = room.title || "…";
  const presence = partner === undefined ? undefined : app.presences[partner];
  const { said, node } = preview(app, room);
  const sentence = [title, presence && presenceLine(presence), unread > 0 && t.unread(unread), said, ...roomWords(room)];
  const isOpen = room_id === app.ui.value.room?.room_id;
  const button = h(
    "button",
    { type: "button", "data-action": "open", "data-room": room_id, "aria-current": isOpen && "true" },
    spoken(sentence.filter(Boolean).join(", ")),
    silent(avatar(partner ?? room_id, title, presence)),
    silent(
      h(
        "span",
        { class: "entry" },
        h("span", { class: "title" }, title),
        last_message && h("time", { datetime: last_message.created_at }, shortTime(last_message.created_at)),
      ),
    ),
    silent(
      h(
        "span",
        { class: unread ? "entry new" : "entry" },
        node,
        ...roomSigns(room),
        h("span", { class: muted ? "badge quiet" : "badge", title: unread ? t.unread(unread) : null }, unread ? String(unread) : ""),
      ),
    ),
  );
  return h("li", { "data-key": room_id }, button);
}

/** A chat that waits for a connection to begin. @param {App} app @param {import("../opening.js").Opening} opening
 * @param {number} index */
function openingItem(app, opening, index) {
  const { title, draft, texts } = opening;
  const said = cut(draft || (texts.at(-1) ?? ""), PREVIEW);
  const isOpen = opening === app.ui.value.opening;
  const line = draft ? h("span", { class: "accent" }, `${t.draft} `) : texts.length > 0 && mark("sending");
  const button = h(
    "button",
    { type: "button", "data-action": "opening", "data-index": index, "aria-current": isOpen && "true" },
    silent(avatar(title, title)),
    h("span", { class: "entry" }, h("span", { class: "title" }, title)),
    h("span", { class: "entry" }, h("span", { class: "preview" }, line, said || t.waiting)),
  );
  return h("li", { "data-key": `opening ${index}` }, button);
}

/** What stands below the title, and the same in words.
 * @param {App} app @param {RoomSummary} room @returns {{ said: string, node: HTMLElement }} */
function preview(app, { room_id, partner, last_message }) {
  /** @param {string} said @param {...(Node | string | false)} children */
  const shown = (said, ...children) => ({ said, node: h("span", { class: "preview" }, ...children) });
  const draft = cut(app.client.room(room_id).draft.value, PREVIEW);
  if (draft && app.ui.value.room?.room_id !== room_id) return shown(t.draftRow(draft), h("span", { class: "accent" }, t.draft), ` ${draft}`);
  const unsent = app.unsent(room_id);
  if (unsent?.status) {
    const text = cut(unsent.text || (unsent.files?.[0]?.name ?? ""), PREVIEW);
    return shown(t.unsentRow(text, t.status[unsent.status]("")), mark(unsent.status), ` ${text}`);
  }
  if (!last_message) return shown(t.noMessages, t.noMessages);
  const { who, text, isFile, spoken: said } = lastSaid(app, last_message);
  const isTitled = last_message.sender_id === partner; // the line above says who
  return shown(said, !isTitled && `${who}: `, isFile && icon("paperclip"), text);
}

/** @param {App} app @param {NonNullable<RoomSummary["last_message"]>} last_message */
function lastSaid(app, last_message) {
  const isDeleted = last_message.deleted || app.deletions.has(last_message);
  const text = isDeleted ? t.deleted : cut(shownPreview(last_message.preview, SERVER_PREVIEW), PREVIEW);
  const isFile = last_message.type === "file" && !isDeleted;
  const who = app.name(last_message.sender_id);
  return { who, text, isFile, spoken: t.lastMessage(who, isFile ? `${t.file}, ${text}` : text, spokenTime(last_message.created_at)) };
}
