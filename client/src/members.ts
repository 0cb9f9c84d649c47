import type { Cursor, LogEvent, Member } from "../types.js";

/** The members of a room, once they were listed, and how far each has come. */
export class Members {
  loaded = false;
  readonly #members = new Map<string, Member>();
  #list: readonly Member[] | undefined = [];
  /** Events since the list was asked for: it may have been read before them. */
  #meanwhile: LogEvent[] | undefined;

  /** In the order of the server: by user id. The same array until something changes. */
  get list(): readonly Member[] {
    return (this.#list ??= [...this.#members.values()].sort((a, b) => (a.user_id < b.user_id ? -1 : 1)));
  }

  get(user_id: string): Member | undefined {
    return this.#members.get(user_id);
  }

  /** Call it before asking for the list. */
  expect(): void {
    this.#meanwhile = [];
  }

  /** Hold exactly these, and what happened since they were asked for. */
  replace(members: readonly Member[]): void {
    const gone = new Set(this.#members.keys());
    for (const member of members) {
      gone.delete(member.user_id);
      this.#set(member);
    }
    for (const user_id of gone) this.#members.delete(user_id);
    this.loaded = true;
    this.#list = undefined;
    for (const event of this.#meanwhile ?? []) this.#change(event);
    this.#meanwhile = undefined;
  }

  apply(event: LogEvent): void {
    this.#meanwhile?.push(event);
    this.#change(event);
  }

  #change(event: LogEvent): void {
    if (event.type === "member.added" || event.type === "member.updated")
      for (const member of event.data.members) this.#set(member);
    if (event.type === "member.removed")
      for (const { user_id } of event.data.members) {
        this.#members.delete(user_id);
        this.#list = undefined;
      }
    if (event.type === "message.new" && event.data.message.type !== "system") {
      // Who writes has read what came before.
      const { sender_id, seq } = event.data.message;
      this.receipts([{ user_id: sender_id, read_seq: seq, delivered_seq: seq }]);
    }
  }

  /** Cursors only move forward. */
  receipts(cursors: readonly Cursor[]): void {
    for (const cursor of cursors) {
      const member = this.#members.get(cursor.user_id);
      if (member) this.#set({ ...member, ...cursor });
    }
  }

  /** How far all but `me` have come; 0 where there is nobody else, or nobody is known. */
  reached(me: string): { read: number; delivered: number } {
    const others = this.list.filter(({ user_id }) => user_id !== me);
    if (others.length === 0) return { read: 0, delivered: 0 };
    return {
      read: Math.min(...others.map(({ read_seq }) => read_seq)),
      delivered: Math.min(...others.map(({ delivered_seq }) => delivered_seq)),
    };
  }

  #set(member: Member): void {
    const old = this.#members.get(member.user_id);
    const read_seq = Math.max(member.read_seq, old?.read_seq ?? 0);
    const delivered_seq = Math.max(member.delivered_seq, old?.delivered_seq ?? 0);
    this.#members.set(member.user_id, { ...old, ...member, read_seq, delivered_seq });
    this.#list = undefined;
  }
}
