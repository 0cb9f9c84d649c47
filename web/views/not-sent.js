// @ts-check
// What was not sent to chats that the user is no member of any more: to be copied, or given up.
import { h, onClick, update } from "../dom.js";
import { visible } from "../format.js";
import { t } from "../strings.js";
import { copied } from "./copy.js";
import { openDialog } from "./dialog.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").ShownMessage} ShownMessage */

/** @param {App} app */
export function notSentDialog(app) {
  const list = h("div", { id: "not-sent" });
  const done = h("p", { class: "hint", role: "status" }); // a toast would stand behind the dialog
  const dialog = openDialog(t.notSentTitle, list, done);
  const show = () => {
    const rooms = app.left.list;
    update(list, rooms.flatMap(({ room_id, title, messages }) => [
      h("p", { "data-key": room_id }, t.notSent(messages.length, title)),
      ...messages.map(item),
    ]));
    if (!rooms.length) dialog.close();
  };
  /** @param {(message: ShownMessage) => void} act */
  const on = (act) => (/** @type {HTMLElement} */ { dataset }) => {
    const message = app.left.list.flatMap(({ messages }) => messages).find(({ key }) => key === dataset.message);
    done.textContent = "";
    if (message) act(message);
    show();
  };
  onClick(list, {
    copy: on(({ text }) => void copied(text).then((is) => (done.textContent = is ? t.copied : t.noCopy))),
    discard: on((message) => message.discard?.()),
  });
  show();
}

/** @param {ShownMessage} message */
function item({ key, text, attachments, files = [] }) {
  const names = [...attachments, ...files].map(({ name }) => name).join(", ");
  const said = visible([text, names].filter(Boolean).join("\n"));
  return h(
    "article",
    { "data-key": key },
    h("p", {}, said),
    h(
      "div",
      { class: "buttons" },
      text && h("button", { type: "button", "data-action": "copy", "data-message": key, "aria-label": t.onMessage(t.copy, said) }, t.copy),
      h("button", { type: "button", "data-action": "discard", "data-message": key, "aria-label": t.onMessage(t.discard, said) }, t.discard),
    ),
  );
}
