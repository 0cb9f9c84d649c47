import type { Attachment, MessageSendPayload, SentAnswer } from "../types.js";
import { filesOf, objectOf, userIdsOf } from "./args.ts";
import { backoff } from "./backoff.ts";
import type { Commander } from "./connection.ts";
import { asChatError, type ChatError, refusal } from "./error.ts";
import { uuid7 } from "./id.ts";
import type { ChatStorage } from "./storage.ts";
import { Upload } from "./upload.ts";

/** What is to be said. */
export interface Draft {
  text?: string;
  files?: readonly File[];
  /** message_id of the message this answers. */
  replyTo?: string;
  mentions?: readonly string[];
  metadata?: Record<string, unknown>;
}

/**
 * A message that is not durable yet.
 *
 * `sent`: on its way. `heard`: in the log, since its event came; what is left is the ack, which says
 * whether it is durable. `accepted`: the ack said that it is not, and message.status follows.
 * `refused`: for good, until the user retries or discards it.
 */
export interface Unsent {
  readonly client_msg_id: string;
  readonly created_at: string;
  readonly text: string;
  readonly uploads: readonly Upload[];
  readonly attachments: readonly Attachment[];
  readonly fields: Pick<MessageSendPayload, "reply_to" | "mentions" | "metadata">;
  phase: "uploading" | "waiting" | "sent" | "heard" | "accepted" | "refused";
  /** Its files did not survive a reload. */
  readonly isLost: boolean;
  /** message.status came before the ack. */
  durable: boolean;
  attempts: number;
  notBefore: number;
  error: ChatError | undefined;
  /** The seq behind which it was refused: there it stays, until it is sent again. */
  after: number | undefined;
}

type Stored = Pick<Unsent, "client_msg_id" | "created_at" | "text" | "attachments" | "fields"> & {
  /** The client that sends it, as long as it lives. */
  tab: string;
  files: File[];
  accepted: boolean;
  after?: number;
};

export interface OutboxOwner {
  readonly room_id: string;
  readonly connection: Commander;
  readonly storage: ChatStorage;
  /** The client that this is. */
  readonly tab: string;
  /** Keys of this room's unsent messages begin so; undefined while the user is not known. */
  prefix: () => string | undefined;
  /** The newest of the room; undefined while that is not known. */
  seq: () => number | undefined;
  changed: () => void;
  acked: (unsent: Unsent, answer: SentAnswer) => void;
  warn: (message: string, error: unknown) => void;
}

/**
 * The messages of one room that are not durable yet, in the order of typing. The next one leaves when
 * the one before stands in the log, and not before: a repeated one would come behind it. Files that
 * are still on their way and what was refused for good hold up nobody.
 */
export class Outbox {
  #list: readonly Unsent[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #keys = new WeakMap<Unsent, string>();
  readonly #owner: OutboxOwner;
  #count = 0;

  constructor(owner: OutboxOwner) {
    this.#owner = owner;
  }

  get list(): readonly Unsent[] {
    return this.#list;
  }

  get(client_msg_id: string): Unsent | undefined {
    return this.#list.find((unsent) => unsent.client_msg_id === client_msg_id);
  }

  /** Append a message; one id, however often it is sent. Throws ChatError. */
  add(draft: Draft): Unsent {
    const { text = "", files = [], replyTo, mentions = [], metadata } = objectOf("draft", draft);
    const mentioned = userIdsOf("mentions", mentions);
    const unsent: Unsent = {
      client_msg_id: uuid7(),
      created_at: new Date().toISOString(),
      text,
      uploads: filesOf("files", files).map((file) => new Upload(file)),
      attachments: [],
      fields: {
        ...(replyTo !== undefined && { reply_to: replyTo }),
        ...(mentioned.length > 0 && { mentions: mentioned }),
        ...(metadata && { metadata }),
      },
      phase: files.length ? "uploading" : "waiting",
      isLost: false,
      durable: false,
      attempts: 0,
      notBefore: 0,
      error: undefined,
      after: undefined,
    };
    this.#list = [...this.#list, unsent];
    this.#store(unsent);
    this.#begin(unsent);
    return unsent;
  }

