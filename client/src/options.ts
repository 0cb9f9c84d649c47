// The options of a client, as they were given; what cannot work is a TypeError at once.
import { described } from "./args.ts";
import type { ChatLogger } from "./logger.ts";
import { type ChatStorage, webStorage } from "./storage.ts";
import type { GetToken } from "./token.ts";

export interface ClientOptions {
  /** Where the server is: with the path if it is behind one. */
  url: string | URL;
  /** A token that is valid now; asked for at every connect and before the last one ends. */
  getToken: GetToken;
  /**
   * The user id, where the page knows who is signed in: what is unsent is stored and shown from the beginning, also
   * while there is no token. Without it from the first token on, if that is a JWT, else from the first session on.
   */
  userId?: string;
  /** Where what is unsent survives a reload: `indexedDbStorage()`; `webStorage()` or `localStorage`, without files. */
  storage?: ChatStorage | Storage;
  /** The console by default: without it, a `getToken` that fails would only look like being offline. */
  logger?: ChatLogger;
}

export interface CheckedOptions extends Required<Pick<ClientOptions, "getToken" | "logger">> {
  url: string;
  userId: string | undefined;
  storage: ChatStorage | undefined;
}

const NAMES = ["url", "getToken", "userId", "storage", "logger"];

/** Without url and getToken the client would only look like being offline, for ever; without a storage, messages are lost. */
export function checkedOptions(options: ClientOptions): CheckedOptions {
  const whole: unknown = options;
  if (typeof whole !== "object" || whole === null)
    throw new TypeError(`createClient takes an object with url and getToken, not ${described(whole)}.`);
  for (const name of Object.keys(whole))
    if (!NAMES.includes(name))
      throw new TypeError(`createClient has no option ${JSON.stringify(name)}; it has ${NAMES.join(", ")}.`);
  const { getToken, userId, storage, logger = console } = options;
  const url = options.url instanceof URL ? options.url.href : options.url;
  if (!isAddress(url))
    throw new TypeError(
      `url must be the address of the server, as "https://chat.example.com", not ${described(url)}.`,
    );
  if (typeof getToken !== "function")
    throw new TypeError(`getToken must be a function that returns a token, not ${described(getToken)}.`);
  if (!has(logger, "warn"))
    throw new TypeError(`logger must be an object with a method warn, as the console, not ${described(logger)}.`);
  return { url, getToken, logger, userId: given(userId, userIdOf), storage: given(storage, storageOf) };
}

function isAddress(url: unknown): url is string {
  if (typeof url !== "string" || !/^(https?|wss?):\/\/[^/\s]\S*$/i.test(url) || !URL.canParse(url)) return false;
  const { search, hash } = new URL(url);
  return search === "" && hash === "";
}

const given = <Given, T>(value: Given | undefined, check: (value: Given) => T): T | undefined =>
  value === undefined ? undefined : check(value);

function userIdOf(userId: string): string {
  if (typeof userId === "string" && userId !== "") return userId;
  throw new TypeError(`userId must be the id of the user that getToken signs in, not ${described(userId)}.`);
}

function storageOf(storage: ChatStorage | Storage): ChatStorage {
  if (has(storage, "getItem", "setItem", "removeItem")) return webStorage(storage as Storage);
  if (has(storage, "set", "delete", "entries") && !(storage instanceof Map)) return storage as ChatStorage;
  throw new TypeError(
    `storage must be indexedDbStorage(), webStorage() or an object with set, delete and entries, not ${described(storage)}.`,
  );
}

const has = (value: unknown, ...methods: string[]): boolean =>
  typeof value === "object" &&
  value !== null &&
  methods.every((name) => typeof (value as Record<string, unknown>)[name] === "function");
