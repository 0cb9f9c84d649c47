import { type ChatStorage, keyPrefix } from "./storage.ts";

const BEAT = 2_000; // ms
const SILENT = 4 * BEAT; // then a tab is taken for closed; one that is not sends its messages too, under their ids

/** Which clients of one user live in this browser: what a closed one left unsent, another takes over. */
export interface Tabs {
  /** This client lives, until `end` or the end of its page. */
  begin(): Promise<void>;
  /** Call `closed` once this one lives no more; at once if it does not live now. */
  follow(id: string): void;
  end(): void;
}

export interface TabsOptions {
  readonly id: string;
  readonly user_id: string;
  readonly storage: ChatStorage;
  /** Take over from this one. Of several clients one at a time is called, where the browser has Web Locks. */
  readonly closed: (id: string) => Promise<void>;
}

/** Web Locks where the browser has them, which is in secure contexts; outside of pages nobody else lives. */
export function openTabs(options: TabsOptions): Tabs {
  if (typeof document === "undefined")
    return { begin: () => Promise.resolve(), follow: (id) => void options.closed(id), end: () => undefined };
  const isAble = "locks" in navigator && typeof BroadcastChannel !== "undefined";
  return isAble ? new LockedTabs(options) : new BeatingTabs(options);
}

/** Every client holds a lock and waits for those of the others: the browser frees that of a closed page. */
class LockedTabs implements Tabs {
  readonly #options: TabsOptions;
  readonly #prefix: string;
  readonly #followed = new Set<string>();
  #ended = new AbortController();
  #channel: BroadcastChannel | undefined;

  constructor(options: TabsOptions) {
    this.#options = options;
    this.#prefix = keyPrefix(options.user_id, "tab");
  }

  async begin(): Promise<void> {
    if (this.#channel) return;
    const { id } = this.#options;
    this.#ended = new AbortController();
    const channel = (this.#channel = new BroadcastChannel(this.#prefix));
    channel.onmessage = ({ data }) => this.follow(String(data));
    await this.#hold();
    if (this.#channel !== channel) return; // it was ended meanwhile
    channel.postMessage(id); // only now: who follows an id before its lock is held takes it for closed
    const { held = [] } = await navigator.locks.query();
    for (const { name = "" } of held) if (name.startsWith(this.#prefix)) this.follow(name.slice(this.#prefix.length));
  }

  follow(id: string): void {
    if (id === this.#options.id || this.#followed.has(id)) return;
    this.#followed.add(id);
    const taken = async () => {
      this.#followed.delete(id);
      await this.#options.closed(id);
    };
    const { signal } = this.#ended;
    navigator.locks.request(this.#prefix + id, { signal }, taken).catch(() => this.#followed.delete(id));
  }

  end(): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.#ended.abort();
  }

  #hold(): Promise<void> {
    const { signal } = this.#ended;
    const freed = new Promise<void>((free) => signal.addEventListener("abort", () => free()));
    return new Promise((held) => {
      void navigator.locks.request(this.#prefix + this.#options.id, () => {
        held();
        return freed;
      });
    });
  }
}

/** Every client writes a time into the storage again and again; whose time is old, or gone, is closed. */
class BeatingTabs implements Tabs {
  readonly #options: TabsOptions;
  readonly #prefix: string;
  readonly #followed = new Set<string>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: TabsOptions) {
    this.#options = options;
    this.#prefix = keyPrefix(options.user_id, "tab");
  }

  async begin(): Promise<void> {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => void this.#beat().catch(() => undefined), BEAT);
    addEventListener("pagehide", this.#leave);
    await this.#beat();
  }

  follow(id: string): void {
    if (id !== this.#options.id) this.#followed.add(id);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    removeEventListener("pagehide", this.#leave);
    this.#leave();
  }

  readonly #leave = (): void => void this.#options.storage.delete(this.#prefix + this.#options.id);

  async #beat(): Promise<void> {
    const { id, storage, closed } = this.#options;
    await storage.set(this.#prefix + id, Date.now());
    const times = await storage.entries(this.#prefix);
    const old = times.filter(([, time]) => !(Number(time) >= Date.now() - SILENT));
    const living = new Set(times.filter((one) => !old.includes(one)).map(([key]) => key.slice(this.#prefix.length)));
    const silent = [...this.#followed].filter((one) => !living.has(one));
    for (const one of living) this.follow(one);
    for (const [key] of old) await storage.delete(key);
    for (const one of silent) {
      this.#followed.delete(one);
      await closed(one);
    }
  }
}
