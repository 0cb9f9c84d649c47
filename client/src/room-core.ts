import type { Commands, Cursor, LogEvent, Message, Room as RoomView, RoomCursor } from "../types.js";
import { textOf } from "./args.ts";
import { isAttentive, onAttention } from "./attention.ts";
import { backoff, pause } from "./backoff.ts";
import { Changes } from "./changes.ts";
import { asChatError, type ChatError, isNowhere } from "./error.ts";
import { History } from "./history.ts";
import { acked, shown, type ShownMessage } from "./message.ts";
import { Cell, isSame, Value } from "./observable.ts";
import { Outbox } from "./outbox.ts";
import { changedRoom } from "./overlay.ts";
import type { Position } from "./position.ts";
import { Replica } from "./replica.ts";
import type { RoomOwner, UnsentKind } from "./room-owner.ts";
import type { RoomState } from "./room-state.ts";
import { Rows } from "./rows.ts";

type InRoom<Name extends keyof Commands> = Omit<Commands[Name]["payload"], "room_id">;

/** A room from within: events and answers go in, its state comes out, and what is missing is fetched. */
export class RoomCore {
  readonly room_id: string;
  readonly owner: RoomOwner;
  readonly state: Cell<RoomState>;
  readonly replica = new Replica();
  readonly history: History;
  readonly outbox: Outbox;
  readonly changes: Changes;
  readonly draft = new Value("", (text) => textOf("text", text));
  /** Its members were read: names that are not known by now, the server does not know. */
  isMet = false;
  readonly #rows: Rows;
  #watchers = 0;
  #gone = false;
  #typing: readonly string[] = [];
  #receipts: readonly Cursor[] = [];
  #toldRead = 0;
  #loading = false;
  #isToLoad = false;
  /** What is in view of a page that nobody looks at. */
  #seen = 0;
  #unsee: (() => void) | undefined;
  #shown: { view: RoomView | undefined; changes: Changes["list"]; as: RoomView | undefined } | undefined;

