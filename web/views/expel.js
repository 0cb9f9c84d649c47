// @ts-check
// Removing a member, who may not be able to come back by themselves.
import { h, onSubmit } from "../dom.js";
import { focus } from "../keyboard.js";
import { t } from "../strings.js";
import { openDialog } from "./dialog.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").Room} Room */

/** @param {App} app @param {Room} room @param {string} user_id */
export function expelDialog(app, room, user_id) {
  const button = document.activeElement;
  const cancel = h("button", { type: "button" }, t.cancel);
  const form = h(
    "form",
    {},
    h("p", {}, t.expelText),
    h("div", { class: "buttons" }, cancel, h("button", { class: "danger" }, t.expelNow)),
  );
  const dialog = openDialog(t.expelTitle(app.client.name(user_id)), form);
  cancel.addEventListener("click", () => dialog.close());
  onSubmit(form, () => {
    dialog.close();
    void app.order(room.members.remove([user_id])).then((done) => {
      const { activeElement, body } = document;
      if (done && (activeElement === button || activeElement === body)) focus("#add-member input"); // the button goes
    });
  });
}
