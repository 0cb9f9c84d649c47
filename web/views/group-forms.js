// @ts-check
// What leads a group: its name, and who comes into it.
import { h, onSubmit } from "../dom.js";
import { fieldError } from "../field-error.js";
import { isUserId } from "../format.js";
import { t } from "../strings.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").Room} Room */
/** @typedef {import("../app.js").RoomState} RoomState */

const LONGEST = 200; // code points of a name

/** Why a group cannot have this name. @param {string} name */
export function wrongName(name) {
  const { length } = Array.from(name); // code points, as the server counts
  return length > LONGEST ? t.longName(LONGEST, length) : name ? "" : t.noName;
}

/** @param {App} app @param {() => Room} room */
export function renameForm(app, room) {
  const field = h("input", { name: "name", "aria-label": t.groupName });
  const error = fieldError(field, "rename-error");
  const form = h("form", { id: "rename", novalidate: true }, field, h("button", {}, t.rename), error.place);
  onSubmit(form, ({ name = "" }) => {
    const why = wrongName(name.trim());
    if (why) error.refuse(why);
    else void renameRoom(app, room(), name.trim());
  });
  let shown = "";
  return {
    form,
    /** What one types is not taken away, unless the room has another name by now. @param {RoomState} state */
    show({ room_id, title }) {
      const label = `${room_id} ${title}`;
      if (shown === label) return;
      shown = label;
      field.value = title;
      error.clear();
    },
    close: () => void (shown = ""),
  };
}

/** @param {App} app @param {Room} room @param {string} name */
async function renameRoom(app, room, name) {
  if (name === room.state.value.title) return;
  if (await app.order(room.update({ name }))) app.toast(t.renamed);
}

/** @param {App} app @param {() => Room} room */
export function addForm(app, room) {
  const field = h("input", { name: "user", placeholder: t.addMember, "aria-label": t.addMember, autocapitalize: "none", autocomplete: "off" });
  const error = fieldError(field, "add-member-error");
  const form = h("form", { id: "add-member", novalidate: true }, field, h("button", {}, t.add), error.place);
  onSubmit(form, ({ user = "" }) => {
    const why = notAdded(app, room(), user.trim());
    if (why) error.refuse(why);
    else void addMember(app, room(), user.trim(), field);
  });
  let shown = "";
  return {
    form,
    /** @param {RoomState} state */
    show({ room_id }) {
      if (shown !== room_id) error.clear();
      shown = room_id;
    },
  };
}

/** Why a user cannot be added, if that is known here. @param {App} app @param {Room} room @param {string} user_id */
function notAdded(app, room, user_id) {
  if (!user_id) return t.noPerson;
  if (!isUserId(user_id)) return t.badName;
  if (user_id === app.user) return t.youAreMember;
  const is = room.state.value.members.some((member) => member.user_id === user_id);
  return is && t.alreadyMember(app.client.name(user_id));
}

/** @param {App} app @param {Room} room @param {string} user_id @param {HTMLInputElement} field */
async function addMember(app, room, user_id, field) {
  if (!(await app.order(room.members.add([user_id])))) return;
  field.value = "";
  app.toast(t.added(app.client.name(user_id)));
}
