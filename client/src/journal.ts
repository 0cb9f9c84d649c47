import { isObject } from "./args.ts";
import { parsed } from "./json.ts";

/**
 * Writes that are on their way. A page that goes may not see them done: it leaves them in localStorage,
 * which writes at once, and the next page takes them over. Files cannot be left there.
 */
export class Journal {
  readonly #prefix: string;
  readonly #begun = new Map<string, { value: unknown }>();
  readonly #left = new Set<string>();

  constructor(name: string) {
    this.#prefix = `${name}:pending/`;
    if (typeof document === "undefined") return;
    addEventListener("pagehide", () => this.#leave());
    // A telephone ends a hidden page without a word.
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.#leave();
    });
  }

  /** A write begins; `undefined` deletes. Call what it returns once it is done. */
  begin(key: string, value: unknown): () => void {
    const entry = { value };
    this.#begun.set(key, entry);
    return () => {
      if (this.#begun.get(key) !== entry) return; // a later one is on its way
      this.#begun.delete(key);
      if (this.#left.delete(key)) localStorage.removeItem(this.#prefix + key);
    };
  }

  /** What the page before this one left: to be written, from its `begin` to its end. */
  taken(): [key: string, value: unknown][] {
    try {
      const keys = Object.keys(localStorage).filter((key) => key.startsWith(this.#prefix));
      return keys.flatMap((whole): [string, unknown][] => {
        const entry = parsed(localStorage.getItem(whole));
        const key = whole.slice(this.#prefix.length);
        if (isObject(entry)) {
          this.#left.add(key);
          return [[key, (entry as { value?: unknown }).value]];
        }
        localStorage.removeItem(whole);
        return [];
      });
    } catch {
      return []; // there is none, or this page may not use it
    }
  }

  #leave(): void {
    for (const [key, entry] of this.#begun) {
      try {
        localStorage.setItem(this.#prefix + key, JSON.stringify(entry, withoutFiles));
        this.#left.add(key);
      } catch {
        // Files, or no room: what was written before stays.
      }
    }
  }
}

function withoutFiles(_: string, value: unknown): unknown {
  if (value instanceof Blob) throw new TypeError("A file is no JSON.");
  return value;
}
