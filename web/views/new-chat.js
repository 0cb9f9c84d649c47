// @ts-check
// A chat with one person, or a group.
import { h, onSubmit } from "../dom.js";
import { isUserId } from "../format.js";
import { t } from "../strings.js";
import { openDialog } from "./dialog.js";

/** @typedef {import("../app.js").App} App */

const IDS = { autocapitalize: "none", autocomplete: "off" }; // a field for user ids

/** @param {App} app */
export function newChatDialog(app) {
  const error = h("p", { class: "error", role: "alert" });
  const known = h("datalist", { id: "known" }, ...knownPeople(app).map((value) => h("option", { value, label: app.client.name(value) })));
  const [direct, group] = [directForm(), groupForm()];
  const dialog = openDialog(t.newChat, known, direct, group, error);
  /** @param {HTMLFormElement} form @param {string} field @param {string} why */
  const refuse = (form, field, why) => {
    error.textContent = why;
    const input = form.elements.namedItem(field);
    if (input instanceof HTMLInputElement) input.focus();
  };
  onSubmit(direct, ({ user = "" }) => {
    const other = user.trim();
    if (!isUserId(other)) return refuse(direct, "user", t.badName);
    if (other === app.user) return refuse(direct, "user", t.ownName);
    dialog.close();
    void app.create(app.client.name(other), async () => {
      const room = await app.client.direct(other);
      if (room.state.value.hidden) void app.guard(room.hide(false)); // who begins it anew wants it in the list
      return room;
    });
  });
  onSubmit(group, ({ name = "", members = "" }) => {
    const people = members.split(/[\s,]+/).filter(Boolean);
    if (!name.trim()) return refuse(group, "name", t.noName);
    if (!people.every(isUserId)) return refuse(group, "members", t.badName);
    dialog.close();
    void app.create(name, () => app.client.group({ name, members: people }));
  });
}

const directForm = () =>
  h(
    "form",
    { id: "new-direct", novalidate: true },
    h("h3", {}, t.newDirect),
    h("label", {}, t.person, h("input", { name: "user", maxlength: 128, list: "known", placeholder: "bob", autofocus: true, ...IDS })),
    h("div", { class: "buttons" }, h("button", { class: "primary" }, t.open)),
  );

const groupForm = () =>
  h(
    "form",
    { id: "new-group" },
    h("h3", {}, t.newGroup),
    h("label", {}, t.groupName, h("input", { name: "name", required: true, maxlength: 200 })),
    h("label", {}, t.members, h("input", { name: "members", placeholder: t.membersHint, ...IDS })),
    h("div", { class: "buttons" }, h("button", { class: "primary" }, t.create)),
  );

/** Whom this user has met. @param {App} app */
function knownPeople(app) {
  const partners = [...app.rooms.value, ...app.hidden.value].flatMap(({ partner }) => partner ?? []);
  const members = app.state?.members.map(({ user_id }) => user_id) ?? [];
  return [...new Set([...partners, ...members])].filter((user_id) => user_id !== app.user).sort();
}
