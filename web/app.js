// @ts-check
// The one store of the page: the client of rts-chat has the chat, `ui` what this window shows of it.
import { Address } from "./address.js";
import { Deletions } from "./deletions.js";
import { batched } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Files } from "./files.js";
import { isRoomId } from "./format.js";
import { focusList } from "./keyboard.js";
import { LeftRooms } from "./left-rooms.js";
import { Opening } from "./opening.js";
import { Quotes } from "./quotes.js";
import { rememberSignedOut } from "./signed-out.js";
import { Store } from "./store.js";
import { explain, t } from "./strings.js";
import { Toasts } from "./toasts.js";
import { isUnsent, unsentOf } from "./unsent.js";
import { createClient, indexedDbStorage, ChatError } from "./vendor/rts-chat.min.js";

/** @typedef {import("./vendor/rts-chat.min.js").Room} Room */
/** @typedef {import("./vendor/rts-chat.min.js").RoomState} RoomState */
/** @typedef {import("./vendor/rts-chat.min.js").RoomSummary} RoomSummary */
/** @typedef {import("./vendor/rts-chat.min.js").ShownMessage} ShownMessage */
/** @typedef {import("./vendor/rts-chat.min.js").Presences} Presences */

/**
 * @typedef {object} Ui
 * @property {Room | null} room the open one
 * @property {Opening | null} opening a chat that is being made
 * @property {boolean} details whether the details of the room are open
 * @property {string} filter
 * @property {boolean} offline for more than a moment
 */

const SILENT = 2000; // ms in which a lost connection is not worth a word
const WATCHED = 200; // most people whose presence is followed

/** @param {string} user */
async function fetchToken(user) {
  const answer = await fetch(`/dev/token?${new URLSearchParams({ user })}`);
  if (!answer.ok) throw new SignInError(t.noToken(answer.status));
  return tokenOf(await answer.json());
}

/** There is a network, but no token. */
class SignInError extends Error {}

/** @param {unknown} body */
function tokenOf(body) {
  if (typeof body === "object" && body && "token" in body) return String(body.token);
  throw new Error("No token in the answer.");
}

export class App {
  ui = new Store(
    /** @type {Ui} */ ({
      room: null,
      opening: null,
      details: false,
      filter: "",
      offline: false,
    }),
  );
  /** @type {Presences} */
  presences = {};
  deletions = new Deletions(this);
  /** @type {LeftRooms} */
  left;
  /** Chats that are being made. @type {Set<Opening>} */
  openings = new Set();
  /** Rooms that the user leaves. @type {Set<string>} */
  leaving = new Set();
  #address = new Address(() => this.#fromAddress());
  /** Whether the open details are a step in the history of the browser. */
  #isStep = false;
  #watched = "";
  /** @type {(() => void) | undefined} */
  #unwatch;
  /** @type {(() => void) | undefined} */
  #leave;
  /** @type {Set<string>} */
  #followed = new Set();
  /** @type {Set<() => void>} */
  #views = new Set();
  #signInFailed = "";
  /** What waits for the next drawing. @type {(() => void)[]} */
  #afterwards = [];
  #drawing = batched(() => this.#draw());

  /** @param {string} user */
  constructor(user) {
    this.user = user;
    this.client = createClient({
      url: location.origin,
      getToken: () => this.#token(),
      userId: user,
      storage: indexedDbStorage(),
      logger: console,
    });
    this.rooms = this.client.rooms();
    this.hidden = this.client.rooms({ hidden: true });
    this.files = new Files(this.changed);
    this.quotes = new Quotes(this.client, this.changed);
    this.toasts = new Toasts(this.changed);
    this.left = new LeftRooms(this);
    this.drafts = new Drafts(user, this.changed, (error, isFile) => {
      console.warn("A draft cannot be kept.", error);
      if (isFile) this.complain(t.filesNotKept);
    });
  }

  /** Something that views show changed. */
  changed = () => this.#drawing.soon();

  /** Call a view for every change; several at once are one call. @param {() => void} render */
  draws(render) {
    this.#views.add(render);
    render();
  }

  /** Do something once the views show what is now. @param {() => void} act */
  afterwards(act) {
    this.#afterwards.push(act);
    this.changed();
  }

  /** Show at once what is now: the next key goes where it leads. */
  draw() {
    this.#drawing.now();
  }

