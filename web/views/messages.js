// @ts-check
// The messages of the open room: where one reads, what counts as read, and what can be done.
import { h, icon, onClick } from "../dom.js";
import { Rows } from "../rows.js";
import { t } from "../strings.js";
import { UnseenMentions } from "../unseen-mentions.js";
import { VirtualList } from "../virtual-list.js";
import { messageActions } from "./message-actions.js";
import { MessageFocus } from "./message-focus.js";
import { messageItem } from "./message.js";
import { openingView } from "./opening.js";
import { systemSentence } from "./system-message.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").Room} Room */
/** @typedef {import("../app.js").RoomState} RoomState */
/** @typedef {import("../rows.js").Row} Row */

const NEAR_TOP = 400; // px from the top at which older messages are loaded
const MOST_PAGES = 20; // that a jump to a quoted message loads

/** @param {App} app */
export function messagesView(app) {
  return new MessagesView(app);
}

class MessagesView {
  #app;
  /** @type {Room | null} */
  #room = null;
  /** The room in which the first messages were shown: from then on what is visible is read. */
  #landed = false;
  /** Whether the messages that were drawn last end before the newest one. */
  #hadNewer = false;
  /** Messages above this seq are new since the user began to read. @type {number | null} */
  #divider = null;
  #unread = 0;
  /** The seq up to which messages were announced; null before the first were shown. @type {number | null} */
  #newest = null;
  #busy = false;
  #rows = new Rows();
  #unseen;
  #list = h("ol", { id: "messages", role: "list" });
  /** For a pointer: keys load what is earlier by ↑, and Tab would lead from here to the top. */
  #earlier = h("button", { type: "button", id: "earlier", "data-action": "earlier", tabindex: -1 }, t.earlier);
  #start = h("p", { class: "hint" });
  #skeleton = h("div", { class: "skeleton rows", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i"));
  #scroll = h("div", { id: "scroll", role: "log", "aria-live": "off", "aria-label": t.messages, tabindex: 0 });
  #mentions = h("button", { type: "button", id: "mentions-pill", "data-action": "mention" });
  #pill = h("button", { type: "button", id: "pill", "data-action": "pill" });
  #announcer = h("div", { id: "announcer", class: "spoken", role: "status", "aria-live": "polite" });
  #focus = new MessageFocus(this.#scroll, this.#list, () => this.#virtual.node(this.#virtual.lastVisible()?.key ?? ""));
  /** @type {VirtualList<Row>} */
  #virtual;

