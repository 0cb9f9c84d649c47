// @ts-check
// The way out; whoever has messages that were not sent is told first.
import { h, onSubmit } from "../dom.js";
import { t } from "../strings.js";
import { openDialog } from "./dialog.js";
import { notSentDialog } from "./not-sent.js";

/** @param {import("../app.js").App} app */
export function signOut(app) {
  const { messages, changes } = app.unfinished;
  const left = app.left.list;
  if (!messages && !changes && !left.length) return app.signOut();
  const cancel = h("button", { type: "button" }, t.cancel);
  const show = h("button", { type: "button" }, t.show);
  const form = h(
    "form",
    { id: "sign-out-form" },
    (messages > 0 || changes > 0) && h("p", {}, t.signOutText(messages, changes, app.client.name(app.user))),
    ...left.map((room) => h("p", {}, t.notSentThere(room.messages.length, room.title))),
    h("div", { class: "buttons" }, left.length > 0 && show, cancel, h("button", { class: "danger" }, t.signOut)),
  );
  const dialog = openDialog(t.signOutTitle, form);
  cancel.addEventListener("click", () => dialog.close());
  show.addEventListener("click", () => {
    dialog.close();
    notSentDialog(app);
  });
  onSubmit(form, () => app.signOut());
}
