/**
 * Where the client says what went wrong and is tried again; `console` fits. The same is said once until the next
 * session, and nothing that a call rejects with.
 */
export interface ChatLogger {
  warn(message: string, error: unknown): void;
}