  start() {
    const { client, ui, rooms, hidden } = this;
    for (const one of [client.connection, client.unread, client.session, rooms, hidden])
      one.subscribe(this.changed);
    ui.subscribe(this.changed);
    client.connection.subscribe(({ status }) => this.#connection(status));
    client.on("room.removed", ({ room_id }) => this.#removed(room_id));
    addEventListener("pagehide", () => this.toasts.closeAll());
    // What is written in a room survives; what is written in one that does not exist yet, nothing keeps.
    addEventListener("beforeunload", (event) => [...this.openings].every(({ isEmpty }) => isEmpty) || event.preventDefault());
    client.connect();
    this.left.follow();
    this.#fromAddress();
  }

  /** Why there is no connection, if more is known than that there is none. */
  get trouble() {
    const { status, code, message } = this.client.connection.value;
    if (status !== "offline" || code === undefined) return "";
    return code === "token_unavailable" ? this.#signInFailed : explain({ code, message: message ?? "" });
  }

  signOut() {
    this.toasts.closeAll();
    this.client.close();
    rememberSignedOut(this.user);
    location.assign("/");
  }

  /** Open a room, also by a reload or the way back of the browser. @param {string | null} room_id */
  open(room_id) {
    this.#open(room_id);
    this.draw();
  }

  /** @param {string | null} room_id */
  #open(room_id) {
    this.ui.set({ opening: null });
    if (room_id === null) this.#address.close();
    else this.#address.open(room_id);
    this.#isStep = false;
    this.#show(room_id === null ? null : this.client.room(room_id)); // the browser may be on its way yet
  }

  /** How this user is, as others see it; undefined while that is not known. */
  get ownPresence() {
    return this.presences[this.user];
  }

  /** Show the list, unless the user has gone on to another room. @param {Room} room */
  close(room) {
    if (this.ui.value.room?.room_id === room.room_id) this.open(null);
  }

  /** Show the details, or close them. On a telephone they cover the chat, and the way back closes them.
   * @param {boolean} details */
  showDetails(details) {
    if (details === this.ui.value.details) return;
    const covers = matchMedia("(max-width: 700px)").matches;
    if (details ? covers : this.#isStep) this.#address.showDetails(details);
    this.#isStep = details && covers;
    this.ui.set({ details });
  }

  /** The open room as it is now. @returns {RoomState | null} */
  get state() {
    return this.ui.value.room?.state.value ?? null;
  }

  /** The last message of a room that the server does not have. @param {string} room_id */
  unsent(room_id) {
    const { messages } = this.client.room(room_id).state.value;
    const end = messages.findLastIndex(({ message_id }) => message_id !== undefined); // behind it are those
    return messages.slice(end + 1).findLast(isUnsent);
  }

  /** How many messages of all rooms, and changes, the server does not have. */
  get unfinished() {
    const states = [...this.rooms.value, ...this.hidden.value].map(({ room_id }) => this.client.room(room_id).state.value);
    const all = states.flatMap(({ messages }) => messages);
    const unsent = states.flatMap(unsentOf);
    const changes = [...states, ...all].reduce((sum, { pending = [] }) => sum + pending.length, 0);
    return { messages: unsent.length, changes };
  }

  /** Whether what is sent now waits for a connection, as far as the user is told. */
  get waits() {
    return this.ui.value.offline || this.client.connection.value.status === "refused";
  }

  /** @param {string} user_id */
  name(user_id) {
    return user_id === this.user ? t.you : this.client.name(user_id);
  }

  /** Answer or edit a message; undefined: write a new one. @param {Room} room
   * @param {import("./drafts.js").Composing | undefined} composing */
  compose(room, composing) {
    if (composing?.mode === "edit") composing.text ??= composing.message.text;
    this.drafts.compose(room.room_id, composing);
    document.dispatchEvent(new Event("compose"));
  }

  /** Bring a message of the open room into view. @param {string} message_id */
  jump(message_id) {
    document.dispatchEvent(new CustomEvent("jump", { detail: message_id }));
  }

  /** Show a chat at once and make it meanwhile. @param {string} title @param {() => Promise<Room>} make */
  async create(title, make) {
    const before = this.ui.value.room;
    const opening = new Opening(title);
    this.openings.add(opening);
    this.showOpening(opening);
    try {
      const room = await make();
      opening.moveInto(room);
      this.openings.delete(opening);
      if (this.ui.value.opening === opening) this.open(room.room_id);
    } catch (error) {
      this.openings.delete(opening);
      if (this.ui.value.opening === opening) this.#show(before);
      this.failed(error);
    }
  }

  /** @param {Opening | undefined} opening */
  showOpening(opening) {
    if (!opening) return;
    this.#show(null);
    this.ui.set({ opening });
    this.draw();
  }

  /** Do something that the server may refuse; the user is told then.
   * @param {Promise<unknown>} work @returns {Promise<boolean>} whether it was done */
  async guard(work) {
    try {
      await work;
      return true;
    } catch (error) {
      this.failed(error);
      return false;
    }
  }

  /** The same for what shows only once it is done: without a connection the user is told that it waits.
   * @param {Promise<unknown>} work */
  order(work) {
    if (this.waits) this.toast(t.later);
    return this.guard(work);
  }

  /** @param {unknown} error */
  failed(error) {
    if (error instanceof ChatError && error.code === "closed") return;
    if (!(error instanceof ChatError)) console.error(error);
    this.complain(error instanceof ChatError ? explain(error, this.state) : t.wrong);
  }

  /** Tell the user what was done. @param {string} text */
  toast(text) {
    this.toasts.show(text);
  }

  /** Tell the user what could not be done. @param {string} text */
  complain(text) {
    this.toasts.show(text, { isError: true });
  }

  #fromAddress() {
    const { room_id, details } = this.#address;
    this.#show(isRoomId(room_id) ? this.client.room(room_id) : null);
    if (details || this.#isStep) this.ui.set({ details });
    this.#isStep = details;
  }

  /** @param {Room | null} room */
  #show(room) {
    const before = this.ui.value.room;
    if (room === before) return this.ui.set({ opening: null });
    if (before) before.typing(false);
    this.#leave?.();
    const stops = room ? [room.watch(), room.state.subscribe(this.changed)] : [];
    this.#leave = () => stops.forEach((stop) => stop());
    this.ui.set({ room, opening: null, details: false });
    document.dispatchEvent(new Event("room"));
    if (before) this.afterwards(() => this.isList && focusList(before.room_id));
  }

  async #token() {
    try {
      const token = await fetchToken(this.user);
      this.#signInFailed = "";
      return token;
    } catch (error) {
      this.#signInFailed = error instanceof SignInError ? error.message : "";
      throw error;
    }
  }

