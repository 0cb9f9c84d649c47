import type { MessageSendPayload, SentAnswer } from "../types.js";
import { fieldsOf, filesOf, idOf, recordOf, sayable, textOf, userIdsOf } from "./args.ts";
import { backoff, later } from "./backoff.ts";
import type { Commander } from "./connection.ts";
import { asChatError, type ChatError, refusal } from "./error.ts";
import { uuid7 } from "./id.ts";
import { Kept, type KeptOwner } from "./kept.ts";
import { attachmentsOf, isDue, isKnown, isStored, isWhole, restored, stepsOf, storedOf, type Unsent, unsentOf } from "./unsent.ts";

/** What is to be said. */
export interface Draft {
  text?: string;
  /** A Blob without a name, as a canvas or a recorder makes it, is called `image.png`, `audio.webm` or `file`. */
  files?: readonly Blob[];
  /** message_id of the message this answers. */
  replyTo?: string;
  mentions?: readonly string[];
  metadata?: Record<string, unknown>;
}

/** ms until it is asked whether what was accepted is durable by now, doubling from the one to the other. */
const ASK_AGAIN = 60_000;
const ASK_LAST = 900_000;

const DRAFT = { text: textOf, files: filesOf, replyTo: idOf, mentions: userIdsOf, metadata: recordOf };

export interface OutboxOwner extends KeptOwner {
  readonly room_id: string;
  readonly connection: Commander;
  /** The newest of the room; undefined while that is not known. */
  seq: () => number | undefined;
  /** Files that one message may have; undefined while that is not known. */
  mostFiles: () => number | undefined;
  changed: () => void;
  acked: (unsent: Unsent, answer: SentAnswer) => void;
}

/**
 * The messages of one room that are not durable yet, in the order of typing. The next one leaves when
 * the one before stands in the log, and not before: a repeated one, or one whose files are on their way,
 * would come behind it. What was refused for good holds up nobody.
 */
export class Outbox {
  #list: readonly Unsent[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #owner: OutboxOwner;
  readonly #kept: Kept<Unsent>;
  /** One of those that are in the log is asked about. */
  #isAsking = false;

  constructor(owner: OutboxOwner) {
    this.#owner = owner;
    this.#kept = new Kept(owner);
  }

  get list(): readonly Unsent[] {
    return this.#list;
  }

  get(client_msg_id: string): Unsent | undefined {
    return this.#list.find((unsent) => unsent.client_msg_id === client_msg_id);
  }

