// @ts-check
// One row of the list: a message with all that belongs to it.
import { h, icon, iconButton, silent, spoken } from "../dom.js";
import { inColour, recentEmoji } from "../emoji.js";
import { bytes, cut, day, hrefOf, minute, parts, spokenTime } from "../format.js";
import { isPicture, isVideo } from "../files.js";
import { explain, readOnly, t } from "../strings.js";
import { avatar } from "./avatar.js";
import { hasActions } from "./message-actions.js";
import { mark } from "./signs.js";
import { systemSentence } from "./system-message.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").Room} Room */
/** @typedef {import("../app.js").ShownMessage} ShownMessage */
/** @typedef {import("../files.js").ShownFile} ShownFile */
/** @typedef {import("../rows.js").Row} Row */

const QUOTE = 120;
const MENTIONED = 40; // of a message, in the name of what can be done to it
const LARGEST = 320; // px of a side of a picture
const SMALLEST = { width: 96, height: 44 }; // px of its frame

/** @param {App} app @param {Room} room @param {Row} row */
export function messageItem(app, room, { message, day: isNewDay, divider, head, tail }) {
  const { own, type } = message;
  const classes = [type === "system" ? "system" : own ? `own ${message.status ?? ""}` : "other", head && "head", tail && "tail"];
  return h(
    "li",
    { class: classes.filter(Boolean).join(" "), tabindex: -1 },
    isNewDay && h("div", { class: "day" }, day(message.created_at)),
    divider && h("div", { class: "divider" }, t.newMessages),
    type === "system" ? h("span", { class: "sentence", title: spokenTime(message.created_at) }, systemSentence(app, message)) : bubble(app, room, message, head),
  );
}

/** @param {App} app @param {Room} room @param {ShownMessage} message @param {boolean} head */
function bubble(app, room, message, head) {
  const { partner, room: { type } = {} } = room.state.value;
  const group = type === "group";
  const others = group && !message.own;
  const isReadOnly = readOnly(room.state.value) !== "";
  const name = app.name(message.sender_id);
  const isDeleted = app.deletions.has(message);
  const what = `${name}: ${begin(message)}`;
  const content = isDeleted ? [h("p", { class: "deleted" }, t.deleted)] : body(app, room, message);
  return h(
    "div",
    { class: "line" },
    others && (head ? avatar(message.sender_id, app.client.name(message.sender_id)) : h("span", { class: "avatar empty" })),
    h(
      "div",
      { class: "bubble" },
      others && head ? h("span", { class: "name" }, name) : spoken(`${name}: `),
      ...content,
      foot(app, message, isDeleted, partner === undefined ? undefined : app.client.name(partner)),
      message.message_id !== undefined && hasActions(app, room, message) && tools(isReadOnly, recentEmoji()[0] ?? "", what),
    ),
    unsent(room, message, what, app.waits) ?? unchanged(room, message, what),
  );
}

/** @param {App} app @param {Room} room @param {ShownMessage} message */
function body(app, room, message) {
  const files = app.files.of(room, message);
  return [
    message.reply_to !== undefined && quote(app, room, message.reply_to),
    files.length > 0 && h("div", { class: "files" }, ...files.map((file) => fileItem(message, file))),
    message.text && h("p", {}, ...text(app, message)),
    message.status === "uploading" && progress(message),
    reactions(app, message, readOnly(room.state.value) !== ""),
  ];
}

/** @param {App} app @param {ShownMessage} message */
const text = (app, { text: said, mentions }) =>
  parts(said, mentions).map(({ kind, text: part }) => {
    if (kind === "link") return h("a", { href: hrefOf(part), target: "_blank", rel: "noopener noreferrer" }, part);
    if (kind === "code") return h("code", {}, part);
    if (kind === "strong") return h("strong", {}, part);
    if (kind !== "mention") return part;
    const user_id = part.slice(1);
    return h("span", { class: user_id === app.user ? "mention me" : "mention", title: user_id }, `@${app.client.name(user_id)}`);
  });