  /** @param {App} app */
  constructor(app) {
    this.#app = app;
    this.#unseen = new UnseenMentions(app.user);
    this.#scroll.append(this.#earlier, this.#start, this.#skeleton, this.#list, openingView(app));
    this.node = h("div", { id: "messages-pane" }, this.#scroll, h("div", { id: "pills" }, this.#mentions, this.#pill), this.#announcer);
    this.#virtual = new VirtualList(
      this.#scroll,
      this.#list,
      (row) => this.#focus.drawn(messageItem(app, this.#open, row), row.key),
      () => this.#moved(),
    );
    const actions = messageActions(app, this.#list);
    onClick(this.node, {
      ...actions,
      earlier: () => this.#older(),
      pill: () => void this.#toNewest(),
      mention: ({ dataset }) => void this.#jump(dataset.message ?? ""),
    });
    for (const type of ["load", "error"])
      this.#scroll.addEventListener(type, ({ target }) => this.#tried(target, type === "load"), true);
    addEventListener("focus", () => this.#read());
    document.addEventListener("visibilitychange", () => this.#read());
    document.addEventListener("jump", (event) => event instanceof CustomEvent && void this.#jump(String(event.detail)));
    app.draws(() => this.#render());
  }

  /** One's own message is always shown. */
  toEnd() {
    this.#divider = null;
    void this.#toNewest();
  }

  get #open() {
    if (!this.#room) throw new Error("No room is open.");
    return this.#room;
  }

  #render() {
    const { room } = this.#app.ui.value;
    if (room !== this.#room) this.#change(room);
    const state = room?.state.value;
    if (state && this.#isAhead(state)) return this.#showAhead(state);
    const isReady = this.#isReady(state);
    const isFilled = isReady && state.messages.length > 0;
    const { opening } = this.#app.ui.value;
    this.#skeleton.hidden = state ? isReady : !opening || this.#app.waits || opening.texts.length > 0;
    this.#hide(this.#earlier, !isFilled || !state.hasOlder);
    this.#start.hidden = !isReady || state.hasOlder || state.loading;
    this.#start.textContent = isFilled ? t.beginning : t.empty;
    this.#scroll.classList.toggle("blank", !isFilled);
    if (!isReady) return;
    if (this.#landed) {
      this.#mark(state);
      this.#show(state, !this.#hadNewer);
      this.#hold(state);
    } else this.#land(state);
    this.#announce(state);
    this.#showPill(state);
  }

  /** @param {RoomState | undefined} state @returns {state is RoomState} */
  #isReady(state) {
    return state !== undefined && (this.#landed || this.#mayLand(state));
  }

  /** Whether only unsent messages are known, as no server has told of the room yet. @param {RoomState} state */
  #isAhead({ room, messages }) {
    return this.#app.waits && !this.#landed && !room && messages.length > 0;
  }

  /** @param {RoomState} state */
  #showAhead(state) {
    this.#skeleton.hidden = this.#start.hidden = true;
    this.#hide(this.#earlier, true);
    this.#scroll.classList.remove("blank");
    this.#show(state);
  }

  /** @param {RoomState} state */
  #show({ messages, hasNewer }, follow = true) {
    this.#virtual.show(this.#rows.of(messages, this.#divider), follow);
    this.#hadNewer = hasNewer;
  }

  /** @param {Room | null} room */
  #change(room) {
    this.#room = room;
    this.#landed = this.#hadNewer = false;
    this.#divider = null;
    this.#unread = 0;
    this.#newest = null;
    this.#virtual.reset();
    this.#hide(this.#pill, true);
    this.#hide(this.#mentions, true);
    this.#announcer.textContent = "";
  }

  /** Remember where what is new begins, if the user does not look at it now. @param {RoomState} state */
  #mark({ room, unread }) {
    const looks = this.#virtual.atEnd && this.#isFocused;
    if (room && unread > 0 && this.#unread === 0 && !looks) this.#divider = room.read_seq;
    this.#unread = unread;
  }

  /** While nobody looks, what is new goes no further than to the top: what has left the view is read by nobody.
   * @param {RoomState} state */
  #hold({ room, messages }) {
    if (this.#isFocused || !this.#virtual.atEnd || this.#divider !== room?.read_seq) return;
    const first = this.#rows.of(messages, this.#divider).find(({ divider }) => divider);
    if (!first || (this.#virtual.node(first.key)?.offsetTop ?? 0) >= this.#scroll.scrollTop) return;
    this.#virtual.toKey(first.key, 0);
  }

  /** Whether it is known where one reads: until then nothing is shown, or one would see the list jump.
   * @param {RoomState} state */
  #mayLand({ room, messages, hasOlder, hasNewer, unread }) {
    if (this.#busy || !room || (!messages.length && hasNewer) || !this.#scroll.clientHeight) return false;
    const isBelow = unread > 0 && hasOlder && (messages[0]?.seq ?? 0) > room.read_seq + 1;
    if (isBelow) this.#load(() => this.#open.around(room.read_seq + 1));
    return !isBelow;
  }

  /** Begin at the first unread message, else at the end. @param {RoomState} state */
  #land(state) {
    const { room, messages, unread } = state;
    const seen = room?.read_seq ?? 0;
    const first = messages.find(({ seq, own, type }) => !own && type !== "system" && (seq ?? 0) > seen);
    this.#divider = unread > 0 && first ? seen : null;
    this.#unread = unread;
    this.#unseen.begin(seen);
    this.#show(state);
    if (this.#divider !== null && first) this.#virtual.toKey(first.key);
    else this.#virtual.toEnd();
    this.#landed = true; // only now: what is visible is read
    this.#moved();
  }

  /** What came is read aloud by a screen reader; the list itself is drawn too often for that.
   * @param {RoomState} state */
  #announce({ messages }) {
    const last = messages.findLast(({ seq }) => seq !== undefined);
    const newest = last?.seq ?? 0;
    if (last && this.#newest !== null && newest > this.#newest && !last.own && !this.#app.deletions.has(last))
      this.#announcer.textContent = this.#spoken(last);
    this.#newest = Math.max(this.#newest ?? 0, newest);
  }

  /** @param {RoomState["messages"][number]} message */
  #spoken(message) {
    if (message.type === "system") return systemSentence(this.#app, message);
    return `${this.#app.name(message.sender_id)}: ${message.text || (message.attachments[0]?.name ?? "")}`;
  }

  /** The end counts of what is drawn: newer messages may be here that are not. @param {RoomState} state */
  #showPill({ unread, messages }) {
    this.#hide(this.#pill, !this.#landed || !messages.length || (this.#virtual.atEnd && !this.#hadNewer));
    const label = h("span", { class: unread ? "" : "spoken" }, t.pill(unread));
    this.#pill.replaceChildren(icon("arrow-down"), label);
    this.#pill.classList.toggle("unread", unread > 0);
    this.#showMentions(messages);
  }

  /** @param {RoomState["messages"]} messages */
  #showMentions(messages) {
    const shown = new Set(this.#virtual.visible().map(({ key }) => key));
    const unseen = this.#unseen.of(messages, (message) => this.#app.deletions.has(message));
    const [next, ...more] = unseen.filter(({ key }) => !shown.has(key));
    this.#hide(this.#mentions, !next);
    if (!next) return;
    this.#mentions.dataset.message = next.message_id ?? "";
    this.#mentions.setAttribute("aria-label", t.mentionPill(more.length + 1));
    this.#mentions.textContent = `@ ${more.length + 1}`;
  }

  /** A button that goes leaves its focus in the list. @param {HTMLElement} button @param {boolean} hidden */
  #hide(button, hidden) {
    if (hidden && document.activeElement === button) this.#scroll.focus({ preventScroll: true });
    button.hidden = hidden;
  }

  #moved() {
    const state = this.#room?.state.value;
    if (!state) return;
    if (!this.#landed) return this.#app.changed(); // it can be seen now: what one reads has a place
    this.#read();
    this.#showPill(state);
    if (this.#scroll.scrollTop < NEAR_TOP && state.hasOlder && !state.loading) this.#older();
    if (this.#virtual.atEnd && state.hasNewer && !state.loading) this.#load(() => this.#open.newer());
  }

  get #isFocused() {
    return document.visibilityState === "visible" && document.hasFocus();
  }

  /** What is visible in a focused window is read. */
  #read() {
    const room = this.#room;
    if (!room || !this.#landed || !this.#isFocused || !this.#scroll.clientHeight) return;
    const seq = this.#virtual.lastVisible(({ message }) => message.seq !== undefined)?.message.seq;
    this.#unseen.see(this.#virtual.visible().map(({ message }) => message));
    if (seq !== undefined && seq > (room.state.value.room?.read_seq ?? 0)) room.markVisible(seq);
  }

  #older() {
    this.#load(() => this.#open.older());
  }

  /** @param {() => Promise<void>} page */
  #load(page) {
    if (this.#busy) return;
    this.#busy = true;
    void this.#app.guard(page()).then(() => {
      this.#busy = false;
      this.#app.changed();
    });
  }

