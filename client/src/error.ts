import type { ClosingCode, ErrorCode, Refusal } from "../types.js";

/**
 * Codes of the server, and four of the client: no_answer (not within 6 s), closed (the client was
 * closed), upload_failed (the store did not take a file) and file_lost (a file cannot be read any
 * more; or not after a reload, since `storage` keeps text only).
 */
export type ChatErrorCode =
  | ErrorCode
  | ClosingCode
  | "no_answer"
  | "closed"
  | "upload_failed"
  | "file_lost";

/** Why something was not done; `details` names fields. */
export class ChatError extends Error {
  readonly code: ChatErrorCode;
  /** The same may work later. The client has repeated it already where this helps. */
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(refusal: Omit<Refusal, "code"> & { code: ChatErrorCode }) {
    super(refusal.message);
    this.name = "ChatError";
    this.code = refusal.code;
    this.retryable = refusal.retryable;
    this.retryAfterMs = refusal.retry_after_ms;
    this.details = refusal.details ?? {};
  }
}

/** A refusal that the client itself makes. */
export function refusal(code: ChatErrorCode, message: string, retryable = false): ChatError {
  return new ChatError({ code, message, retryable });
}

export const asChatError = (error: unknown): ChatError =>
  error instanceof ChatError ? error : refusal("internal", String(error));
