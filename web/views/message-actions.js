// @ts-check
// What can be done to a message; the rows name it by data-action.
import { EMOJI, inColour, plain, recentEmoji, rememberEmoji } from "../emoji.js";
import { t } from "../strings.js";
import { openLightbox } from "./lightbox.js";
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
  /** Changes of one message in the order of the clicks. @type {Promise<unknown>} */
  let changes = Promise.resolve();

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
    const { message_id = "" } = message;
    if (isOn) rememberEmoji(emoji);
    changes = changes.then(() => app.guard(room.react(message_id, emoji, isOn)));
  };

  list.addEventListener("contextmenu", pressedLong);
  return {
    react: on((room, message, { dataset }) => react(room, message, dataset.emoji ?? "")),
    reply: on((room, message) => app.compose(room, { mode: "reply", message })),
    retry: on((_, message) => message.retry?.()),
    discard: on((_, message) => message.discard?.()),
    "load-file": ({ dataset }) => app.files.retry(dataset.id),
    jump: ({ dataset }) => app.jump(dataset.message ?? ""),
    menu: on((room, message, element) => {
      /** @param {string} emoji */
      const reaction = (emoji) => ({ label: inColour(emoji), act: () => react(room, message, emoji) });
      const emoji = { emoji: recentEmoji().map(reaction), moreEmoji: EMOJI.map(reaction) };
      openMenu(element, t.actions, { ...emoji, items: itemsOf(app, room, message) });
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

/** @param {App} app @param {Room} room @param {ShownMessage} message */
function itemsOf(app, room, message) {
  const { role } = room.state.value;
  const leads = role === "owner" || role === "admin";
  return [
    { id: "reply", icon: "reply", label: t.reply, act: () => app.compose(room, { mode: "reply", message }) },
    message.text && { id: "copy", icon: "copy", label: t.copy, act: () => void copy(app, message) },
    message.own && { id: "edit", icon: "pencil", label: t.edit, act: () => app.compose(room, { mode: "edit", message }) },
    (message.own || leads) && { id: "remove", icon: "trash-2", label: t.remove, act: () => app.deletions.add(room, message) },
  ];
}

/** @param {App} app @param {ShownMessage} message */
async function copy(app, { text }) {
  const { clipboard } = /** @type {Partial<Navigator>} */ (navigator); // missing over plain http
  const done = await clipboard?.writeText(text).then(() => true, () => false);
  if (done) app.toast(t.copied);
  else app.complain(t.noCopy);
}

/** A long press opens the menu; with a mouse the browser's own is more useful. @param {Event} event */
function pressedLong(event) {
  if (!(event instanceof PointerEvent) || event.pointerType !== "touch" || !(event.target instanceof Element)) return;
  event.preventDefault();
  event.target.closest("li")?.querySelector("button.more")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
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
