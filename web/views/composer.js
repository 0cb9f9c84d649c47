// @ts-check
// Where one writes: a draft per room, files with a caption, answers and edits with a banner.
import { h, icon, iconButton, onClick, update } from "../dom.js";
import { isPicture } from "../files.js";
import { bytes, cut } from "../format.js";
import { readOnly, t } from "../strings.js";
import { ChatError } from "../vendor/rts-chat.min.js";
import { mentioned, suggestions } from "./mentions.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").Room} Room */
/** @typedef {{ name: string, why: string }} RefusedFile */

const QUOTE = 100;
const LONGEST = 4000; // code points, until the server says

/** @param {App} app @param {() => void} sent */
export function composerView(app, sent) {
  return new Composer(app, sent).form;
}

class Composer {
  #app;
  #sent;
  /** @type {Room | null} */
  #room = null;
  /** @type {import("../opening.js").Opening | null} */
  #opening = null;
  /** By room: why files were not taken, until the user has dismissed that. @type {Map<string, RefusedFile[]>} */
  #refused = new Map();
  #banner = h("div", { id: "banner" });
  #files = h("div", { id: "chosen" });
  /** Of pictures among those that are shown; "" if the browser cannot draw one. @type {Map<File, string>} */
  #thumbnails = new Map();
  #why = h("p", { class: "hint" });
  #input = h("input", { id: "files", type: "file", multiple: true, hidden: true, "aria-label": t.attach });
  #text = h("textarea", { name: "text", rows: 1, placeholder: t.message, "aria-label": t.message });
  #send = h("button", { class: "primary send", "aria-label": t.send, title: t.send }, icon("send-horizontal"));
  #attach = iconButton("paperclip", t.attach, { id: "attach", "data-action": "attach" });
  #row = h("div", { class: "row" }, this.#attach, this.#input, this.#text, this.#send);

  /** @param {App} app @param {() => void} sent */
  constructor(app, sent) {
    this.#app = app;
    this.#sent = sent;
    this.form = h("form", { id: "compose" }, this.#banner, this.#files, this.#why, this.#row);
    const others = () => (app.state?.members ?? []).filter(({ user_id }) => user_id !== app.user);
    this.form.append(suggestions(this.#text, others, (user_id) => app.client.name(user_id)));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#send.addEventListener("pointerdown", (event) => event.preventDefault()); // the text keeps the focus
    this.#text.addEventListener("input", () => this.#typed());
    this.#text.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("compose", () => {
      this.#render();
      this.#text.focus();
    });
    onClick(this.form, {
      attach: () => this.#input.click(),
      cancel: () => this.#cancel(),
      unchoose: ({ dataset }) => this.#unchoose(Number(dataset.index)),
      dismiss: ({ dataset }) => this.#dismiss(Number(dataset.index)),
    });
    this.#takeFiles();
    this.#files.addEventListener("error", ({ target }) => this.#noThumbnail(target), true);
    app.draws(() => this.#render());
  }

  get #composing() {
    return this.#room ? this.#app.drafts.composing(this.#room.room_id) : undefined;
  }

  /** Those that wait for Send. */
  get #chosen() {
    return this.#room ? this.#app.drafts.files(this.#room.room_id) : [];
  }