  async #toNewest() {
    const room = this.#room;
    if (!room) return;
    if (room.state.value.hasNewer) await this.#app.guard(room.newest());
    if (room !== this.#room) return;
    this.#show(room.state.value);
    this.#virtual.toEnd();
  }

  /** Bring a quoted message into view. @param {string} message_id */
  async #jump(message_id) {
    const room = this.#open;
    const find = () => room.state.value.messages.find((message) => message.message_id === message_id);
    for (let page = 0; !find() && room.state.value.hasOlder && page < MOST_PAGES; page += 1)
      if (!(await this.#app.guard(room.older()))) return;
    const found = find();
    if (!found || room !== this.#room) return void this.#app.complain(t.notFound);
    this.#show(room.state.value);
    this.#virtual.toKey(found.key);
    const node = this.#virtual.node(found.key);
    node?.focus({ preventScroll: true });
    node?.animate([{ backgroundColor: "var(--flash)" }, { backgroundColor: "transparent" }], 1200);
  }

  /** A picture came, or a film or picture does not come. @param {EventTarget | null} target @param {boolean} isHere */
  #tried(target, isHere) {
    const file = target instanceof Element ? target.closest("[data-file]") : null;
    if (!(file instanceof HTMLElement)) return;
    const { file: id = "" } = file.dataset;
    if (!isHere) this.#app.files.failed(id);
    else if (target instanceof HTMLImageElement) this.#app.files.loaded(id, target);
  }
}
