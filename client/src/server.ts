// For back ends in Node: tokens for users, and the REST routes. Nothing here belongs into a browser.
import type { Refusal } from "../types.js";
import { backoff, pause } from "./backoff.ts";
import { ChatError } from "./error.ts";
import { type LineOperations, type Operations, type Route, ROUTES } from "./routes.ts";

const ATTEMPTS = 6;

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

/** A JWT signed with the secret that the server has as `RTS_JWT_SECRET` (HS256, RFC 7518). */
export async function signToken(secret: string, options: TokenOptions): Promise<string> {
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
    for (let attempt = 1; ; attempt += 1) {
      try {
        const response = await this.#fetch(name, params);
        return read(await response.json()) as Operations[Name]["answer"];
      } catch (error) {
        const refused = error instanceof ChatError ? error : unreachable(error);
        if (!refused.retryable || attempt === ATTEMPTS) throw refused;
        await pause(refused.retryAfterMs ?? backoff(attempt));
      }
    }
  }

  /** The lines of an answer of many, to its end. It is not repeated. */
  async *lines<Name extends keyof LineOperations>(
    name: Name,
    params: LineOperations[Name]["takes"],
  ): AsyncGenerator<LineOperations[Name]["answer"]> {
    const response = await this.#fetch(name, params);
    if (response.headers.get("content-type")?.startsWith("application/json")) read(await response.json());
    let rest = "";
    const decoder = new TextDecoder();
    for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
      const text = decoder.decode(bytes, { stream: true });
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        const answer = JSON.parse(line) as LineOperations[Name]["answer"];
        if (answer.kind === "end") return;
        yield answer;
      }
    }
    throw unreachable("The answer was cut off.");
  }

  async #fetch(name: string, params: object): Promise<Response> {
    const route = ROUTES[name];
    if (!route) throw new TypeError(`There is no route ${name}.`);
    const { path, query, body, key } = split(route, params as Record<string, unknown>);
    const hasBody = Object.keys(body).length > 0;
    return fetch(`${this.#url}${path}${query}`, {
      method: route.method,
      headers: {
        authorization: `Bearer ${await this.#token()}`,
        ...(hasBody && { "content-type": "application/json" }),
        ...(key !== undefined && { "idempotency-key": key }),
      },
      ...(hasBody && { body: JSON.stringify(body) }),
    });
  }
}

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

const base64url = (text: string): string => Buffer.from(text).toString("base64url");

const unreachable = (error: unknown): ChatError =>
  new ChatError({ code: "no_answer", message: String(error), retryable: true });

/** Each parameter goes where its route has it. */
function split({ path, query }: Route, params: Record<string, unknown>) {
  const body: Record<string, unknown> = { ...params };
  const take = (name: string) => {
    const value = body[name] as string | number | boolean | undefined;
    Reflect.deleteProperty(body, name);
    return value;
  };
  const filled = path.replace(/{(\w+)}/g, (_, name: string) => encodeURIComponent(String(take(name))));
  const asked = new URLSearchParams();
  for (const name of query) {
    const value = take(name);
    if (value !== undefined) asked.set(name, String(value));
  }
  const key = take("idempotency_key")?.toString();
  return { path: filled, query: asked.size > 0 ? `?${asked.toString()}` : "", body, key };
}

function read(answer: unknown): unknown {
  const { ok, data, error } = answer as { ok: boolean; data?: unknown; error?: Refusal };
  if (ok) return data;
  throw error ? new ChatError(error) : unreachable(JSON.stringify(answer));
}
