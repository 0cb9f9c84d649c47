// @ts-check
// Keys that work anywhere: Ctrl/⌘+K search, / the composer, Alt+↑/↓ another room, Escape leaves.

/** @typedef {import("./app.js").App} App */

/** @param {App} app */
export function keyboard(app) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const { target, key } = event;
    const types = target instanceof HTMLElement && target.matches("input, textarea, select");
    if (key.toLowerCase() === "k" && (event.metaKey || event.ctrlKey)) {
      event.preventDefault();
      if (matchMedia("(max-width: 700px)").matches) app.open(null);
      focus("#search");
    } else if (key === "/" && !types) {
      event.preventDefault();
      focus("#compose textarea");
    } else if (event.altKey && (key === "ArrowUp" || key === "ArrowDown")) {
      event.preventDefault();
      step(app, key === "ArrowUp" ? -1 : 1);
    } else if (key === "Escape") leave(app, event);
  });
}

/** One thing at a time: what is composed, what floats, then the details; a toast first that has the focus.
 * @param {App} app @param {KeyboardEvent} event */
function leave(app, event) {
  const { room, details } = app.ui.value;
  if (event.defaultPrevented || event.isComposing) return;
  const composed = room && app.drafts.composing(room.room_id) && !document.activeElement?.closest("#toasts");
  if (composed) app.compose(room, undefined);
  else if (!app.toasts.closeAll() && details) {
    app.showDetails(false);
    focus("#details-button");
  }
}

/** @param {string} selector */
export function focus(selector) {
  const node = document.querySelector(selector);
  if (node instanceof HTMLElement) node.focus();
  if (node instanceof HTMLInputElement) node.select();
}

/** If the focus was in what is shown no more, bring it to the list: to a chat in it, or to the first one.
 * @param {string} [room_id] */
export function focusList(room_id = "") {
  const { activeElement } = document;
  if (activeElement !== document.body && activeElement?.checkVisibility()) return;
  const places = [`#rooms [data-room="${room_id}"]`, "#rooms button", "#new"];
  const place = places.map((one) => document.querySelector(one)).find((one) => one?.checkVisibility());
  if (place instanceof HTMLElement) place.focus();
}

/** @param {App} app @param {number} by */
function step(app, by) {
  const rooms = app.rooms.value;
  const now = rooms.findIndex(({ room_id }) => room_id === app.ui.value.room?.room_id);
  const next = rooms[now < 0 ? 0 : now + by];
  if (next) app.open(next.room_id);
}
