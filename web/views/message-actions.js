// @ts-check
// What can be done to a message; the rows name it by data-action.
import { EMOJI, inColour, plain, recentEmoji, rememberEmoji } from "../emoji.js";
import { readOnly, t } from "../strings.js";
import { copied } from "./copy.js";
import { openLightbox } from "./lightbox.js";
import { onLongPress } from "./long-press.js";
import { openMenu } from "./menu.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").Room} Room */
/** @typedef {import("../app.js").ShownMessage} ShownMessage */

/**
 * @param {App} app
 * @param {HTMLElement} list
 * @returns {Record<string, (element: HTMLElement) => void>}
 */
export function messageActions(app, list) {
  /** @param {(room: Room, message: ShownMessage, element: HTMLElement) => void} act */
  const on = (act) => (/** @type {HTMLElement} */ element) => {
    const { room } = app.ui.value;
    const key = element.closest("li")?.dataset.key;
    const message = room?.state.value.messages.find((one) => one.key === key);
    if (room && message) act(room, message, element);
  };

  /** @param {Room} room @param {ShownMessage} message @param {string} shown */
  const react = (room, message, shown) => {
    const emoji = plain(shown);
    const isOn = !message.reactions[emoji]?.user_ids.includes(app.user);
    if (isOn) rememberEmoji(emoji);
    void app.guard(room.react(message.message_id ?? "", emoji, isOn));
  };

  /** @type {(() => void) | undefined} */
  let check;
  app.draws(() => check?.());

  onLongPress(list, (target) => {
    target.closest("li")?.querySelector("button.more")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  });
  return {
    react: on((room, message, { dataset }) => react(room, message, dataset.emoji ?? "")),
    reply: on((room, message) => app.compose(room, { mode: "reply", message })),
    retry: on((_, message) => message.retry?.()),
    discard: on((_, message) => message.discard?.()),
    dismiss: on((_, message) => message.refusedChange?.discard()),
    "edit-again": on((room, message) => editAgain(app, room, message)),
    "load-file": ({ dataset }) => app.files.retry(dataset.id),
    jump: ({ dataset }) => app.jump(dataset.message ?? ""),
    menu: on((room, message, element) => {
      check = openMenu(element, t.actions, choices(app, room, message, (emoji) => react(room, message, emoji)));
    }),
    picture: on((room, message, element) => {
      const image = element.querySelector("img");
      if (image) openLightbox(image.src, image.alt);
    }),
    download: on((room, message, element) => {
      const { file = "", inline } = element.closest(".file") instanceof HTMLElement ? /** @type {HTMLElement} */ (element.closest(".file")).dataset : {};
      void download(app, room, message, file, inline !== undefined);
    }),
  };
}

/** What a refused edit would have said is in the field again. @param {App} app @param {Room} room
 * @param {ShownMessage} message */
function editAgain(app, room, message) {
  const { text = message.text } = message.refusedChange ?? {};
  message.refusedChange?.discard();
  app.compose(room, { mode: "edit", message, text });
}

/** @param {App} app @param {Room} room @param {ShownMessage} message @param {(emoji: string) => void} react
 * @returns {import("./menu.js").Choices} */
function choices(app, room, message, react) {
  const { items, mayWrite } = itemsOf(app, room, message);
  /** @param {string} emoji */
  const reaction = (emoji) => ({ label: inColour(emoji), may: mayWrite, act: () => react(emoji) });
  const [few, all] = mayWrite() ? [recentEmoji(), EMOJI] : [[], []];
  return { emoji: few.map(reaction), moreEmoji: all.map(reaction), items: items.filter(({ may }) => may()) };
}

/** Whether its menu has anything. @param {App} app @param {Room} room @param {ShownMessage} message */
export const hasActions = (app, room, message) => itemsOf(app, room, message).items.some(({ may }) => may());

/** What the menu of a message has: each by whether it may be done now, for a role changes.
 * @param {App} app @param {Room} room @param {ShownMessage} message */
function itemsOf(app, room, message) {
  const { own, text } = message;
  const isThere = () => !app.deletions.has(room.held(message.message_id ?? "") ?? message);
  const mayWrite = () => isThere() && readOnly(room.state.value) === "";
  const mayRemove = () => {
    const { role, frozen } = room.state.value;
    return isThere() && (role === "owner" || role === "admin" || (own && !frozen)); // readers too
  };
  const items = [
    { id: "reply", icon: "reply", label: t.reply, may: mayWrite, act: () => app.compose(room, { mode: "reply", message }) },
    { id: "copy", icon: "copy", label: t.copy, may: () => isThere() && text !== "", act: () => void copy(app, message) },
    { id: "edit", icon: "pencil", label: t.edit, may: () => own && mayWrite(), act: () => app.compose(room, { mode: "edit", message }) },
    { id: "remove", icon: "trash-2", label: t.remove, may: mayRemove, act: () => app.deletions.add(room, message) },
  ];
  return { items, mayWrite };
}

/** @param {App} app @param {ShownMessage} message */
async function copy(app, { text }) {
  if (await copied(text)) app.toast(t.copied);
  else app.complain(t.noCopy);
}

/** What the store serves inline gets a tab of its own, opened while the click still counts.
 * @param {App} app @param {Room} room @param {ShownMessage} message @param {string} id
 * @param {boolean} inline */
async function download(app, room, { message_id = "", attachments }, id, inline) {
  const attachment = attachments.find(({ attachment_id }) => attachment_id === id);
  if (!attachment) return;
  if (!navigator.onLine) return app.complain(t.offlineFile); // the browser would leave the page for its own
  const where = inline ? window.open() : window;
  await app.guard(
    room.fileUrl(message_id, attachment.attachment_id).then((url) => {
      if (where) where.location.href = url;
    }),
  );
}
