// For back ends in Node: tokens for users, and the REST routes. Nothing here belongs into a browser.
import type { Refusal } from "../types.js";
import { described, isObject } from "./args.ts";
import { backoff, pause } from "./backoff.ts";
import { ChatError } from "./error.ts";
import { uuid7 } from "./id.ts";
import { type LineOperations, type Operations, type Route, ROUTES } from "./routes.ts";

const ATTEMPTS = 6;
const TIMEOUT = 60_000; // ms; most are answered at once, but room.verify reads rooms
const LINES = "application/x-ndjson";
const USER_ID = /^[!-~]{1,128}$/;
/** What a header can hold. */
const WORD = /^[!-~]+$/;

/** The routes that answer line by line. */
const STREAMED: Readonly<Record<keyof LineOperations, true>> = { "personal.erase": true, "personal.export": true };

/** One request, the same however often it is sent. */
interface RestRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
}

export interface TokenOptions {
  /** The user id. */
  sub: string;
  /** Shown to the others. */
  name?: string;
  /** `operator`: for the REST routes. */
  scope?: "operator";
  /** Seconds; an hour if left out. */
  lifetime?: number;
  /** Where the server checks them. */
  iss?: string;
  aud?: string;
}

/**
 * A JWT signed with the secret that the server has as `RTS_JWT_SECRET` (HS256, RFC 7518). `iat` is now and `exp`
 * follows from `lifetime`. Throws TypeError without a secret, and for options that make no token of a user.
 */
export async function signToken(secret: string, options: TokenOptions): Promise<string> {
  if (typeof secret !== "string" || secret === "")
    throw new TypeError("secret must be the text that the server has as RTS_JWT_SECRET; it is empty here.");
  const { lifetime = 3600, ...claims } = checkedOptions(options);
  const iat = Math.floor(Date.now() / 1000);
  const body = { ...claims, iat, exp: iat + lifetime };
  const signed = [{ alg: "HS256", typ: "JWT" }, body].map((part) => base64url(JSON.stringify(part))).join(".");
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytesOf(secret), algorithm, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", key, bytesOf(signed));
  return `${signed}.${Buffer.from(signature).toString("base64url")}`;
}

/**
 * The REST routes of operators, by the operationId of their OpenAPI document. Every route is safe to
 * repeat, so what may work later is repeated; what does not rejects with ChatError. What cannot be asked
 * at all is a TypeError before any request.
 */
export class RestClient {
  readonly #url: string;
  readonly #token: () => string | Promise<string>;

  /** `token`: one with `scope: "operator"`, or a function that gives one for each request. */
  constructor(url: string, token: string | (() => string | Promise<string>)) {
    if (!isAddress(url)) throw wrong("url", 'the address of the server, as "https://chat.example.com"', url);
    this.#url = url.replace(/\/+$/, "");
    this.#token = typeof token === "function" ? token : always(checkedToken(token));
  }

  /** `rest.call("message.send", { room_id, text: "shipped" })`. What answers line by line is asked by `lines`. */
  async call<Name extends keyof Operations>(
    name: Name,
    params: Operations[Name]["takes"],
  ): Promise<Operations[Name]["answer"]> {
    if (Object.hasOwn(STREAMED, name)) throw new TypeError(`${name} answers line by line: use lines(), not call().`);
    const request = requestOf(name, params);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const response = await this.#send(request, AbortSignal.timeout(TIMEOUT));
        return (await read(response)) as Operations[Name]["answer"];
      } catch (error) {
        if (!(error instanceof ChatError) || !error.retryable || attempt === ATTEMPTS) throw error;
        await pause(error.retryAfterMs ?? backoff(attempt));
      }
    }
  }

  /** The lines of an answer of many, to its end. It is not repeated. */
  async *lines<Name extends keyof LineOperations>(
    name: Name,
    params: LineOperations[Name]["takes"],
  ): AsyncGenerator<LineOperations[Name]["answer"]> {
    if (!Object.hasOwn(STREAMED, name)) throw new TypeError(`${name} gives one answer: use call(), not lines().`);
    const response = await this.#send(requestOf(name, params));
    if (!response.headers.get("content-type")?.startsWith(LINES)) await read(response);
    for await (const line of linesOf(response)) {
      const answer = JSON.parse(line) as LineOperations[Name]["answer"];
      if (answer.kind === "end") return;
      yield answer;
    }
    throw unreachable("The answer was cut off.");
  }

  /** Send once, with a token of this moment. Rejects with ChatError if no answer comes. */
  async #send({ path, ...request }: RestRequest, signal?: AbortSignal): Promise<Response> {
    const headers = { ...request.headers, authorization: `Bearer ${checkedToken(await this.#token())}` };
    try {
      return await fetch(`${this.#url}${path}`, { ...request, headers, ...(signal && { signal }) });
    } catch (error) {
      throw unreachable(error);
    }
  }
}

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

const base64url = (text: string): string => Buffer.from(text).toString("base64url");

const unreachable = (error: unknown): ChatError =>
  new ChatError({ code: "no_answer", message: String(error), retryable: true });

