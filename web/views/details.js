// @ts-check
// The details of the open room: name, members and their roles, and what one can do with the room.
import { h, icon, iconButton, onClick, update } from "../dom.js";
import { t } from "../strings.js";
import { avatar, presenceLine } from "./avatar.js";
import { expelDialog } from "./expel.js";
import { addForm, renameForm } from "./group-forms.js";
import { leaveDialog } from "./leave.js";
import { roomFiles } from "./room-files.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").Room} Room */
/** @typedef {import("../app.js").RoomState} RoomState */
/** @typedef {RoomState["members"][number]} Member */

const ROLES = /** @type {const} */ (["owner", "admin", "member", "readonly"]);

/** Whether this user may change the room, its members and anybody's messages.
 * @param {RoomState} state */
const leads = ({ role }) => role === "owner" || role === "admin";

/** @param {App} app */
export function detailsView(app) {
  const room = () => /** @type {Room} */ (app.ui.value.room);
  const [rename, add] = [renameForm(app, room), addForm(app, room)];
  const people = h("ol", { id: "people", "aria-label": t.members });
  const files = h("div", { id: "room-files" });
  const commands = h("div", { class: "commands" });
  const root = h(
    "section",
    { id: "details", "aria-label": t.details },
    h("header", {}, h("h2", {}, t.details), iconButton("x", t.close, { "data-action": "close" })),
    rename.form,
    h("h3", {}, t.members),
    people,
    add.form,
    h("h3", {}, t.files),
    files,
    commands,
  );
  listen(app, root, room);
  app.draws(() => {
    const now = app.state;
    root.hidden = !now?.room || !app.ui.value.details;
    if (!now?.room || root.hidden) return void rename.close();
    const group = now.room.type === "group";
    rename.form.hidden = add.form.hidden = !group || !leads(now);
    rename.show(now);
    add.show(now);
    update(people, now.members.map((member) => personItem(app, now, member, group)));
    update(files, roomFiles(app, now));
    update(commands, commandButtons(now, group, app.waits));
  });
  return root;
}

/** @param {App} app @param {HTMLElement} root @param {() => Room} room */
function listen(app, root, room) {
  onClick(root, {
    close: () => {
      app.showDetails(false);
      document.getElementById("details-button")?.focus();
    },
    mute: () => void app.guard(room().mute(!room().state.value.muted)),
    hide: () => hideRoom(app, room()),
    freeze: () => void app.order(room().update({ frozen: !room().state.value.frozen })),
    leave: () => leaveDialog(app, room()),
    "more-files": () => void app.guard(room().older()),
    "show-file": ({ dataset }) => {
      if (matchMedia("(max-width: 1080px)").matches) app.showDetails(false); // they cover the chat
      app.jump(dataset.message ?? "");
    },
    expel: ({ dataset }) => expelDialog(app, room(), dataset.user ?? ""),
  });
  root.addEventListener("change", ({ target }) => {
    if (!(target instanceof HTMLSelectElement)) return;
    const role = ROLES.find((one) => one === target.value);
    const user_id = target.dataset.user ?? "";
    const before = room().state.value.members.find((member) => member.user_id === user_id)?.role;
    if (!role) return;
    void app.order(room().members.setRole(user_id, role)).then((done) => {
      if (!done && before) target.value = before;
    });
  });
}

/** @param {App} app @param {Room} room */
function hideRoom(app, room) {
  const hide = !room.state.value.hidden;
  void app.guard(room.hide(hide));
  if (!hide) return;
  app.close(room);
  const undo = () => {
    app.open(room.room_id);
    void app.guard(room.hide(false));
  };
  app.toasts.show(t.hidden(room.state.value.title), { action: t.undo, act: undo });
}

/** @param {App} app @param {RoomState} state @param {Member} member @param {boolean} group */
function personItem(app, state, { user_id, role }, group) {
  const name = app.name(user_id);
  const presence = app.presences[user_id];
  const changeable = group && leads(state) && user_id !== app.user && (state.role === "owner" || role !== "owner");
  const select = h("select", { class: "role", "data-user": user_id, "aria-label": t.roleOf(name) });
  for (const one of ROLES)
    if (one !== "owner" || state.role === "owner" || role === "owner") select.append(h("option", { value: one, selected: one === role }, t.roles[one]));
  return h(
    "li",
    { "data-key": user_id },
    avatar(user_id, app.client.name(user_id), presence),
    h("div", { class: "who" }, h("span", {}, name), presence && h("small", {}, presenceLine(presence))),
    group && (changeable ? select : h("span", { class: "role" }, t.roles[role])),
    changeable && iconButton("x", t.expel(name), { "data-action": "expel", "data-user": user_id, class: "icon-button expel" }),
  );
}

/** @param {RoomState} state @param {boolean} group @param {boolean} waits for a connection */
function commandButtons(state, group, waits) {
  const { muted, hidden, frozen, pending = [] } = state;
  /** @param {"mute" | "hide"} kind */
  const waiting = (kind) => waits && pending.includes(kind) && h("small", {}, t.waiting);
  /** @param {string} id @param {string} sign @param {string} label @param {string | false} [kind]
   * @param {...(Node | false)} more */
  const command = (id, sign, label, kind, ...more) =>
    h("button", { type: "button", id, class: kind, "data-key": id, "data-action": id }, icon(sign), label, ...more);
  return [
    command("mute", "bell-off", muted ? t.unmute : t.mute, false, waiting("mute")),
    command("hide", "archive", hidden ? t.unhide : t.hide, false, waiting("hide")),
    ...(group && leads(state) ? [command("freeze", "snowflake", frozen ? t.unfreeze : t.freeze)] : []),
    ...(group ? [command("leave", "log-out", t.leave, "bad")] : []),
  ];
}
