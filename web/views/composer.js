// @ts-check
// Where one writes: a draft per room, files with a caption, answers and edits with a banner.
import { h, icon, iconButton, onClick, update } from "../dom.js";
import { bytes, cut } from "../format.js";
import { t } from "../strings.js";
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
  /** By room: why files were not taken, until the user has dismissed that. @type {Map<string, RefusedFile[]>} */
  #refused = new Map();
  #banner = h("div", { id: "banner" });
  #files = h("div", { id: "chosen" });
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
    const { room } = this.#app.ui.value;
    const isNew = room !== this.#room;
    this.#room = room;
    const state = room?.state.value;
    const why = state?.frozen ? t.isFrozen : state?.role === "readonly" ? t.isReadonly : "";
    this.#why.textContent = why;
    this.#row.hidden = Boolean(why);
    this.#text.disabled = this.#attach.disabled = !room;
    this.#renderBanner();
    this.#renderFiles();
    const composing = this.#composing;
    this.#show((composing?.mode === "edit" ? composing.text : room?.draft.value) ?? "");
    // Afterwards: the pane of a first room is hidden until everything is drawn.
    if (isNew && room && matchMedia("(hover: hover)").matches) this.#app.afterwards(() => this.#text.focus());
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
    const said = message.deleted_at ? t.deleted : cut(message.text || (message.attachments[0]?.name ?? ""), QUOTE);
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
      ...files.map(({ name, size }, index) => chip(name, `${name} ${bytes(size)}`, "unchoose", index)),
    ]);
  }

  #typed() {
    this.#grow();
    const room = this.#room;
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
      const last = this.#app.state?.messages.findLast((one) => one.own && one.text && one.message_id && !one.deleted_at && !this.#app.deletions.has(one.key));
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
    if (!room) return;
    this.#text.focus(); // a click took it; on a telephone the keyboard stays
    const composing = this.#composing;
    const text = this.#text.value;
    const { text: most = LONGEST } = this.#app.client.session.value?.limits ?? {};
    const length = Array.from(text).length; // code points, as the server counts
    if (length > most) return void this.#app.complain(t.longText(most, length));
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

  /** @param {Room} room @param {import("../app.js").ShownMessage} message @param {string} text
   * @param {string[]} mentions */
  async #edit(room, message, text, mentions) {
    const { message_id = "", attachments } = message;
    if (!text.trim() && !attachments.length) return this.#app.deletions.add(room, message), this.#cancel();
    this.#cancel();
    if (text === message.text) return;
    if (await this.#app.guard(room.edit(message_id, { text, mentions }))) return;
    if (!this.#app.drafts.composing(room.room_id)) this.#app.compose(room, { mode: "edit", message, text });
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

/** A file above the field; one that was refused says why. @param {string} name @param {string} text
 * @param {"unchoose" | "dismiss"} action @param {number} index */
function chip(name, text, action, index) {
  const isRefused = action === "dismiss";
  return h(
    "span",
    isRefused ? { class: "chip refused", role: "group", "aria-label": text, tabindex: -1 } : { class: "chip" },
    icon(isRefused ? "circle-alert" : "file"),
    h("span", {}, text),
    iconButton("x", t.removeFile(name), { "data-action": action, "data-index": index }),
  );
}