  /** Whether no chat is open. */
  get isList() {
    const { room, opening } = this.ui.value;
    return !room && opening === null;
  }

  /** @param {string} status */
  #connection(status) {
    if (status === "online") this.files.retry();
    if (status === "online" || status === "refused") return this.ui.set({ offline: false });
    setTimeout(() => {
      const now = this.client.connection.value.status;
      if (now !== "online" && now !== "refused") this.ui.set({ offline: true });
    }, SILENT);
  }

  #draw() {
    this.#followRooms();
    this.#followPresence();
    this.left.tell();
    const { room } = this.ui.value;
    if (room?.state.value.gone) {
      if (!room.state.value.title) this.complain(t.notYours); // an address: of one that was theirs #removed tells
      this.#open(null);
    }
    for (const render of this.#views) render();
    for (const act of this.#afterwards.splice(0)) act();
  }

  /** The user is no member any more, of whichever room. @param {string} room_id */
  #removed(room_id) {
    const { title } = this.client.room(room_id).state.value;
    if (!this.leaving.delete(room_id)) this.toast(t.youLeft(title));
    this.left.add(room_id, title);
  }

  /** Drafts and unsent messages stand in the list too. */
  #followRooms() {
    for (const { room_id } of this.rooms.value) {
      if (this.#followed.has(room_id)) continue;
      this.#followed.add(room_id);
      this.client.room(room_id).state.subscribe(this.changed);
    }
  }

  #followPresence() {
    const members = this.state?.members.map(({ user_id }) => user_id) ?? [];
    const partners = this.rooms.value.flatMap(({ partner }) => partner ?? []);
    const people = [...new Set([this.user, ...members, ...partners])];
    const wanted = people.slice(0, WATCHED).sort();
    if (wanted.join(" ") === this.#watched) return;
    this.#watched = wanted.join(" ");
    const before = this.#unwatch;
    this.#unwatch = this.client.presence(wanted).subscribe((presences) => {
      this.presences = presences;
      this.changed();
    });
    before?.();
  }
}