  /** Append a message; one id, however often it is sent. Throws ChatError. */
  add(draft: Draft): Unsent {
    const { text = "", files = [], replyTo, mentions = [], metadata } = fieldsOf("draft", draft, DRAFT);
    sayable(text, files, this.#owner.mostFiles());
    const fields = {
      ...(replyTo !== undefined && { reply_to: replyTo }),
      ...(mentions.length > 0 && { mentions: [...mentions] }),
      ...(metadata && { metadata }),
    };
    const typed = { client_msg_id: uuid7(), created_at: new Date().toISOString(), text, attachments: [], fields };
    const unsent = unsentOf(typed, filesOf("files", files));
    this.#list = [...this.#list, unsent];
    this.#store(unsent);
    this.#begin();
    return unsent;
  }

  /** What a closed page left, before what was added here. */
  restore(entries: readonly [key: string, stored: unknown][]): void {
    const known = new Set(this.#list.map(({ client_msg_id }) => client_msg_id));
    const older: Unsent[] = [];
    for (const [key, value] of entries) {
      if (!isStored(value)) {
        this.#kept.drop(key);
        continue;
      }
      const unsent = restored(value);
      if (known.has(unsent.client_msg_id)) continue;
      this.#kept.found(unsent, key);
      older.push(unsent);
    }
    this.#list = [...older, ...this.#list];
    this.#begin();
  }

  /** The user is known: store what was added before. */
  keep(): void {
    for (const unsent of this.#list) if (!this.#kept.has(unsent)) this.#store(unsent);
  }

  /** Nothing to do for a message whose files are gone: it would be sent without them. */
  retry(unsent: Unsent): void {
    if (unsent.phase !== "refused" || unsent.isLost || !this.#has(unsent)) return;
    unsent.error = undefined;
    unsent.attempts = 0;
    unsent.notBefore = 0;
    unsent.after = undefined;
    unsent.phase = isWhole(unsent) ? "waiting" : "uploading";
    this.#store(unsent);
    this.#begin();
  }

  discard(unsent: Unsent): void {
    for (const upload of unsent.uploads) upload.stop();
    this.#remove(unsent);
    this.flush();
  }

  /** The event of a message of one's own came; also of one that was refused when it was sent again. */
  heard(client_msg_id: string): void {
    const unsent = this.get(client_msg_id);
    if (!unsent || unsent.phase === "uploading" || unsent.phase === "accepted") return;
    // Without its files it could not be sent again: another client sent it.
    if (unsent.durable || !isWhole(unsent)) return this.#remove(unsent);
    const wasRefused = unsent.phase === "refused";
    unsent.phase = "heard";
    unsent.error = unsent.after = undefined;
    if (wasRefused) this.#store(unsent);
    this.#begin();
  }

  /** message.status came: it is durable. Its ack may still be on its way. */
  durable(client_msg_id: string): void {
    const unsent = this.get(client_msg_id);
    if (!unsent) return;
    if (isKnown(unsent)) this.#remove(unsent);
    else unsent.durable = true;
  }

  /** message.failed came: what is in the log, as `seq`, can never be stored. */
  failed(client_msg_id: string, seq?: number): void {
    const unsent = this.get(client_msg_id);
    if (!unsent || unsent.phase === "refused" || unsent.phase === "uploading") return;
    unsent.after = seq;
    this.#end(unsent, refusal("invalid_param", "The message could not be stored."));
    this.#begin();
  }

  /** A session begins: what is durable by now is asked at once, as message.status may have been missed. */
  resume(): void {
    for (const unsent of this.#list) if (isKnown(unsent)) unsent.notBefore = 0;
  }

  /** Nobody sends for now: files are not carried on. */
  close(): void {
    clearTimeout(this.#timer);
    for (const { uploads } of this.#list) for (const upload of uploads) upload.stop();
  }

  /** Whether a message that was typed before this time (ISO 8601) is to be sent yet. */
  isBehind(created_at: string): boolean {
    return this.#list.some((one) => isDue(one) && one.created_at <= created_at);
  }

  /** Do what may be done now; call it whenever the connection is there again. */
  flush(): void {
    if (!this.#owner.connection.online) return;
    clearTimeout(this.#timer);
    const { now, wait } = stepsOf(this.#list, Date.now(), this.#isAsking);
    if (wait !== undefined) this.#timer = later(() => this.flush(), wait);
    for (const unsent of now) void this.#step(unsent);
  }

  #begin(): void {
    this.flush();
    this.#owner.changed();
  }

  async #step(unsent: Unsent): Promise<void> {
    const isAsked = isKnown(unsent);
    this.#isAsking ||= isAsked;
    unsent.isBusy = true;
    await (unsent.phase === "uploading" ? this.#carry(unsent) : this.#send(unsent));
    unsent.isBusy = false;
    if (isAsked) this.#isAsking = false;
    this.flush();
    this.#owner.changed();
  }

  async #carry(unsent: Unsent): Promise<void> {
    const { connection, room_id, changed } = this.#owner;
    try {
      await Promise.all(unsent.uploads.map((upload) => upload.run(connection, room_id, changed)));
      if (unsent.phase !== "uploading") return;
      unsent.phase = "waiting";
      this.#store(unsent);
    } catch (error) {
      for (const upload of unsent.uploads) upload.stop();
      const refused = asChatError(error);
      // Without a connection nothing is refused: the next session goes on.
      const isEnd = connection.online ? refused.code !== "closed" : refused.code === "file_lost";
      if (isEnd && this.#has(unsent)) this.#end(unsent, refused);
    }
  }

  /** Under the same id the server sends nothing twice, and answers whether it is durable. */
  async #send(unsent: Unsent): Promise<void> {
    const wasKnown = isKnown(unsent);
    try {
      const answer = await this.#owner.connection.once("message.send", this.#payload(unsent));
      if (!this.#awaits(unsent)) return;
      this.#acked(unsent, answer);
      if (!wasKnown) this.#owner.acked(unsent, answer);
    } catch (error) {
      if (this.#awaits(unsent)) this.#refuse(unsent, asChatError(error));
    }
  }

  #has(unsent: Unsent): boolean {
    return this.#list.includes(unsent);
  }

  /** It was not discarded, nor did message.failed come meanwhile. */
  #awaits(unsent: Unsent): boolean {
    return this.#has(unsent) && unsent.phase !== "refused";
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
    if (unsent.phase !== "accepted") {
      unsent.phase = "accepted";
      unsent.attempts = 0;
      this.#store(unsent);
    }
    unsent.notBefore = Date.now() + backoff(unsent.attempts, 2 * ASK_AGAIN, ASK_LAST);
    unsent.attempts += 1;
  }

  #refuse(unsent: Unsent, error: ChatError): void {
    if (error.retryable) return this.#later(unsent, error);
    if (error.code === "closed") return;
    // What is in the log and cannot be stored is refused; whoever may not write here any more is not told.
    if (isKnown(unsent) && error.code !== "invalid_param") this.#remove(unsent);
    else this.#end(unsent, error);
  }

  /** The others that would be asked about wait as well: they would be refused alike. */
  #later(unsent: Unsent, { retryAfterMs }: ChatError): void {
    unsent.notBefore = Date.now() + (retryAfterMs ?? backoff(unsent.attempts));
    unsent.attempts += 1;
    if (isKnown(unsent))
      for (const one of this.#list) if (isKnown(one)) one.notBefore = Math.max(one.notBefore, unsent.notBefore);
  }

  #end(unsent: Unsent, error: ChatError): void {
    unsent.phase = "refused";
    unsent.error = error;
    unsent.after ??= this.#owner.seq();
    this.#store(unsent);
  }

  #remove(unsent: Unsent): void {
    this.#list = this.#list.filter((one) => one !== unsent);
    this.#kept.remove(unsent);
    this.#owner.changed();
  }

  #store(unsent: Unsent): void {
    if (this.#has(unsent)) this.#kept.put(unsent, unsent.client_msg_id, storedOf(unsent)); // else it was discarded
  }
}
