/** Where the client says what went wrong and is tried again; `console` fits. */
export interface ChatLogger {
  warn(message: string, error: unknown): void;
}