  constructor(room_id: string, owner: RoomOwner) {
    const changed = () => this.state.changed();
    this.room_id = room_id;
    this.owner = owner;
    this.state = new Cell(() => this.#compute());
    this.history = new History(owner.connection, room_id, this.replica.timeline, changed);
    const { connection, kept } = owner;
    const warn = (message: string, error: unknown) => owner.warn(message, error);
    const common = { room_id, connection, storage: kept.storage, tab: kept.tab, warn };
    this.outbox = new Outbox({
      ...common,
      prefix: () => kept.prefix("outbox", room_id),
      seq: () => this.replica.view?.seq,
      mostFiles: () => owner.mostFiles,
      changed: () => {
        changed();
        this.changes.flush(); // it may have waited for a message
      },
      acked: (unsent, answer) => this.replica.timeline.acked(acked(unsent, answer, room_id, owner.me)),
    });
    this.changes = new Changes({
      ...common,
      prefix: () => kept.prefix("change", room_id),
      isBehind: (created_at) => this.outbox.isBehind(created_at),
      answered: (message) => this.take(message),
      changed: () => {
        changed();
        owner.changed();
      },
    });
    this.#rows = new Rows(room_id, this.replica, this.outbox, this.changes);
    let draft = this.draft.value;
    this.draft.subscribe((text) => {
      if (text !== draft) kept.keepDraft(room_id, (draft = text));
      changed();
    });
  }

  /** The room with what this user changes of it; undefined while it is unknown, or not the user's. */
  get view(): RoomView | undefined {
    if (this.#gone) return undefined;
    const { view } = this.replica;
    const changes = this.changes.list;
    if (this.#shown?.view !== view || this.#shown?.changes !== changes)
      this.#shown = { view, changes, as: view && changedRoom(view, changes) };
    return this.#shown.as;
  }

  get cursor(): RoomCursor | undefined {
    return this.#gone ? undefined : this.replica.cursor;
  }

  /** Its name, or of a direct room the other person's; "" until its members say whether they have one. */
  get title(): string {
    const { view } = this.replica;
    if (view?.type !== "direct") return view?.name ?? "";
    const partner = this.partner;
    if (partner === undefined) return "";
    return this.owner.name(partner) ?? (this.isMet ? partner : "");
  }

  /** The other person of a direct room, as far as known. */
  get partner(): string | undefined {
    const { view, members } = this.replica;
    if (view?.type !== "direct") return undefined;
    const { me } = this.owner;
    const known = [...members.list.map(({ user_id }) => user_id), view.created_by];
    return [...known, view.last_message?.sender_id].find((user_id) => user_id !== me);
  }

  /** What the server does not know yet: how far messages have arrived, and how far they were read. */
  get unreported(): { delivered?: number; read?: number } {
    const view = this.view;
    if (!view) return {};
    const delivered = view.seq > view.delivered_seq && { delivered: view.seq };
    const read = view.read_seq > this.#toldRead && { read: view.read_seq };
    return { ...delivered, ...read };
  }

  reported({ delivered = 0, read = 0 }: { delivered?: number; read?: number }): void {
    this.#toldRead = Math.max(this.#toldRead, read);
    const before = this.replica.view?.delivered_seq ?? 0;
    this.replica.settle({ delivered_seq: Math.max(delivered, before) });
  }

  watch(): () => void {
    this.#watchers += 1;
    if (this.#watchers === 1) void this.#load();
    let watching = true;
    return () => {
      if (watching) this.#watchers -= 1;
      watching = false;
      if (this.#watchers === 0) this.#forgetSeen();
      this.#trim();
    };
  }

  command<Name extends keyof Commands>(
    name: Name,
    payload: InRoom<Name>,
  ): Promise<Commands[Name]["answer"]> {
    const whole = { ...payload, room_id: this.room_id } as unknown as Commands[Name]["payload"];
    return this.owner.connection.command(name, whole);
  }

  /** Take a snapshot. */
  learn(view: RoomView): void {
    const isBack = this.#gone;
    this.#gone = false;
    this.#toldRead = Math.max(this.#toldRead, view.read_seq);
    const events = this.replica.learn(view, this.owner.me);
    for (const event of events) this.#note(event);
    this.owner.heard(events);
    this.#moved();
    if (isBack && this.#watchers > 0) void this.#load();
  }

  /** Take an event of the log. Returns whether it is new. */
  hear(event: LogEvent): boolean {
    const isNew = this.replica.apply(event, this.owner.me);
    if (isNew) this.#note(event);
    this.#trim();
    this.#moved();
    return isNew;
  }

  /** Events are missing: go on from `position`, or from the next snapshot. */
  reset(position?: Position): void {
    this.replica.reset(position);
    if (this.#watchers === 0) this.history.drop();
    else {
      this.history.invalidate();
      void this.#load();
    }
    this.#moved();
  }

  /** All rooms were listed: if this one was not among them and events wait, it needs a snapshot. */
  missing(): void {
    if (!this.replica.waits) return;
    this.replica.stale = true;
    this.#moved();
  }

  /** The user is no member any more. */
  lose(): void {
    this.#gone = true;
    this.replica.reset();
    this.replica.stale = false;
    this.history.drop();
    this.#moved();
  }

  /** A session begins: what is unsent goes out first. Receipts are not repeated, so they are read. */
  online(): void {
    this.outbox.resume();
    this.changes.flush(); // before messages that were typed later
    this.outbox.flush();
    this.replica.members.loaded = false;
    this.replica.resume();
    if (this.#watchers > 0) void this.#load();
    this.#moved();
  }

  /** It is known who the user is: store what is unsent. */
  keep(): void {
    this.outbox.keep();
    this.changes.keep();
  }

  /** What a closed page left unsent. */
  restore(kind: UnsentKind, entries: readonly [key: string, stored: unknown][]): void {
    (kind === "outbox" ? this.outbox : this.changes).restore(entries);
  }

  offline(): void {
    this.types([]);
  }

  /** The client leaves: whoever waits for a change is told. */
  close(error: ChatError): void {
    this.outbox.close();
    this.changes.close(error);
  }

  settle(state: Partial<Pick<RoomView, "muted" | "hidden" | "role">>): void {
    this.replica.settle(state);
    this.#moved();
  }

  recount(data: { unread: number; read_seq: number }): void {
    this.#toldRead = Math.max(this.#toldRead, data.read_seq);
    this.replica.recount(data);
    this.#moved();
  }

  /** Everything up to `seq` is in view: it is read by whoever looks, or once somebody does. */
  see(seq: number): void {
    if (isAttentive()) return this.#read(seq);
    this.#seen = Math.max(this.#seen, seq);
    this.#unsee ??= onAttention(() => {
      const seen = this.#seen;
      this.#forgetSeen();
      this.#read(seen);
    });
  }

  #forgetSeen(): void {
    this.#unsee?.();
    this.#unsee = undefined;
    this.#seen = 0;
  }

  #read(seq: number): void {
    if (!this.replica.read(seq, this.owner.me)) return;
    this.#moved();
    this.owner.report(true);
  }

  receipts(cursors: readonly Cursor[]): void {
    this.replica.members.receipts(cursors);
    this.state.changed();
  }

  types(user_ids: readonly string[]): void {
    if (user_ids.length + this.#typing.length === 0) return;
    this.#typing = user_ids.filter((user_id) => user_id !== this.owner.me);
    this.state.changed();
  }

  durable(client_msg_id: string): void {
    this.outbox.durable(client_msg_id);
  }

  /** A message as it is shown outside of the list, where its status is not known. */
  show(message: Message): ShownMessage {
    return shown(message, this.owner.me, undefined, this.changes.of(message.message_id));
  }

  /** The answer of a command on a message may come before its event. */
  take(message: Message): void {
    this.replica.timeline.update(message);
    this.state.changed();
  }

  async loadMembers(): Promise<void> {
    try {
      await this.#readMembers();
      this.isMet = true;
    } finally {
      this.#moved();
    }
  }

  /** All pages. */
  async #readMembers(): Promise<void> {
    const { members } = this.replica;
    const found = [];
    let cursor: string | null = null;
    members.expect();
    do {
      const page: Commands["member.list"]["answer"] = await this.command(
        "member.list",
        cursor === null ? {} : { cursor },
      );
      found.push(...page.members);
      cursor = page.next_cursor;
    } while (cursor !== null);
    members.replace(found);
    this.owner.met(found);
  }

  #note(event: LogEvent): void {
    if ("members" in event.data) this.owner.met(event.data.members);
    if (event.type === "message.new") this.#said(event.data.message);
    if (event.type === "message.failed") this.outbox.failed(event.data.client_msg_id ?? "", event.data.seq);
  }

  /** Who has said something does not type any more; the server's list may tell it later. */
  #said({ sender_id, type, client_msg_id }: Message): void {
    if (type === "system") return;
    if (this.#typing.includes(sender_id)) this.#typing = this.#typing.filter((one) => one !== sender_id);
    if (sender_id === this.owner.me) this.outbox.heard(client_msg_id);
  }

  #moved(): void {
    if (this.replica.stale) this.owner.want(this);
    this.state.changed();
    this.owner.changed();
    this.owner.report();
  }

  /** Messages and members, tried again while somebody watches. */
  async #load(): Promise<void> {
    this.#isToLoad = true;
    if (this.#loading) return;
    this.#loading = true;
    for (let attempt = 0; this.#isToLoad && this.#watchers > 0; attempt += 1) {
      this.#isToLoad = false;
      const { members } = this.replica;
      try {
        await Promise.all([this.history.hold(), members.loaded || this.loadMembers()]);
        // Of what was read before events were missed nothing is certain.
        members.loaded &&= !this.#isToLoad;
      } catch (error) {
        const refused = asChatError(error);
        if (isNowhere(refused)) this.lose();
        else this.owner.warn("A room cannot be loaded.", refused);
        if (!refused.retryable) break;
        this.#isToLoad = true;
        await pause(backoff(attempt));
      }
    }
    this.#loading = false;
  }

  /** What nobody watches is kept for the next time, but not without end. */
  #trim(): void {
    if (this.#watchers === 0) this.replica.timeline.trim();
  }

  /** Of a room that is not the user's there is nothing more to load. */
  #ends(): Pick<RoomState, "hasOlder" | "hasNewer"> {
    const { hasOlder, hasNewer } = this.replica.timeline;
    return this.#gone ? { hasOlder: false, hasNewer: false } : { hasOlder, hasNewer };
  }

  /** What the room is to this user. */
  #standing(): Pick<RoomState, "unread" | "role" | "muted" | "hidden" | "frozen" | "pending"> {
    const { unread = 0, role, muted = false, hidden = false, frozen = false } = this.view ?? {};
    const { kinds } = this.changes;
    return { unread, role, muted, hidden, frozen, ...(kinds.length > 0 && { pending: kinds }) };
  }

  #compute(): RoomState {
    const { members } = this.replica;
    const { view, partner } = this;
    const others = members.list.filter(({ user_id }) => user_id !== this.owner.me);
    if (!isSame(others, this.#receipts)) this.#receipts = others;
    return {
      room_id: this.room_id,
      title: this.title,
      ...(partner !== undefined && { partner }),
      room: view,
      gone: this.#gone,
      messages: this.#rows.list(this.owner.me),
      ...this.#ends(),
      loading: this.history.loading,
      members: members.list,
      receipts: this.#receipts,
      typing: this.#typing,
      ...this.#standing(),
      draft: this.draft.value,
    };
  }
}