/** @param {App} app @param {Room} room @param {string} message_id */
function quote(app, room, message_id) {
  const quoted = app.quotes.of(room, message_id);
  const said = quoted && app.deletions.has(quoted) ? t.deleted : quoted?.text || quoted?.attachments[0]?.name;
  const name = quoted ? app.name(quoted.sender_id) : t.reply;
  const text = said === undefined ? t.earlierMessage : cut(said, QUOTE);
  return h(
    "button",
    { type: "button", class: "quote", "data-action": "jump", "data-message": message_id },
    spoken(t.answers(name, text)),
    silent(h("span", { class: "name" }, name)),
    silent(h("span", {}, text)),
  );
}

/** @param {ShownMessage} message @param {ShownFile} file */
function fileItem(message, file) {
  const sent = message.message_id !== undefined;
  const caption = h(
    "button",
    { type: "button", class: "download", "data-action": "download", disabled: !sent, title: t.download(file.name), "aria-label": `${t.download(file.name)}, ${bytes(file.size)}` },
    icon("file"),
    h("span", {}, file.name, " ", h("span", { class: "size" }, bytes(file.size))),
  );
  // What is broken here is so for good until it is sent, and needs no place.
  const inline = (isPicture(file) || isVideo(file)) && (sent || !file.broken);
  const item = h("div", { class: "file", "data-file": file.id, "data-inline": inline }, inline && shown(file), caption);
  const { width, height } = file;
  if (!width || !height) return item;
  const frame = frameOf(width, height);
  item.style.setProperty("--width", `${frame.width}px`);
  item.style.setProperty("--ratio", `${frame.width} / ${frame.height}`);
  // The whole of a very long one would be a line: its beginning is seen, and all of it once it is opened.
  if (frame.isPart) item.classList.add("part");
  return item;
}

/** The frame of a picture in px: of its shape, as far as the bounds of a frame allow.
 * @param {number} width @param {number} height of the picture */
function frameOf(width, height) {
  const fits = Math.min(1, LARGEST / width, LARGEST / height);
  const scale = Math.max(fits, SMALLEST.width / width, SMALLEST.height / height);
  const frame = { width: Math.round(Math.min(width * scale, LARGEST)), height: Math.round(Math.min(height * scale, LARGEST)) };
  return { ...frame, isPart: Math.max(width, height) * scale > LARGEST + 1 };
}

/** The place of a picture is reserved before it is here. @param {ShownFile} file */
function shown(file) {
  if (file.broken) return missing(file);
  if (isVideo(file)) return h("video", { controls: true, src: file.url, "aria-label": file.name, preload: "metadata" });
  const { width, height, name, url } = file;
  const picture = url ? h("img", { src: url, alt: name, width, height }) : h("span", { class: "loading" });
  const sized = Boolean(width && height);
  return h("button", { type: "button", class: sized ? "picture sized" : "picture", "data-action": "picture", "aria-label": `${t.picture} ${name}` }, picture);
}

/** What cannot be loaded now, in the same place; a click tries again. @param {ShownFile} file */
function missing({ id, name, width, height }) {
  const sized = width && height ? "picture sized missing" : "picture missing";
  const again = { type: "button", class: sized, "data-action": "load-file", "data-id": id };
  return h("button", { ...again, "aria-label": t.loadAgain(name), title: t.loadAgain(name) }, icon("image-off"), h("span", {}, t.notLoaded), " ", h("span", { class: "accent" }, t.tryAgain));
}

/** @param {ShownMessage} message */
function progress({ progress: part = 0 }) {
  return h("progress", { max: 1, value: part, "aria-label": t.uploading });
}