  /** What a closed page left, before what was added here. */
  restore(entries: readonly [key: string, stored: unknown][]): void {
    const known = new Set(this.#list.map(({ client_msg_id }) => client_msg_id));
    const older: Unsent[] = [];
    for (const [key, value] of entries) {
      const unsent = restored(value as Stored);
      if (known.has(unsent.client_msg_id)) continue;
      this.#keys.set(unsent, key);
      older.push(unsent);
    }
    this.#list = [...older, ...this.#list];
    for (const unsent of older) this.#begin(unsent);
  }

  /** The user is known: store what was added before. */
  keep(): void {
    for (const unsent of this.#list) if (!this.#keys.has(unsent)) this.#store(unsent);
  }

  /** Nothing to do for a message whose files are gone: it would be sent without them. */
  retry(unsent: Unsent): void {
    if (unsent.phase !== "refused" || unsent.isLost || !this.#list.includes(unsent)) return;
    unsent.error = undefined;
    unsent.attempts = 0;
    unsent.after = undefined;
    unsent.phase = unsent.uploads.some(({ attachment }) => !attachment) ? "uploading" : "waiting";
    this.#store(unsent);
    this.#begin(unsent);
  }

  discard(unsent: Unsent): void {
    for (const upload of unsent.uploads) upload.stop();
    this.#remove(unsent);
    this.flush();
  }

  /** The event of a message of one's own came. */
  heard(client_msg_id: string): void {
    const unsent = this.get(client_msg_id);
    if (!unsent || unsent.phase === "refused" || unsent.phase === "accepted") return;
    unsent.phase = "heard";
    this.flush();
  }

  /** message.status came: it is durable. Its ack may still be on its way. */
  durable(client_msg_id: string): void {
    const unsent = this.get(client_msg_id);
    if (unsent?.phase === "accepted") this.#remove(unsent);
    else if (unsent) unsent.durable = true;
  }

  /** message.failed came: what was accepted, as `seq`, can never be stored. */
  failed(client_msg_id: string, seq?: number): void {
    const unsent = this.get(client_msg_id);
    if (unsent?.phase !== "accepted") return;
    unsent.after = seq;
    this.#refuse(unsent, refusal("invalid_param", "The message could not be stored."));
    this.#owner.changed();
  }

  /** A session begins, and message.status may have been missed: ask what is durable by now. */
  confirm(): void {
    for (const unsent of this.#list) if (unsent.phase === "accepted") void this.#ask(unsent);
  }

  /** Send what may leave now; call it whenever the connection is there again. */
  flush(): void {
    if (!this.#owner.connection.online) return;
    const next = due(this.#list, Date.now());
    clearTimeout(this.#timer);
    if (typeof next === "number") this.#timer = setTimeout(() => this.flush(), next);
    else if (next) void this.#send(next);
  }

  #begin(unsent: Unsent): void {
    if (unsent.phase === "uploading") void this.#carry(unsent);
    else if (unsent.phase === "accepted") void this.#ask(unsent);
    else this.flush();
    this.#owner.changed();
  }

  async #carry(unsent: Unsent): Promise<void> {
    const { connection, room_id, changed } = this.#owner;
    try {
      await Promise.all(unsent.uploads.map((upload) => upload.run(connection, room_id, changed)));
      unsent.phase = "waiting";
      this.#store(unsent);
    } catch (error) {
      this.#end(unsent, asChatError(error));
    }
    this.flush();
    changed();
  }

  async #send(unsent: Unsent): Promise<void> {
    unsent.phase = "sent";
    try {
      const answer = await this.#owner.connection.once("message.send", this.#payload(unsent));
      if (this.#list.includes(unsent)) {
        this.#acked(unsent, answer);
        this.#owner.acked(unsent, answer);
      }
    } catch (error) {
      this.#refuse(unsent, asChatError(error));
    }
    this.flush();
    this.#owner.changed();
  }

  /** Under the same id the server sends nothing twice, and answers whether it is durable. */
  async #ask(unsent: Unsent): Promise<void> {
    const { connection, changed } = this.#owner;
    if (!connection.online) return; // the next session asks
    try {
      this.#acked(unsent, await connection.once("message.send", this.#payload(unsent)));
    } catch (error) {
      const refused = asChatError(error);
      if (refused.retryable || refused.code === "closed") return;
      if (refused.code === "invalid_param") this.#refuse(unsent, refused);
      else this.#remove(unsent); // whoever may not write here any more is not told
    }
    changed();
  }

  #payload(unsent: Unsent): MessageSendPayload {
    const { client_msg_id, text, fields } = unsent;
    const attachments = attachmentsOf(unsent).map(({ attachment_id }) => attachment_id);
    const message = { room_id: this.#owner.room_id, client_msg_id, text, ...fields };
    return attachments.length ? { ...message, attachments } : message;
  }

  /** What is durable is done. What is not is kept, also over a reload, until that is known. */
  #acked(unsent: Unsent, { status }: SentAnswer): void {
    if (status === "queued" || unsent.durable) return this.#remove(unsent);
    if (unsent.phase === "accepted") return;
    unsent.phase = "accepted";
    this.#store(unsent);
  }

  #refuse(unsent: Unsent, error: ChatError): void {
    if (error.retryable) {
      unsent.notBefore = Date.now() + (error.retryAfterMs ?? backoff(unsent.attempts));
      unsent.attempts += 1;
    }
    if (!error.retryable && error.code !== "closed") return this.#end(unsent, error);
    unsent.phase = "waiting";
  }

  #end(unsent: Unsent, error: ChatError): void {
    unsent.phase = "refused";
    unsent.error = error;
    unsent.after ??= this.#owner.seq();
    if (this.#list.includes(unsent)) this.#store(unsent); // it may have been discarded
  }

  #remove(unsent: Unsent): void {
    this.#list = this.#list.filter((one) => one !== unsent);
    const { storage, warn, changed } = this.#owner;
    const key = this.#keys.get(unsent);
    if (key !== undefined)
      new Promise<void>((done) => done(storage.delete(key))).catch((error: unknown) =>
        warn("A sent message cannot be removed from the storage.", error),
      );
    changed();
  }

