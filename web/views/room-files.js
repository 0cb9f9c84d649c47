// @ts-check
// The files of the open room, as far as its messages are loaded: the newest first.
import { h, icon } from "../dom.js";
import { isPicture } from "../files.js";
import { bytes, shortTime } from "../format.js";
import { t } from "../strings.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").RoomState} RoomState */

/** @param {App} app @param {RoomState} state @returns {HTMLElement[]} */
export function roomFiles(app, state) {
  const items = state.messages.toReversed().flatMap((message) => {
    const { message_id, attachments, sender_id, created_at } = message;
    if (message_id === undefined || !attachments.length || app.deletions.has(message)) return [];
    const about = `${app.name(sender_id)}, ${shortTime(created_at)}`;
    return attachments.map((file) => fileItem(message_id, file, about));
  });
  const { hasOlder, loading } = state;
  const none = hasOlder ? t.noFilesLoaded : t.noFiles;
  const more = h("button", { type: "button", "data-action": "more-files", disabled: loading }, t.moreFiles);
  return [
    items.length ? h("ol", { class: "room-files", "aria-label": t.files }, ...items) : h("p", { class: "hint" }, none),
    ...(hasOlder ? [more] : []),
  ];
}

/** @param {string} message_id @param {RoomState["messages"][number]["attachments"][number]} file
 * @param {string} about */
function fileItem(message_id, file, about) {
  const { attachment_id, name, size } = file;
  const jump = { type: "button", "data-action": "show-file", "data-message": message_id, title: t.showFile(name) };
  return h(
    "li",
    { "data-key": attachment_id },
    h(
      "button",
      jump,
      icon(isPicture(file) ? "image" : "file"),
      h("span", { class: "who" }, h("span", {}, name), h("small", {}, `${bytes(size)} · ${about}`)),
    ),
  );
}
