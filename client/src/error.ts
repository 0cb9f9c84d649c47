import type { ClosingCode, ErrorCode, Refusal } from "../types.js";

/**
 * Codes of the server, and seven of the client: token_unavailable (getToken failed), unreachable (no chat server
 * answers at the url, or it does no more), other_user (the token is that of another user than this client),
 * no_answer (not within 6 s), closed (the client was closed), upload_failed (the store did not take a
 * file) and file_lost (a file cannot be read any more; or not after a reload, since `storage` keeps text only).
 */
export type ChatErrorCode =
  | ErrorCode
  | ClosingCode
  | "token_unavailable"
  | "unreachable"
  | "other_user"
  | "no_answer"
  | "closed"
  | "upload_failed"
  | "file_lost";

/** Why something was not done. Of `invalid_param`, `details` has sentences by argument, as `message` does. */
export class ChatError extends Error {
  readonly code: ChatErrorCode;
  /** The same may work later. The client has repeated it already where this helps. */
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(refusal: Omit<Refusal, "code"> & { code: ChatErrorCode }) {
    super(refusal.code === "invalid_param" ? inWords(refusal) : refusal.message);
    this.name = "ChatError";
    this.code = refusal.code;
    this.retryable = refusal.retryable;
    this.retryAfterMs = refusal.retry_after_ms;
    this.details = refusal.details ?? {};
  }
}

function inWords({ message, details = {} }: Pick<Refusal, "message" | "details">): string {
  const sentences = Object.entries(details).flatMap(([field, wrong]) =>
    Array.isArray(wrong) ? [`${field}: ${wrong.join(" ")}`] : [],
  );
  return [message, ...sentences.filter((one) => !message.includes(one))].join(" "); // it has them after a reload
}

/** What the methods call differently than the protocol; others are only written another way. */
const ARGUMENTS: Readonly<Record<string, string>> = { attachments: "files", up_to_seq: "seq" };

/**
 * A refusal with the names of arguments in `details`: `newOwner` for `new_owner`. A list of one item
 * that is an argument of its own is named by `names`.
 */
export function argumentsOf(refusal: Refusal, names: Readonly<Record<string, string>> = {}): Refusal {
  if (refusal.code !== "invalid_param" || !refusal.details) return refusal;
  const details = Object.entries(refusal.details).map(([path, wrong]) => {
    const [field = "", ...items] = path.split(".");
    if (names[field] !== undefined) return [names[field], wrong];
    return [[ARGUMENTS[field] ?? camelCase(field), ...items].join("."), wrong];
  });
  return { ...refusal, details: Object.fromEntries(details) as Record<string, unknown> };
}

const camelCase = (field: string): string => field.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** A refusal that the client itself makes. */
export function refusal(code: ChatErrorCode, message: string, retryable = false): ChatError {
  return new ChatError({ code, message, retryable });
}

/** Of a command that only reads a room: there is none of this id, or of no such id can be one. */
export const isNowhere = ({ code }: ChatError): boolean => code === "not_found" || code === "invalid_param";

export const asChatError = (error: unknown): ChatError =>
  error instanceof ChatError ? error : refusal("internal", String(error));
