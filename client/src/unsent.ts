import type { Attachment, MessageSendPayload } from "../types.js";
import { isObject } from "./args.ts";
import { ChatError, type ChatErrorCode, refusal } from "./error.ts";
import { Upload } from "./upload.ts";

/**
 * A message that is not durable yet, and who brings it on while there is a connection:
 *
 * | phase       | what it is                                         | what comes next                                  |
 * | ----------- | -------------------------------------------------- | ------------------------------------------------ |
 * | `uploading` | its files are on their way                         | its uploads end, `waiting`; else they begin anew |
 * | `waiting`   | not known to be in the log                         | it is sent, in its turn                          |
 * | `heard`     | in the log, since its event came; no ack said more | it is asked about, until an ack does             |
 * | `accepted`  | an ack said that it is not durable                 | message.status, or the answer when asked about   |
 * | `refused`   | for good                                           | the user retries or discards it                  |
 *
 * To send it again under its id is to ask: Redis may have lost it, and heard is not durable (D1, D7).
 */
export interface Unsent {
  readonly client_msg_id: string;
  readonly created_at: string;
  readonly text: string;
  readonly uploads: readonly Upload[];
  readonly attachments: readonly Attachment[];
  readonly fields: Pick<MessageSendPayload, "reply_to" | "mentions" | "metadata">;
  phase: "uploading" | "waiting" | "heard" | "accepted" | "refused";
  /** Its command, or its files, are on their way: what comes next comes when they end. */
  isBusy: boolean;
  /** Its files did not survive a reload. */
  readonly isLost: boolean;
  /** message.status came before its event and its ack. */
  durable: boolean;
  attempts: number;
  notBefore: number;
  error: ChatError | undefined;
  /** The seq behind which it was refused: there it stays, until it is sent again. */
  after: number | undefined;
}

type Typed = Pick<Unsent, "client_msg_id" | "created_at" | "text" | "attachments" | "fields">;

export type Stored = Typed & {
  files: File[];
  accepted: boolean;
  after?: number;
  refused?: { code: ChatErrorCode; message: string; retryable: boolean; details: Readonly<Record<string, unknown>> };
};

export function unsentOf(typed: Typed, files: readonly File[]): Unsent {
  return {
    ...typed,
    uploads: files.map((file) => new Upload(file)),
    phase: files.length ? "uploading" : "waiting",
    isBusy: false,
    isLost: false,
    durable: false,
    attempts: 0,
    notBefore: 0,
    error: undefined,
    after: undefined,
  };
}

/** Later ones, and changes of the room, wait for it. */
export const isDue = ({ phase }: Unsent): boolean => phase === "uploading" || phase === "waiting";

/** It is in the log, and an ack, or message.status, is to say that it is durable. */
export const isKnown = ({ phase }: Unsent): boolean => phase === "heard" || phase === "accepted";

/** The files of a message that the store has by now. */
export const attachmentsOf = ({ attachments, uploads }: Unsent): Attachment[] => [
  ...attachments,
  ...uploads.flatMap(({ attachment }) => (attachment ? [attachment] : [])),
];

/** No file is missing: it can be sent. */
export const isWhole = ({ isLost, uploads }: Unsent): boolean => !isLost && uploads.every(({ attachment }) => attachment);

export interface Steps {
  /** These go on now. */
  readonly now: readonly Unsent[];
  /** ms until others may; undefined if none waits for a time. */
  readonly wait?: number;
}

/**
 * What a connected client does next: files leave at once, messages in the order of typing, each when the one before
 * is in the log, and those that are in it are asked about one after another, beside them (`isAsking`: one is now).
 */
export function stepsOf(list: readonly Unsent[], now: number, isAsking = false): Steps {
  const files = list.filter(({ phase }) => phase === "uploading");
  const head = list.find(isDue);
  const next = head?.phase === "waiting" ? [head] : [];
  const known = isAsking ? [] : list.filter(isKnown);
  const idle = [...known, ...files, ...next].filter(({ isBusy }) => !isBusy);
  const ready = idle.filter(({ notBefore }) => notBefore <= now);
  const asked = ready.find(isKnown);
  const waits = idle.filter((one) => !ready.includes(one)).map(({ notBefore }) => notBefore - now);
  return {
    now: ready.filter((one) => !isKnown(one) || one === asked),
    ...(waits.length > 0 && { wait: Math.min(...waits) }),
  };
}

/** As a storage of text can keep it. */
export function storedOf(unsent: Unsent): Stored {
  const { client_msg_id, created_at, text, fields, after, phase, error } = unsent;
  const files = unsent.uploads.filter(({ attachment }) => !attachment).map(({ file }) => file);
  return {
    ...{ client_msg_id, created_at, text, fields, files, attachments: attachmentsOf(unsent) },
    accepted: phase === "accepted",
    ...(after !== undefined && { after }),
    ...(phase === "refused" && error && { refused: plain(error) }),
  };
}

export function isStored(value: unknown): value is Stored {
  const { client_msg_id, created_at, text, fields, attachments, files } = (value ?? {}) as Partial<Stored>;
  const isTyped = [client_msg_id, created_at, text].every((one) => typeof one === "string") && isObject(fields);
  return isTyped && Array.isArray(attachments) && Array.isArray(files);
}

export function restored({ files, accepted, refused, after, ...stored }: Stored): Unsent {
  const { client_msg_id, created_at, text, fields, attachments } = stored;
  const lost = files.some((file) => !(file instanceof File));
  const error = lost ? refusal("file_lost", "A file did not survive the reload.") : refused && new ChatError(refused);
  const unsent = unsentOf({ client_msg_id, created_at, text, fields, attachments }, lost ? [] : files);
  const phase = error ? "refused" : accepted ? "accepted" : unsent.phase;
  return { ...unsent, phase, isLost: lost, after, error };
}

const plain = ({ code, message, retryable, details }: ChatError) => ({ code, message, retryable, details });
