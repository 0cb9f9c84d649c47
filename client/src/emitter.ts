/** Handlers by the type of what they hear. */
export class Emitter<Events> {
  readonly #handlers = new Map<keyof Events, Set<(event: never) => void>>();

  /** Returns how to stop. */
  on<Type extends keyof Events>(type: Type, handler: (event: Events[Type]) => void): () => void {
    const own = (event: Events[Type]) => handler(event); // the same handler may be given twice
    const handlers = this.#handlers.get(type) ?? new Set();
    this.#handlers.set(type, handlers.add(own));
    return () => void handlers.delete(own);
  }

  /** One that fails does not keep the others from hearing: the first error is thrown at the end. */
  emit<Type extends keyof Events>(type: Type, event: Events[Type]): void {
    const errors: unknown[] = [];
    const handlers = this.#handlers.get(type) ?? new Set();
    for (const handler of [...handlers]) {
      if (!handlers.has(handler)) continue; // one before it ended it
      try {
        (handler as (event: Events[Type]) => void)(event);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