  /** @returns {RefusedFile[]} */
  get #wrong() {
    return this.#refused.get(this.#room?.room_id ?? "") ?? [];
  }

  #render() {
    const { room, opening } = this.#app.ui.value;
    const isNew = room !== this.#room || opening !== this.#opening;
    this.#room = room;
    this.#opening = opening;
    const state = room?.state.value;
    const why = readOnly(state);
    this.#why.textContent = why;
    this.#row.hidden = Boolean(why);
    this.#endEdit();
    this.#text.disabled = !room && !opening;
    this.#attach.disabled = !room;
    this.#renderBanner();
    this.#renderFiles();
    this.#show(this.#kept);
    // Afterwards: the pane of a first room is hidden until everything is drawn.
    if (isNew && (room ?? opening) && matchMedia("(hover: hover)").matches) this.#app.afterwards(() => this.#text.focus());
  }

  /** A message that was deleted cannot be edited: what was typed goes on as a new one. */
  #endEdit() {
    const composing = this.#composing;
    if (!this.#room || composing?.mode !== "edit" || !this.#isDeleted(composing.message)) return;
    const { text = "", message } = composing;
    this.#app.drafts.compose(this.#room.room_id, undefined);
    if (text !== message.text) writeAnew(this.#app, this.#room, text);
  }

  /** Also one that was edited before a reload, or is not loaded here. @param {import("../app.js").ShownMessage} then */
  #isDeleted(then) {
    const message = this.#room?.held(then.message_id ?? "") ?? then;
    return this.#app.deletions.has(message);
  }

  /** What was typed by now. */
  get #kept() {
    const composing = this.#composing;
    if (composing?.mode === "edit") return composing.text ?? "";
    return (this.#room ? this.#room.draft.value : this.#opening?.draft) ?? "";
  }

  /** @param {string} text */
  #show(text) {
    if (this.#text.value === text) return;
    this.#text.value = text;
    this.#grow();
  }

  /** The form keeps its height while that of the text is measured, so that the list above does not move. */
  #grow() {
    this.form.style.minHeight = `${this.form.offsetHeight}px`;
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight + 2}px`;
    this.form.style.minHeight = "";
  }

  #renderBanner() {
    const composing = this.#composing;
    this.form.classList.toggle("editing", composing?.mode === "edit");
    this.#banner.hidden = !composing;
    if (!composing) return update(this.#banner, []);
    const { mode, message: then } = composing;
    const message = this.#app.state?.messages.find(({ key }) => key === then.key) ?? then;
    const title = mode === "edit" ? t.editing : t.replyingTo(this.#app.name(message.sender_id));
    const said = this.#app.deletions.has(message) ? t.deleted : cut(message.text || (message.attachments[0]?.name ?? ""), QUOTE);
    update(this.#banner, [
      icon(mode === "edit" ? "pencil" : "reply"),
      h("div", {}, h("strong", {}, title), h("span", {}, said)),
      iconButton("x", t.cancel, { "data-action": "cancel", id: "cancel" }),
    ]);
  }

  #renderFiles() {
    const files = this.#chosen;
    const refused = this.#wrong;
    this.#files.hidden = !files.length && !refused.length;
    update(this.#files, [
      ...refused.map(({ name, why }, index) => chip(name, why, "dismiss", index)),
      ...files.map((file, index) => chip(file.name, `${file.name} ${bytes(file.size)}`, "unchoose", index, this.#thumbnail(file))),
    ]);
    for (const [file, url] of this.#thumbnails) {
      if (files.includes(file)) continue;
      URL.revokeObjectURL(url);
      this.#thumbnails.delete(file);
    }
  }

  /** @param {File} file */
  #thumbnail(file) {
    if (!isPicture({ content_type: file.type })) return "";
    const url = this.#thumbnails.get(file) ?? URL.createObjectURL(file);
    this.#thumbnails.set(file, url);
    return url;
  }

  /** @param {EventTarget | null} target */
  #noThumbnail(target) {
    if (!(target instanceof HTMLImageElement)) return;
    for (const [file, url] of this.#thumbnails) if (url === target.src) this.#thumbnails.set(file, "");
    this.#app.changed();
  }

  #typed() {
    this.#grow();
    const room = this.#room;
    if (this.#opening) this.#opening.draft = this.#text.value;
    if (!room) return;
    const composing = this.#composing;
    if (composing?.mode === "edit") this.#app.drafts.compose(room.room_id, { ...composing, text: this.#text.value });
    else room.draft.set(this.#text.value);
    if (this.#text.value.trim()) room.typing();
    else room.typing(false);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      if (matchMedia("(hover: none)").matches) return; // a finger breaks the line; it has no Shift+Enter
      event.preventDefault();
      this.form.requestSubmit();
    } else if (event.key === "ArrowUp" && !event.altKey && !this.#text.value && !this.#composing) {
      const last = this.#app.state?.messages.findLast((one) => one.own && one.text && one.message_id && !this.#app.deletions.has(one));
      if (!last || !this.#room) return;
      event.preventDefault();
      this.#app.compose(this.#room, { mode: "edit", message: last });
    }
  }

  /** No edit and no answer any more; the draft is untouched. */
  #cancel() {
    this.#room?.typing(false);
    if (this.#room) this.#app.compose(this.#room, undefined);
  }

  #submit() {
    const room = this.#room;
    if (!room) return this.#submitLater();
    this.#text.focus(); // a click took it; on a telephone the keyboard stays
    const composing = this.#composing;
    const text = this.#text.value;
    if (this.#isTooLong(text)) return;
    const mentions = mentioned(text, room.state.value.members);
    if (composing?.mode === "edit") return void this.#edit(room, composing.message, text, mentions);
    const files = this.#chosen;
    const refused = this.#files.querySelector(".refused");
    if (refused instanceof HTMLElement) return refused.focus(); // a text about it does not go without it
    if (!text.trim() && !files.length) return;
    const { message_id } = composing?.message ?? {};
    this.#app.drafts.choose(room.room_id, []);
    this.#app.drafts.compose(room.room_id, undefined);
    room.draft.set("");
    this.#show("");
    room.send({ text, files, mentions, ...(message_id !== undefined && { replyTo: message_id }) });
    this.#sent();
    this.#app.changed();
  }

  /** The room is being made. */
  #submitLater() {
    const { value } = this.#text;
    this.#text.focus();
    if (this.#isTooLong(value) || !value.trim() || !this.#opening) return;
    this.#opening.send(value);
    this.#app.draw();
  }

  /** @param {string} text @returns {boolean} */
  #isTooLong(text) {
    const { text: most = LONGEST } = this.#app.client.session.value?.limits ?? {};
    const length = Array.from(text).length; // code points, as the server counts
    if (length > most) this.#app.complain(t.longText(most, length));
    return length > most;
  }

  /** @param {Room} room @param {import("../app.js").ShownMessage} message @param {string} text
   * @param {string[]} mentions */
  async #edit(room, message, text, mentions) {
    const { message_id = "", attachments } = message;
    if (!text.trim() && !attachments.length) return this.#app.deletions.add(room, message), this.#cancel();
    this.#cancel();
    if (text === message.text) return;
    await room.edit(message_id, { text, mentions }).catch((/** @type {unknown} */ error) => this.#notEdited(room, message, text, error));
  }

  /** Whoever is elsewhere by now finds the text at the message. @param {Room} room
   * @param {import("../app.js").ShownMessage} message @param {string} text @param {unknown} error */
  #notEdited(room, message, text, error) {
    const isFree = this.#room === room && !this.#composing && !this.#text.value;
    if (!isFree) return this.#app.failed(error);
    room.held(message.message_id ?? "")?.refusedChange?.discard();
    const isDeleted = this.#isDeleted(message) || (error instanceof ChatError && error.code === "gone");
    if (isDeleted) return writeAnew(this.#app, room, text);
    this.#app.failed(error);
    this.#app.compose(room, { mode: "edit", message, text });
  }

  /** Chosen, pasted or dropped. */
  #takeFiles() {
    this.#input.addEventListener("change", () => {
      this.#choose([...(this.#input.files ?? [])]);
      this.#input.value = "";
    });
    this.form.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      this.#choose(files);
    });
    for (const kind of /** @type {const} */ (["dragover", "dragleave", "drop"]))
      document.addEventListener(kind, (event) => {
        const pane = event.target instanceof Element ? event.target.closest("#room") : null;
        if (!event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault(); // beside the room too: the browser would leave the page for the file
        if (!pane) return void (event.dataTransfer.dropEffect = "none");
        pane.classList.toggle("dropping", kind === "dragover");
        if (kind === "drop") this.#choose([...event.dataTransfer.files]);
      });
  }

  /** @param {File[]} files */
  #choose(files) {
    const room = this.#room;
    if (!room || !files.length) return;
    if (this.#row.hidden) return void this.#app.complain(this.#why.textContent);
    const { attachments = 10, attachment_bytes = Infinity } = this.#app.client.session.value?.limits ?? {};
    const good = files.filter(({ size }) => size && size <= attachment_bytes);
    const chosen = [...this.#chosen, ...good];
    for (const { name, size } of files) {
      if (!size) this.#refuse(room, name, t.emptyFile(name));
      else if (size > attachment_bytes) this.#refuse(room, name, t.largeFile(name, bytes(attachment_bytes)));
    }
    if (chosen.length > attachments) {
      const names = good.map(({ name }) => name).join(", ");
      return this.#refuse(room, names, t.manyFiles(attachments));
    }
    if (good.length) this.#app.drafts.choose(room.room_id, chosen);
    this.#text.focus();
  }

  /** @param {Room} room @param {string} name @param {string} why */
  #refuse({ room_id }, name, why) {
    const others = this.#wrong.filter((one) => one.why !== why);
    this.#refused.set(room_id, [...others, { name, why }]);
    this.#app.complain(why);
  }

  /** @param {number} index */
  #dismiss(index) {
    if (!this.#room) return;
    this.#refused.set(this.#room.room_id, this.#wrong.filter((_, one) => one !== index));
    this.#app.changed();
    this.#text.focus();
  }

  /** @param {number} index */
  #unchoose(index) {
    if (!this.#room) return;
    this.#app.drafts.choose(this.#room.room_id, this.#chosen.filter((_, one) => one !== index));
    this.#text.focus();
  }
}

/** What was to be the text of a message that is deleted becomes a draft, behind what is one.
 * @param {App} app @param {Room} room @param {string} text */
function writeAnew(app, room, text) {
  room.draft.set([room.draft.value, text].filter(Boolean).join("\n"));
  app.complain(t.editDeleted);
  app.changed();
}

/** A file above the field; one that was refused says why. @param {string} name @param {string} text
 * @param {"unchoose" | "dismiss"} action @param {number} index @param {string} [picture] an address */
function chip(name, text, action, index, picture = "") {
  const isRefused = action === "dismiss";
  return h(
    "span",
    isRefused ? { class: "chip refused", role: "group", "aria-label": text, tabindex: -1 } : { class: "chip" },
    picture ? h("img", { src: picture, alt: "" }) : icon(isRefused ? "circle-alert" : "file"),
    h("span", {}, text),
    iconButton("x", t.removeFile(name), { "data-action": action, "data-index": index }),
  );
}
