import type { Message, SentAnswer, SystemMessage, UserMessage } from "../types.js";
import type { MessageChangeKind, MessageChanges, RefusedChange } from "./changes.ts";
import type { ChatError } from "./error.ts";
import { changedMessage } from "./overlay.ts";
import type { Outbox } from "./outbox.ts";
import { attachmentsOf, type Unsent } from "./unsent.ts";

/** How far a message of one's own is, in this order; or it was refused. */
export type MessageStatus =
  /** Its files are on their way. */
  | "uploading"
  /** Not acknowledged yet, or waiting for the connection. */
  | "sending"
  /** Members see it, but it is not durable yet: an outage of the server. */
  | "accepted"
  /** It survives the loss of any single process. */
  | "queued"
  /** It has reached all other members. */
  | "delivered"
  /** All other members have seen it. */
  | "read"
  /** For good: `error` says why; `retry` or `discard` it. */
  | "refused";

/** A message as a page shows it: that of the server, or one on its way there. */
export type ShownMessage = Shown<UserMessage> | Shown<SystemMessage>;

type Unknown = "message_id" | "seq" | "epoch" | "version" | "created_at";

type Shown<Kind extends Message> = Omit<Kind, Unknown> & ShownFields;

/** What a page needs to know beside the message itself. */
export interface ShownFields {
  /** The same from the first moment on, for keyed updates. */
  readonly key: string;
  readonly own: boolean;
  /** Of own messages. */
  readonly status?: MessageStatus;
  /** Undefined until the server knows the message; so are seq and epoch. */
  readonly message_id?: string;
  readonly seq?: number;
  readonly epoch?: number;
  readonly version?: number;
  readonly created_at: string;
  /** What the user did with it and the server has not answered yet, as it is shown; missing if it has. */
  readonly pending?: readonly MessageChangeKind[];
  /** The last of these that was refused: it is not shown any more. */
  readonly refusedChange?: RefusedChange;
  /** 0 to 1, while files are on their way. */
  readonly progress?: number;
  /** The files themselves, while they are on their way. */
  readonly files?: readonly File[];
  /** Why it was refused. */
  readonly error?: ChatError;
  /** Of a refused one whose files are still there: send it again, under the same id. */
  retry?(): void;
  /** Of one that is not sent yet: forget it. */
  discard?(): void;
}

export const isOwn = ({ sender_id, type }: Message, me: string): boolean => sender_id === me && type !== "system";

/** A message of the server with what this user changes of it. `status` only of own ones. */
export function shown(
  message: Message,
  me: string,
  status: MessageStatus | undefined,
  changes: MessageChanges | undefined,
): ShownMessage {
  const own = isOwn(message, me);
  const key = own ? message.client_msg_id : message.message_id;
  const fields = { key, own, ...(status && { status }) };
  if (!changes) return { ...message, ...fields };
  const { pending, kinds, refused } = changes;
  const marks = { ...(kinds.length > 0 && { pending: kinds }), ...(refused && { refusedChange: refused }) };
  return { ...changedMessage(message, pending, me), ...fields, ...marks };
}

/** What the ack of a message says it is, before its event. */
export function acked(unsent: Unsent, answer: SentAnswer, room_id: string, me: string): UserMessage {
  const { message_id, seq, epoch, created_at } = answer;
  // The event, or a page, is newer.
  return { ...said(unsent, room_id, me), message_id, seq, epoch, created_at, version: 0 };
}

/** What is the same before and after the server knows it. */
function said(unsent: Unsent, room_id: string, me: string): Omit<UserMessage, Unknown> {
  const { client_msg_id, text, fields, uploads, attachments } = unsent;
  return {
    client_msg_id,
    room_id,
    sender_id: me,
    type: uploads.length || attachments.length ? "file" : "text",
    text,
    attachments: attachmentsOf(unsent),
    mentions: fields.mentions ?? [],
    ...(fields.reply_to !== undefined && { reply_to: fields.reply_to }),
    reactions: {},
    metadata: fields.metadata ?? {},
  };
}

/** One that is not in the log yet. */
export function shownUnsent(unsent: Unsent, outbox: Outbox, room_id: string, me: string): ShownMessage {
  const { client_msg_id, created_at, phase, error, uploads } = unsent;
  const refused = phase === "refused";
  return {
    ...said(unsent, room_id, me),
    key: client_msg_id,
    own: true,
    created_at,
    status: refused ? "refused" : phase === "uploading" ? "uploading" : "sending",
    ...(uploads.length && { files: uploads.map(({ file }) => file), progress: progress(unsent) }),
    ...(error && { error }),
    ...(refused && !unsent.isLost && { retry: () => outbox.retry(unsent) }),
    discard: () => outbox.discard(unsent),
  };
}

function progress({ uploads }: Unsent): number {
  const size = uploads.reduce((sum, { file }) => sum + file.size, 0);
  return size ? uploads.reduce((sum, { sent }) => sum + sent, 0) / size : 0;
}
