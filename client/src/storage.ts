import { Journal } from "./journal.ts";
import { parsed } from "./json.ts";

const PATIENCE = 10_000; // ms

/**
 * Where unsent messages and drafts survive a reload. Values are JSON, or whatever the store can
 * clone: with IndexedDB files that were not sent yet survive too.
 */
export interface ChatStorage {
  set(key: string, value: unknown): void | Promise<void>;
  delete(key: string): void | Promise<void>;
  /** All entries whose key begins so, in order of their keys. */
  entries(prefix: string): [key: string, value: unknown][] | Promise<[key: string, value: unknown][]>;
}

/** Begin of the keys of one user: no user's is that of another, whatever their ids are made of. */
export function keyPrefix(userId: string, kind: "outbox" | "change" | "draft" | "tab"): string {
  return `rts-chat/${encodeURIComponent(userId)}/${kind}/`;
}

const byKey = ([one]: [string, unknown], [other]: [string, unknown]): number => (one < other ? -1 : 1);

/** Until the page is closed: the default. */
export function memoryStorage(): ChatStorage {
  const held = new Map<string, unknown>();
  return {
    set: (key, value) => void held.set(key, value),
    delete: (key) => void held.delete(key),
    entries: (prefix) => [...held].filter(([key]) => key.startsWith(prefix)).sort(byKey),
  };
}

/** A storage whose promises reject after `PATIENCE`: one that never settles would hold up what waits for it. */
export function patient(storage: ChatStorage): ChatStorage {
  return {
    set: (key, value) => answered(storage.set(key, value)),
    delete: (key) => answered(storage.delete(key)),
    entries: (prefix) => answered(storage.entries(prefix)),
  };
}

function answered<T>(work: T | Promise<T>): T | Promise<T> {
  if (typeof (work as { then?: unknown } | undefined)?.then !== "function") return work;
  return new Promise<T>((done, fail) => {
    const timer = setTimeout(() => fail(new Error("The storage does not answer.")), PATIENCE);
    const end = () => clearTimeout(timer);
    Promise.resolve(work).then(done, fail).finally(end);
  });
}

/** localStorage, or anything of its form: text and drafts, no files. Throws TypeError where there is none. */
export function webStorage(store = localStorageOf()): ChatStorage {
  if (!store)
    throw new TypeError("webStorage() needs localStorage, which does not exist here; memoryStorage() works everywhere.");
  return {
    set: (key, value) => store.setItem(key, JSON.stringify(value)),
    delete: (key) => store.removeItem(key),
    entries(prefix) {
      const keys = Array.from({ length: store.length }, (_, index) => store.key(index) ?? "");
      const ours = keys.filter((key) => key.startsWith(prefix)).sort();
      return ours.map((key) => [key, parsed(store.getItem(key))]);
    },
  };
}

/** A browser that blocks it throws when it is only read. */
function localStorageOf(): Storage | undefined {
  try {
    return (globalThis as { localStorage?: Storage }).localStorage;
  } catch {
    return undefined;
  }
}

/** IndexedDB: files as well. What is not written yet when the page goes, but for files, is not lost either. */
export function indexedDbStorage(name = "rts-chat"): ChatStorage {
  const run = transactions(name);
  const journal = new Journal(name);
  const write = async (key: string, value: unknown): Promise<void> => {
    const done = journal.begin(key, value);
    if (value === undefined) await run("readwrite", (store) => store.delete(key));
    else await run("readwrite", (store) => store.put(value, key));
    done();
  };
  /** What closed pages left, also while this one lives. */
  const take = () =>
    Promise.all(journal.taken().map(([key, value]) => write(key, value).catch(() => undefined)));
  void take();
  return {
    set: write,
    delete: (key) => write(key, undefined),
    async entries(prefix) {
      await take();
      const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
      const [keys, values] = await Promise.all([
        run("readonly", (store) => store.getAllKeys(range)),
        run("readonly", (store) => store.getAll(range)),
      ]);
      return keys.map((key, index) => [key as string, values[index]]);
    },
  };
}

type Transact = <T>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
) => Promise<T>;

/** Requests to the one store of a database, each in a transaction of its own. */
function transactions(name: string): Transact {
  const opened = new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("entries");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB"));
  });
  opened.catch(() => undefined); // told to whoever uses it
  return async (mode, work) => {
    const request = work((await opened).transaction("entries", mode).objectStore("entries"));
    return new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error("IndexedDB"));
    });
  };
}
