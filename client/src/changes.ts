import type { Commands, Message } from "../types.js";
import { isObject } from "./args.ts";
import { backoff } from "./backoff.ts";
import type { Commander } from "./connection.ts";
import { asChatError, type ChatError, refusal } from "./error.ts";
import { uuid7 } from "./id.ts";
import { Kept, type KeptOwner } from "./kept.ts";

type Name = "message.edit" | "message.delete" | "message.react" | "room.mute" | "room.hide";

const NAMES: Readonly<Record<Name, true>> = {
  "message.edit": true,
  "message.delete": true,
  "message.react": true,
  "room.mute": true,
  "room.hide": true,
};

/** A command that changes what is there, without its room. */
export type Change = { [One in Name]: { readonly name: One; readonly payload: InRoom<One> } }[Name];
type InRoom<One extends Name> = Omit<Commands[One]["payload"], "room_id">;

export type MessageChangeKind = "edit" | "delete" | "react";
export type RoomChangeKind = "mute" | "hide";

/** A change that the server has not answered. */
export interface Pending {
  readonly id: string;
  readonly created_at: string;
  readonly change: Change;
  /** Whoever made it waits for the end; nobody after a reload. */
  readonly caller?: { done: () => void; fail: (error: ChatError) => void };
}

/** A change of a message that was refused, and is not shown any more. */
export interface RefusedChange {
  readonly kind: MessageChangeKind;
  readonly error: ChatError;
  /** What an edit would have said. */
  readonly text?: string;
  /** Forget that it was refused. */
  discard(): void;
}

/** What is on its way, or was refused, for one message: the same object until that changes. */
export interface MessageChanges {
  readonly pending: readonly Pending[];
  readonly kinds: readonly MessageChangeKind[];
  readonly refused?: RefusedChange;
}

type Stored = Change & Pick<Pending, "id" | "created_at">;

export interface ChangesOwner extends KeptOwner {
  readonly room_id: string;
  readonly connection: Commander;
  /** Whether a message that was typed before this time (ISO 8601) has to go first. */
  isBehind: (created_at: string) => boolean;
  answered: (message: Message) => void;
  changed: () => void;
}

/**
 * Changes of one room that the server has not answered, in the order of the calls: shown over the state of the log
 * until then, sent one after another, behind messages that were typed before, and repeated as those are.
 */
