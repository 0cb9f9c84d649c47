// For back ends in Node: tokens for users, and the REST routes. Nothing here belongs into a browser.
import type { Refusal } from "../types.js";
import { backoff, pause } from "./backoff.ts";
import { ChatError } from "./error.ts";
import { uuid7 } from "./id.ts";
import { type LineOperations, type Operations, ROUTES } from "./routes.ts";

const ATTEMPTS = 6;
const TIMEOUT = 60_000; // ms; most are answered at once, but room.verify reads rooms
const LINES = "application/x-ndjson";

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

/** A JWT signed with the secret that the server has as `RTS_JWT_SECRET` (HS256, RFC 7518). Throws TypeError without one. */
export async function signToken(secret: string, options: TokenOptions): Promise<string> {
  if (typeof secret !== "string" || secret === "")
    throw new TypeError("secret must be the text that the server has as RTS_JWT_SECRET; it is empty here.");
  const { lifetime = 3600, ...claims } = options;
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
 * repeat, so what may work later is repeated; what does not rejects with ChatError.
 */
export class RestClient {
  readonly #url: string;
  readonly #token: () => string | Promise<string>;

  /** `token`: one with `scope: "operator"`, or a function that gives one for each request. */
  constructor(url: string, token: string | (() => string | Promise<string>)) {
    this.#url = url.replace(/\/$/, "");
    this.#token = typeof token === "string" ? () => token : token;
  }

  /** `rest.call("message.send", { room_id, text: "shipped" })` */
  async call<Name extends keyof Operations>(
    name: Name,
    params: Operations[Name]["takes"],
  ): Promise<Operations[Name]["answer"]> {
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
    const headers = { ...request.headers, authorization: `Bearer ${await this.#token()}` };
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

/** Each parameter goes where its route has it. */
function requestOf(name: string, params: object): RestRequest {
  const route = ROUTES[name];
  if (!route) throw new TypeError(`There is no route ${name}.`);
  const left: Record<string, unknown> = { ...params };
  const take = (name: string) => {
    const value = left[name] as string | number | boolean | undefined;
    Reflect.deleteProperty(left, name);
    return value;
  };
  const path = route.path.replace(/{(\w+)}/g, (_, name: string) => encodeURIComponent(String(take(name))));
  const asked = new URLSearchParams();
  for (const name of route.query) {
    const value = take(name);
    if (value !== undefined) asked.set(name, String(value));
  }
  // Without a key a repetition would be a second message.
  const key = take("idempotency_key") ?? uuid7();
  const hasBody = Object.keys(left).length > 0;
  return {
    method: route.method,
    path: asked.size > 0 ? `${path}?${asked.toString()}` : path,
    headers: {
      ...(hasBody && { "content-type": "application/json" }),
      ...(route.keyed && { "idempotency-key": String(key) }),
    },
    ...(hasBody && { body: JSON.stringify(left) }),
  };
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