  #store(unsent: Unsent): void {
    const key = this.#key(unsent);
    if (key === undefined) return;
    const { client_msg_id, created_at, text, fields } = unsent;
    const files = unsent.uploads.filter(({ attachment }) => !attachment).map(({ file }) => file);
    const accepted = unsent.phase === "accepted";
    const attachments = attachmentsOf(unsent);
    const { storage, tab, warn } = this.#owner;
    const kept = { tab, client_msg_id, created_at, text, fields, files, attachments, accepted };
    const value: Stored = unsent.after === undefined ? kept : { ...kept, after: unsent.after };
    new Promise<void>((done) => done(storage.set(key, value))).catch((error: unknown) =>
      warn("An unsent message cannot be stored.", error),
    );
  }

  /** In the order of typing, also beside those of another window. */
  #key(unsent: Unsent): string | undefined {
    const known = this.#keys.get(unsent);
    const prefix = this.#owner.prefix();
    if (known !== undefined || prefix === undefined) return known;
    const count = String((this.#count += 1)).padStart(6, "0");
    const key = `${prefix}${unsent.created_at} ${count} ${unsent.client_msg_id}`;
    this.#keys.set(unsent, key);
    return key;
  }
}

/** The files of a message that the store has by now. */
export const attachmentsOf = ({ attachments, uploads }: Unsent): Attachment[] => [
  ...attachments,
  ...uploads.flatMap(({ attachment }) => (attachment ? [attachment] : [])),
];

/** The message that may leave now, the milliseconds until one may, or undefined. */
export function due(list: readonly Unsent[], now: number): Unsent | number | undefined {
  const next = list.find(({ phase }) => phase === "waiting" || phase === "sent");
  if (!next || next.phase === "sent") return undefined;
  return next.notBefore > now ? next.notBefore - now : next;
}

function restored(stored: Stored): Unsent {
  const { client_msg_id, created_at, text, fields, attachments, files, accepted } = stored;
  const lost = files.some((file) => !(file instanceof File));
  const phase = accepted ? "accepted" : files.length ? "uploading" : "waiting";
  return {
    client_msg_id,
    created_at,
    text,
    fields,
    attachments,
    uploads: lost ? [] : files.map((file) => new Upload(file)),
    phase: lost ? "refused" : phase,
    isLost: lost,
    durable: false,
    attempts: 0,
    notBefore: 0,
    after: stored.after,
    error: lost ? refusal("file_lost", "A file did not survive the reload.") : undefined,
  };
}