export class Changes {
  readonly #owner: ChangesOwner;
  readonly #kept: Kept<Pending>;
  #list: readonly Pending[] = [];
  readonly #messages = new Map<string, MessageChanges>();
  readonly #refused = new Map<string, RefusedChange>();
  #kinds: readonly RoomChangeKind[] = [];
  #sending = false;
  #attempts = 0;
  #notBefore = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(owner: ChangesOwner) {
    this.#owner = owner;
    this.#kept = new Kept(owner);
  }

  get list(): readonly Pending[] {
    return this.#list;
  }

  /** What changes of the room itself. */
  get kinds(): readonly RoomChangeKind[] {
    return this.#kinds;
  }

  of(message_id: string): MessageChanges | undefined {
    if (this.#messages.size === 0) return undefined; // of 10,000 messages none is looked up
    return this.#messages.get(message_id);
  }

  /** Resolves when the server has done it. Rejects with ChatError, and the change is gone; `closed`: it goes on later. */
  make(change: Change): Promise<void> {
    return new Promise((done, fail) => {
      const pending = { id: uuid7(), created_at: new Date().toISOString(), change, caller: { done, fail } };
      this.#list = [...this.#list, pending];
      this.#refused.delete(messageOf(change) ?? "");
      this.#store(pending);
      this.#renew(change);
      this.flush(pending);
    });
  }

  /** What a closed page left, before what was added here. */
  restore(entries: readonly [key: string, stored: unknown][]): void {
    const known = new Set(this.#list.map(({ id }) => id));
    const older: Pending[] = [];
    for (const [key, value] of entries) {
      if (!isStored(value)) {
        this.#kept.drop(key);
        continue;
      }
      const { id, created_at, name, payload } = value;
      if (known.has(id)) continue;
      const pending: Pending = { id, created_at, change: { name, payload } as Change };
      this.#kept.found(pending, key);
      older.push(pending);
    }
    this.#list = [...older, ...this.#list];
    for (const { change } of older) this.#renew(change);
    this.flush();
  }

  /** The user is known: store what was added before. */
  keep(): void {
    for (const pending of this.#list) if (!this.#kept.has(pending)) this.#store(pending);
  }

  /** Nobody sends for now: whoever waits is told. What is on its way stays. */
  close(error: ChatError): void {
    clearTimeout(this.#timer);
    for (const { caller } of this.#list) caller?.fail(error);
  }

  /** Send what may leave now; call it whenever that may have changed. `made` is a change of this moment. */
  flush(made?: Pending): void {
    const [next] = this.#list;
    const { connection, isBehind } = this.#owner;
    if (!next || this.#sending || !connection.online || isBehind(next.created_at)) return;
    clearTimeout(this.#timer);
    const wait = this.#notBefore - Date.now();
    if (wait > 0) this.#timer = setTimeout(() => this.flush(), wait);
    else void this.#send(next, next === made);
  }

  /** One that waited is asked for first: sent by two clients, it would undo what was changed after it. */
  async #send(next: Pending, isNew: boolean): Promise<void> {
    this.#sending = true;
    if (!isNew && !(await this.#kept.isOurs(next))) this.#leave(next);
    else if (this.#owner.connection.online) await this.#ask(next);
    this.#sending = false;
    this.flush();
  }

  async #ask(next: Pending): Promise<void> {
    const { connection, room_id, answered } = this.#owner;
    const { name, payload } = next.change;
    try {
      const answer = await connection.once(name, { ...payload, room_id });
      if ("message" in answer) answered(answer.message); // first, or what was there before would be seen again
      this.#end(next);
      next.caller?.done();
    } catch (error) {
      this.#failed(next, asChatError(error));
    }
  }

  /** To the client that took it over: the entry is that one's. */
  #leave(pending: Pending): void {
    this.#drop(pending);
    pending.caller?.fail(refusal("closed", "Another client of this user took the change over, and sends it."));
  }

  #failed(next: Pending, error: ChatError): void {
    if (error.retryable || error.code === "closed") {
      this.#notBefore = Date.now() + (error.retryAfterMs ?? backoff(this.#attempts));
      this.#attempts += 1;
      return;
    }
    this.#refuse(next.change, error);
    this.#end(next);
    if (next.caller) next.caller.fail(error);
    else this.#owner.warn(`A change that an earlier page made was refused: ${next.change.name}.`, error);
  }

  #refuse(change: Change, error: ChatError): void {
    const message_id = messageOf(change);
    if (message_id === undefined) return;
    const kind = kindOf(change) as MessageChangeKind;
    const text = change.name === "message.edit" ? change.payload.text : undefined;
    const discard = () => {
      if (this.#refused.get(message_id) !== refused) return;
      this.#refused.delete(message_id);
      this.#renew(change);
    };
    const refused: RefusedChange = { kind, error, ...(text !== undefined && { text }), discard };
    this.#refused.set(message_id, refused);
  }

  #end(pending: Pending): void {
    this.#kept.remove(pending);
    this.#drop(pending);
  }

  #drop(pending: Pending): void {
    this.#attempts = this.#notBefore = 0;
    this.#list = this.#list.filter((one) => one !== pending);
    this.#renew(pending.change);
  }

  /** What this change is about has other changes now. */
  #renew(change: Change): void {
    const message_id = messageOf(change);
    const pending = this.#list.filter((one) => messageOf(one.change) === message_id);
    if (message_id === undefined) this.#kinds = kindsOf(pending) as RoomChangeKind[];
    else {
      const refused = this.#refused.get(message_id);
      if (pending.length === 0 && !refused) this.#messages.delete(message_id);
      else
        this.#messages.set(message_id, {
          pending,
          kinds: kindsOf(pending) as MessageChangeKind[],
          ...(refused && { refused }),
        });
    }
    this.#owner.changed();
  }

  #store(pending: Pending): void {
    const { id, created_at, change } = pending;
    this.#kept.put(pending, id, { id, created_at, ...change } satisfies Stored);
  }
}

function isStored(value: unknown): value is Stored {
  const { id, created_at, name, payload } = (value ?? {}) as Partial<Stored>;
  const isWhole = [id, created_at, name].every((one) => typeof one === "string") && isObject(payload);
  return isWhole && Object.hasOwn(NAMES, name ?? "");
}

const messageOf = ({ payload }: Change): string | undefined =>
  "message_id" in payload ? payload.message_id : undefined;

type Kind = MessageChangeKind | RoomChangeKind;

const kindOf = ({ name }: Change): Kind => name.slice(name.indexOf(".") + 1) as Kind;

const kindsOf = (pending: readonly Pending[]): Kind[] => [...new Set(pending.map(({ change }) => kindOf(change)))];
