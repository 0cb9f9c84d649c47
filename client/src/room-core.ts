import type { Commands, Cursor, LogEvent, Message, Room as RoomView, RoomCursor, SentAnswer } from "../types.js";
import { backoff, pause } from "./backoff.ts";
import type { Commander } from "./connection.ts";
import { asChatError } from "./error.ts";
import { History } from "./history.ts";
import { Cell, isSame, Value } from "./observable.ts";
import { attachmentsOf, Outbox, type Unsent } from "./outbox.ts";
import type { Position } from "./position.ts";
import { Replica } from "./replica.ts";
import type { RoomState } from "./room-state.ts";
import { Rows } from "./rows.ts";
import type { ChatStorage } from "./storage.ts";

type InRoom<Name extends keyof Commands> = Omit<Commands[Name]["payload"], "room_id">;

/** What a room needs of the client. */
export interface RoomOwner {
  readonly connection: Commander;
  readonly storage: ChatStorage;
  /** The client that this is, among those that share the storage. */
  readonly tab: string;
  /** The user; "" before the first session. */
  readonly me: string;
  /** Keys of a room's unsent messages begin so; undefined while the user is not known. */
  outboxPrefix(room_id: string): string | undefined;
  keepDraft(room_id: string, text: string): void;
  name(user_id: string): string | undefined;
  met(members: readonly { user_id: string; name?: string }[]): void;
  /** The room as the list shows it changed. */
  changed(): void;
  /** The room needs a snapshot. */
  want(core: RoomCore): void;
  /** Something arrived, or was read if `isRead`, that the server does not know yet. */
  report(isRead?: boolean): void;
  /** Events that waited for a snapshot count now. */
  heard(events: readonly LogEvent[]): void;
  warn(message: string, error: unknown): void;
}

/** A room from within: events and answers go in, its state comes out, and what is missing is fetched. */
export class RoomCore {
  readonly room_id: string;
  readonly owner: RoomOwner;
  readonly state: Cell<RoomState>;
  readonly replica = new Replica();
  readonly history: History;
  readonly outbox: Outbox;
  readonly draft = new Value("");
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

  constructor(room_id: string, owner: RoomOwner) {
    const changed = () => this.state.changed();
    this.room_id = room_id;
    this.owner = owner;
    this.state = new Cell(() => this.#compute());
    this.history = new History(owner.connection, room_id, this.replica.timeline, changed);
    this.outbox = new Outbox({
      room_id,
      connection: owner.connection,
      storage: owner.storage,
      tab: owner.tab,
      prefix: () => owner.outboxPrefix(room_id),
      seq: () => this.replica.view?.seq,
      changed,
      acked: (unsent, answer) => this.#acked(unsent, answer),
      warn: (message, error) => owner.warn(message, error),
    });
    this.#rows = new Rows(room_id, this.replica, this.outbox);
    let kept = this.draft.value;
    this.draft.subscribe((text) => {
      if (text !== kept) owner.keepDraft(room_id, (kept = text));
      changed();
    });
  }

  /** The room as the server shows it; undefined while it is unknown, or not the user's. */
  get view(): RoomView | undefined {
    return this.#gone ? undefined : this.replica.view;
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
    this.outbox.keep();
    this.outbox.confirm();
    this.outbox.flush();
    this.replica.members.loaded = false;
    if (this.#watchers > 0) void this.#load();
    this.#moved();
  }

  offline(): void {
    this.types([]);
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

  read(seq: number): void {
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

  #acked(unsent: Unsent, { message_id, seq, epoch, created_at }: SentAnswer): void {
    const { client_msg_id, text, fields } = unsent;
    const attachments = attachmentsOf(unsent);
    this.replica.timeline.acked({
      message_id,
      client_msg_id,
      room_id: this.room_id,
      seq,
      epoch,
      sender_id: this.owner.me,
      type: attachments.length ? "file" : "text",
      text,
      attachments,
      mentions: fields.mentions ?? [],
      ...(fields.reply_to !== undefined && { reply_to: fields.reply_to }),
      reactions: {},
      metadata: fields.metadata ?? {},
      version: 0, // the event, or a page, is newer
      created_at,
    });
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
        if (refused.code === "not_found") this.lose();
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
      unread: view?.unread ?? 0,
      role: view?.role,
      muted: view?.muted ?? false,
      hidden: view?.hidden ?? false,
      frozen: view?.frozen ?? false,
      draft: this.draft.value,
    };
  }
}
