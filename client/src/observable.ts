import { functionOf } from "./args.ts";

/** A value that changes: the form that React's useSyncExternalStore, Svelte, Vue and Angular take. */
export interface Observable<T> {
  readonly value: T;
  /**
   * Calls the listener now and after every change; returns how to stop. One that throws in this first call hears
   * nothing more, and the call throws the same; what it throws later is an error of the page, and it goes on.
   */
  subscribe(listener: (value: T) => void): () => void;
}

const changed = new Set<Cell<unknown>>();

function tellAll(): void {
  const cells = [...changed];
  changed.clear();
  for (const cell of cells) cell.tell();
}

/**
 * A value computed when it is asked for. Changes of one task are told together, at its end, and only
 * if the value is another one: what is computed from the same parts must be the same object.
 */
export class Cell<T> implements Observable<T> {
  readonly #compute: () => T;
  /** With the value each was told last. */
  readonly #listeners = new Map<(value: T) => void, T>();
  #value: T | undefined;
  #stale = true;

  constructor(compute: () => T) {
    this.#compute = compute;
  }

  get value(): T {
    if (this.#stale) {
      this.#value = this.#compute();
      this.#stale = false;
    }
    return this.#value as T;
  }

  subscribe(listener: (value: T) => void): () => void {
    const own = (value: T) => listener(value); // the same listener may subscribe twice
    functionOf("listener", listener);
    const { value } = this;
    this.#listeners.set(own, value);
    try {
      own(value);
    } catch (error) {
      this.#listeners.delete(own);
      throw error;
    }
    return () => void this.#listeners.delete(own);
  }

  /** Say that the parts changed. */
  changed(): void {
    this.#stale = true;
    if (this.#listeners.size === 0) return;
    if (changed.size === 0) queueMicrotask(tellAll);
    changed.add(this as Cell<unknown>);
  }

  tell(): void {
    const { value } = this;
    for (const [listener, told] of [...this.#listeners]) {
      // One before it may have ended it; who subscribed since the change knows.
      if (!this.#listeners.has(listener) || Object.is(value, told)) continue;
      this.#listeners.set(listener, value);
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error; // as an error of the application, after the others have heard
        });
      }
    }
  }
}

/** Whether two lists hold the same objects. */
export const isSame = (one: readonly unknown[], other: readonly unknown[]): boolean =>
  one.length === other.length && one.every((item, index) => item === other[index]);

/** A value that is set. */
export class Value<T> extends Cell<T> {
  #held: T;

  readonly #check: (value: T) => T;

  constructor(value: T, check: (value: T) => T = (one) => one) {
    super(() => this.#held);
    this.#held = value;
    this.#check = check;
  }

  set(value: T): void {
    if (Object.is(this.#check(value), this.#held)) return;
    this.#held = value;
    this.changed();
  }
}
