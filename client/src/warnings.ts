import type { ChatLogger } from "./logger.ts";

/** Tells the logger what goes wrong, each thing once until the next session: what fails again and again is one line. */
export class Warnings {
  readonly #logger: ChatLogger;
  readonly #told = new Set<string>();

  constructor(logger: ChatLogger) {
    this.#logger = logger;
  }

  readonly warn = (message: string, error: unknown): void => {
    const thing = `${message} ${String(error).replace(/'[^']*'/g, "")}`; // a full storage names the key of each write
    if (this.#told.has(thing)) return;
    this.#told.add(thing);
    this.#logger.warn(message, error);
  };

  /** A session begins. */
  begin(): void {
    this.#told.clear();
  }
}