const wrong = (argument: string, expected: string, value: unknown): TypeError =>
  new TypeError(`${argument} must be ${expected}, not ${described(value)}.`);

const always = (token: string) => () => token;

function isAddress(url: unknown): boolean {
  if (typeof url !== "string" || !/^https?:\/\/[^/\s]\S*$/i.test(url) || !URL.canParse(url)) return false;
  const { username, password, search, hash } = new URL(url);
  return [username, password, search, hash].every((part) => part === ""); // fetch refuses a user in it
}

function checkedToken(token: unknown): string {
  if (typeof token === "string" && WORD.test(token)) return token;
  // A text is not shown: it is a token with the end of a line, mostly.
  throw new TypeError("token must be a token, without spaces and line ends, or a function that gives one.");
}

const isText = (value: unknown): value is string => typeof value === "string";

/** What an option must be, in a sentence. */
const OPTIONS: Readonly<Record<keyof TokenOptions, [expected: string, fits: (value: unknown) => boolean]>> = {
  sub: ["a user id, 1 to 128 printable ASCII characters without spaces,", (value) => isText(value) && USER_ID.test(value)],
  name: ["a text", isText],
  scope: ['left out or "operator"', (value) => value === "operator"],
  lifetime: ["a number of seconds above 0", (value) => Number.isFinite(value) && (value as number) > 0],
  iss: ["a text", isText],
  aud: ["a text", isText],
};

/** What makes a token that the server takes. */
function checkedOptions(options: TokenOptions): TokenOptions {
  if (!isObject(options)) throw wrong("options", "an object with sub", options);
  const given = Object.entries<unknown>({ ...options, sub: options.sub }).filter(([name, value]) => name === "sub" || value !== undefined);
  for (const [name, value] of given) {
    if (name === "exp" || name === "iat")
      throw new TypeError(`There is no option ${name}: iat is now, and exp is lifetime seconds later.`);
    if (!Object.hasOwn(OPTIONS, name))
      throw new TypeError(`There is no option ${name}; signToken has ${Object.keys(OPTIONS).join(", ")}.`);
    const [expected, fits] = OPTIONS[name as keyof TokenOptions];
    if (!fits(value)) throw wrong(name, expected, value);
  }
  return Object.fromEntries(given) as unknown as TokenOptions;
}

function routeOf(name: string): Route {
  const route = Object.hasOwn(ROUTES, name) ? ROUTES[name] : undefined;
  if (route) return route;
  throw new TypeError(`There is no route ${name}.`);
}

/** Each parameter goes where its route has it. Throws TypeError for what no request can be made of. */
function requestOf(name: string, params: object): RestRequest {
  const route = routeOf(name);
  if (!isObject(params)) throw wrong(`What ${name} takes`, "an object", params);
  const left: Record<string, unknown> = { ...params };
  const take = (name: string) => {
    const value = left[name];
    Reflect.deleteProperty(left, name);
    return value;
  };
  const path = route.path.replace(/{(\w+)}/g, (_, name: string) => segmentOf(name, take(name)));
  const asked = new URLSearchParams();
  for (const name of route.query) {
    const value = take(name);
    if (value !== undefined) asked.set(name, queriedOf(name, value));
  }
  const key = route.keyed && keyOf(take("idempotency_key"));
  const [first] = Object.keys(left).filter((name) => left[name] !== undefined);
  if (route.method === "GET" && first !== undefined) throw new TypeError(`${name} does not take ${first}.`);
  const body = first === undefined ? undefined : JSON.stringify(left);
  return {
    method: route.method,
    path: asked.size > 0 ? `${path}?${asked.toString()}` : path,
    headers: { ...(body && { "content-type": "application/json" }), ...(key && { "idempotency-key": key }) },
    ...(body && { body }),
  };
}

/** Part of a path: without it, the request would be one of something else. */
function segmentOf(name: string, value: unknown): string {
  if (typeof value !== "string" || value === "") throw wrong(name, "a text that is not empty", value);
  if (value === "." || value === "..") throw wrong(name, "something that can stand in a path", value);
  return encodeURIComponent(value);
}

function queriedOf(name: string, value: unknown): string {
  if (["string", "number", "boolean"].includes(typeof value)) return String(value);
  throw wrong(name, "a text, a number or true or false", value);
}

/** Without a key a repetition would be a second message. */
function keyOf(value: unknown = uuid7()): string {
  if (typeof value === "string" && WORD.test(value)) return value;
  throw wrong("idempotency_key", "printable ASCII characters without spaces", value);
}

/** The data of an answer; rejects with a refusal, or with no_answer for what is not the server's. */
async function read(response: Response): Promise<unknown> {
  let answer: { ok: boolean; data?: unknown; error?: Refusal };
  try {
    answer = (await response.json()) as typeof answer;
  } catch (error) {
    throw unreachable(`HTTP ${response.status}: ${String(error)}`);
  }
  if (answer.ok) return answer.data;
  throw answer.error ? new ChatError(answer.error) : unreachable(`HTTP ${response.status}`);
}

async function* linesOf(response: Response): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  try {
    for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
      const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      yield* parts;
    }
  } catch (error) {
    throw unreachable(error);
  }
}
