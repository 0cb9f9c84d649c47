import { described } from "./args.ts";
import { backoff, pause } from "./backoff.ts";

export type GetToken = () => string | Promise<string>;

const EARLY = 0.2; // of its life a token is renewed before its end
const LEAST_EARLY = 5_000;
const LEAST_WAIT = 1_000; // a getToken that returns the old token again is not asked in a loop
const LONGEST_TIMER = 2 ** 31 - 1;
const EXACT = 500; // ms by which the end of the same token may seem to move

/** A token, or a rejection after `patience` ms: a request that hangs must not hang the client. */
export async function fetchToken(getToken: GetToken, patience = 20_000): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("getToken does not answer.")), patience);
  });
  try {
    return tokenOf(await Promise.race([getToken(), late]));
  } finally {
    clearTimeout(timer);
  }
}

/** Whom a token is for: `sub` of a JWT; undefined of what is none. */
export function subjectOf(token: string): string | undefined {
  try {
    const claims = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const { sub } = JSON.parse(atob(claims)) as { sub?: unknown };
    return typeof sub === "string" && sub !== "" ? sub : undefined;
  } catch {
    return undefined;
  }
}

/** The server would refuse it as any other that is invalid, and could not say what it was here. */
function tokenOf(token: unknown): string {
  if (typeof token === "string" && token !== "") return token;
  throw new TypeError(`getToken returned ${described(token)}: it must return the token, a string.`);
}

/** A fresh token before the old one ends: `give` hands it to the server, which says when it ends. */
export class TokenRenewal {
  readonly #getToken: GetToken;
  readonly #give: (token: string) => Promise<number>;
  readonly #warn: (message: string, error: unknown) => void;
  readonly #leastWait: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #run = 0;
  #ends = 0; // of the token in use, by our clock
  #isTold = false;

  constructor(
    getToken: GetToken,
    give: (token: string) => Promise<number>,
    warn: (message: string, error: unknown) => void,
    leastWait = LEAST_WAIT,
  ) {
    this.#getToken = getToken;
    this.#give = give;
    this.#warn = warn;
    this.#leastWait = leastWait;
  }

  /** The token of the session lives so long from now (ms, by the server's clock). */
  start(life: number): void {
    this.stop();
    this.#ends = Date.now() + life;
    const run = this.#run;
    const wait = Math.max(this.#leastWait, life - Math.max(life * EARLY, Math.min(LEAST_EARLY, life / 2)));
    this.#timer = setTimeout(() => void this.#renew(run), Math.min(wait, LONGEST_TIMER));
  }

  stop(): void {
    this.#run += 1;
    clearTimeout(this.#timer);
  }

  async #renew(run: number): Promise<void> {
    for (let attempt = 0; run === this.#run; attempt += 1) {
      try {
        const life = await this.#give(await fetchToken(this.#getToken));
        if (run !== this.#run) return;
        this.#compare(Date.now() + life);
        this.start(life);
        return;
      } catch (error) {
        if (run !== this.#run) return;
        this.#warn("The token cannot be renewed; trying again.", error);
        await pause(backoff(attempt));
      }
    }
  }
  /** Told once until there is a fresher one. */
  #compare(ends: number): void {
    const isFresher = ends > this.#ends + EXACT;
    if (!isFresher && !this.#isTold) {
      const when = new Date(ends).toISOString();
      this.#warn("getToken returned a token that ends no later than the one in use: the session ends with it, at", when);
    }
    this.#isTold = !isFresher;
  }
}
