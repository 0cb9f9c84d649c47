// @ts-check
// Leaving a group; the last owner names the next one.
import { h, onSubmit } from "../dom.js";
import { t } from "../strings.js";
import { openDialog } from "./dialog.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").Room} Room */

/** @param {App} app @param {Room} room */
export function leaveDialog(app, room) {
  const { members, role, title } = room.state.value;
  const others = members.filter(({ user_id }) => user_id !== app.user);
  const isLast = role === "owner" && others.length > 0 && !others.some((member) => member.role === "owner");
  const choice = h("select", { name: "owner" });
  for (const { user_id } of others) choice.append(h("option", { value: user_id }, app.client.name(user_id)));
  const cancel = h("button", { type: "button" }, t.cancel);
  const form = h(
    "form",
    { id: "leave-form" },
    h("p", {}, t.leaveText),
    isLast && h("label", {}, t.nextOwner, choice),
    h("div", { class: "buttons" }, cancel, h("button", { class: "danger" }, t.leave)),
  );
  const dialog = openDialog(t.leaveTitle(title), form);
  cancel.addEventListener("click", () => dialog.close());
  onSubmit(form, ({ owner }) => {
    dialog.close();
    app.leaving.add(room.room_id);
    void app.order(room.leave(isLast ? owner : undefined)).then((done) => {
      if (done) app.close(room);
      else app.leaving.delete(room.room_id);
    });
  });
}