/** @param {App} app @param {ShownMessage} message @param {boolean} isReadOnly */
function reactions(app, { reactions: all }, isReadOnly) {
  const list = Object.entries(all).map(([emoji, { count, user_ids }]) => {
    const mine = user_ids.includes(app.user);
    const names = user_ids.map((user_id) => app.name(user_id)).join(", ");
    return h(
      "button",
      {
        type: "button",
        class: mine ? "react mine" : "react",
        "data-action": "react",
        "data-emoji": emoji,
        "data-key": emoji,
        "aria-pressed": String(mine),
        title: names,
        disabled: isReadOnly,
        "aria-label": t.reaction(inColour(emoji), count, names),
      },
      `${inColour(emoji)} ${count}`,
    );
  });
  return list.length > 0 && h("div", { class: "reactions" }, ...list);
}

/** @param {App} app @param {ShownMessage} message @param {boolean} isDeleted
 * @param {string} [whom] the other of a direct room */
function foot({ waits }, { created_at, edited_at, own, status, pending = [] }, isDeleted, whom) {
  const changes = pending.map((kind) => t.pending[kind]).join(" ");
  return h(
    "span",
    { class: "foot" },
    edited_at && !isDeleted && h("span", { class: "edited" }, t.edited),
    h("time", { datetime: created_at, title: spokenTime(created_at) }, spoken(` ${t.at("")}`), minute(created_at)),
    pending.length > 0 && h("span", { class: "pending", role: "img", "aria-label": changes, title: changes }, icon("clock")),
    pending.length > 0 && waits && h("span", { class: "waiting" }, t.waiting),
    own && status && !isDeleted && mark(status, whom),
  );
}

/** What is used most, and a menu with the rest. @param {boolean} isReadOnly for this user
 * @param {string} quick an emoji @param {string} what the message */
function tools(isReadOnly, quick, what) {
  /** @param {string} label */
  const named = (label) => ({ "aria-label": t.onMessage(label, what), title: label });
  const react = { type: "button", class: "react", "data-action": "react", "data-emoji": quick };
  return h(
    "span",
    { class: "tools" },
    !isReadOnly && h("button", { ...react, ...named(`${t.react} ${inColour(quick)}`) }, inColour(quick)),
    !isReadOnly && iconButton("reply", t.reply, { "data-action": "reply", class: "icon-button reply", ...named(t.reply) }),
    iconButton("ellipsis", t.actions, { "data-action": "menu", "aria-haspopup": "menu", class: "icon-button more", ...named(t.actions) }),
  );
}

/** @param {ShownMessage} message */
function begin({ text: said, attachments, files = [] }) {
  const [file] = [...attachments, ...files];
  return cut(said || (file?.name ?? ""), MENTIONED);
}

/** What can be done about a message that the server does not have. @param {Room} room @param {ShownMessage} message @param {string} what
 * @param {boolean} waits for a connection */
function unsent(room, message, what, waits) {
  const { status, error } = message;
  if (status === "uploading" || (status === "sending" && waits)) return iconButton("x", t.cancel, { "data-action": "discard", class: "icon-button discard calm", "aria-label": t.onMessage(t.cancel, what) });
  if (status !== "refused") return null;
  const why = error ? explain(error, room.state.value) : t.status.refused("");
  return h("span", { class: "error", role: "alert" }, h("span", {}, why), message.retry !== undefined && button("retry", t.retry, what), button("discard", t.discard, what));
}

/** What was asked of a message and refused. @param {Room} room @param {ShownMessage} message @param {string} what */
function unchanged(room, { refusedChange, deleted_at }, what) {
  if (!refusedChange) return null;
  const { kind, error } = refusedChange;
  const again = kind === "edit" && button("edit-again", deleted_at === undefined ? t.editAgain : t.writeAnew, what);
  return h("span", { class: "error", role: "alert" }, h("span", {}, `${t.refusedChange[kind]} ${explain(error, room.state.value)}`), again, button("dismiss", t.dismiss, what));
}

/** @param {string} action @param {string} label @param {string} what the message */
const button = (action, label, what) =>
  h("button", { type: "button", class: action, "data-action": action, "aria-label": t.onMessage(label, what) }, label);

