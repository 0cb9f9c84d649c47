// @ts-check
// A chat with one person, or a group.
import { h, onSubmit } from "../dom.js";
import { isUserId } from "../format.js";
import { t } from "../strings.js";
import { openDialog } from "./dialog.js";

/** @typedef {import("../app.js").App} App */

/** @param {App} app */
export function newChatDialog(app) {
  const name = { autocapitalize: "none", autocomplete: "off" };
  const error = h("p", { class: "error", role: "alert" });
  const direct = h(
    "form",
    { id: "new-direct", novalidate: true },
    h("label", {}, t.person, h("input", { name: "user", maxlength: 128, placeholder: "bob", autofocus: true, ...name })),
    h("button", {}, t.open),
  );
  const group = h(
    "form",
    { id: "new-group" },
    h("label", {}, t.newGroup, h("input", { name: "name", required: true, maxlength: 200, placeholder: t.groupName })),
    h("label", {}, t.members, h("input", { name: "members", placeholder: t.membersHint, ...name })),
    h("button", {}, t.create),
  );
  const dialog = openDialog(t.newChat, direct, group, error);
  onSubmit(direct, ({ user = "" }) => {
    const other = user.trim();
    if (!isUserId(other)) return void (error.textContent = t.badName);
    dialog.close();
    void app.create(other, () => app.client.direct(other));
  });
  onSubmit(group, ({ name = "", members = "" }) => {
    const people = members.split(/[\s,]+/).filter(Boolean);
    if (!people.every(isUserId)) return void (error.textContent = t.badName);
    dialog.close();
    void app.create(name, () => app.client.group({ name, members: people }));
  });
}
