import type { AnyEvent, Auth, Commands } from "../types.js";
import { backoff, pause } from "./backoff.ts";
import { argumentsOf, asChatError, ChatError, type ChatErrorCode, refusal } from "./error.ts";
import { type End, Link } from "./link.ts";
import { type Observable, Value } from "./observable.ts";
import { fetchToken, type GetToken, subjectOf, TokenRenewal } from "./token.ts";

const ATTEMPTS = 6;
const CLOSED = "The server closed the session.";
const LOST = "The connection was lost.";

/**
 * `offline`: another attempt follows by itself, at `retryAt` (ms since 1970) or at once by `connect()`.
 * `refused`: only `connect()` makes one. `message` says in words why.
 */
export type ConnectionState =
  | { readonly status: "connecting" | "online"; readonly code?: ChatErrorCode; readonly message?: string }
  | {
      readonly status: "offline";
      readonly code?: ChatErrorCode;
      readonly message?: string;
      readonly retryAt?: number;
    }
  | { readonly status: "refused"; readonly code: ChatErrorCode; readonly message: string };

export interface ConnectionOptions {
  url: string;
  getToken: GetToken;
  cursors: () => NonNullable<Auth["cursors"]>;
  /** Why a token, or a session, of this user is not for this client, if it is not. */
  refusalOf: (user_id: string) => ChatError | undefined;
  event: (event: AnyEvent) => void;
  warn: (message: string, error: unknown) => void;
}

interface Waiting {
  resolve: (link: Link) => void;
  reject: (error: ChatError) => void;
}

/** What the parts of a client see of it. */
export type Commander = Pick<Connection, "online" | "command" | "once" | "tell">;

/** Keeps one link up: a fresh token and today's cursors for each, and a pause that grows between. */
export class Connection {
  readonly state: Observable<ConnectionState>;
  readonly #state = new Value<ConnectionState>({ status: "offline" });
  readonly #options: ConnectionOptions;
  readonly #renewal: TokenRenewal;
  #link: Link | undefined;
  #waiting: Waiting[] = [];
  #failures = 0;
  readonly #told = new Set<string>(); // why there was no token, or no server
  #ahead = 0; // ms that the server's clock is ahead of ours
  #mayHurry = true;
  #wanted = false;
  #run = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #warning: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.state = this.#state;
    this.#renewal = new TokenRenewal(options.getToken, (token) => this.#refresh(token), options.warn);
  }

  get online(): boolean {
    return this.#state.value.status === "online";
  }

  connect(): void {
    const { status } = this.#state.value;
    if (this.#wanted && (status === "connecting" || status === "online")) return;
    this.#wanted = true;
    clearTimeout(this.#warning);
    this.#warning = undefined;
    this.#failures = 0;
    if (typeof document !== "undefined") {
      addEventListener("online", this.#wake);
      document.addEventListener("visibilitychange", this.#wake);
    }
    void this.#attempt();
  }

  /** Leave; commands that wait are refused. */
  close(): void {
    this.#wanted = false;
    if (typeof document !== "undefined") {
      removeEventListener("online", this.#wake);
      document.removeEventListener("visibilitychange", this.#wake);
    }
    this.#leave();
    this.#state.set({ status: "offline" });
    this.#refuse(refusal("closed", "The client was closed."));
  }

  /**
   * The data of a command. It waits for the connection, which the logger is told if nobody asked for one, and is
   * repeated while its refusal says that this may help: every command is safe to repeat. Rejects with ChatError.
   */
  async command<Name extends keyof Commands>(
    name: Name,
    payload: Commands[Name]["payload"],
  ): Promise<Commands[Name]["answer"]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.once(name, payload);
      } catch (error) {
        const refused = asChatError(error);
        if (!refused.retryable || attempt === ATTEMPTS) throw refused;
        await pause(refused.retryAfterMs ?? backoff(attempt));
      }
    }
  }

  /** The same, without repeating it. */
  async once<Name extends keyof Commands>(
    name: Name,
    payload: Commands[Name]["payload"],
  ): Promise<Commands[Name]["answer"]> {
    const link = await this.#online(name);
    const ack = await link.ask(name, payload);
    if (!ack) throw refusal("no_answer", `No answer to ${name}.`, true);
    if (!ack.ok) throw new ChatError(argumentsOf(ack.error, isDirect(payload) ? { members: "userId" } : {}));
    return ack.data;
  }

  /** Send what nobody waits for; nothing while offline. */
  tell<Name extends keyof Commands>(name: Name, payload: Commands[Name]["payload"]): void {
    if (this.online) void this.#link?.ask(name, payload);
  }

  #online(command: string): Promise<Link> {
    if (this.online && this.#link) return Promise.resolve(this.#link);
    const state = this.#state.value;
    if (state.status === "refused") return Promise.reject(refusal(state.code, state.message));
    if (!this.#wanted) this.#idle(command);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** In a later turn: a component may command before the one above it connects, in the same turn. */
  #idle(command: string): void {
    this.#warning ??= setTimeout(
      () => this.#options.warn("Not connected; call connect(). Until then commands wait:", command),
    );
  }

  #leave(): void {
    this.#run += 1;
    clearTimeout(this.#timer);
    this.#renewal.stop();
    const link = this.#link;
    this.#link = undefined;
    link?.close();
  }

  async #attempt(): Promise<void> {
    this.#leave();
    const run = this.#run;
    this.#state.set({ status: "connecting" });
    let token: string;
    try {
      token = await fetchToken(this.#options.getToken);
    } catch (error) {
      if (run === this.#run) this.#noToken(error);
      return;
    }
    if (run !== this.#run) return;
    const user_id = subjectOf(token);
    if (user_id !== undefined && this.#isOther(user_id)) return;
    this.#link = new Link(this.#options.url, {
      auth: () => ({ token, cursors: this.#options.cursors() }),
      event: (event) => {
        if (run === this.#run) this.#hear(event);
      },
      end: (why) => {
        if (run === this.#run) this.#lost(why);
      },
    });
  }

  #noToken(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#tell(message, "No token; trying again.", error);
    this.#later({ code: error instanceof ChatError ? error.code : "token_unavailable", message });
  }

  /** What answers at the url is no chat server, if anything does. */
  #noServer(why: string): void {
    const { url } = this.#options;
    const message = `No chat server answers at ${url} (${why}).`;
    this.#tell(message, "No connection; trying again. Is the url right, and may this page connect?", message);
    this.#later({ code: "unreachable", message });
  }

  /** Each reason is told once until there is a session, since the attempts go on. */
  #tell(reason: string, message: string, error: unknown): void {
    if (!this.#told.has(reason)) this.#options.warn(message, error);
    this.#told.add(reason);
  }

  #hear(event: AnyEvent): void {
    if (event.type !== "session.ready") return this.#options.event(event);
    // Before the state is online: nothing of one user is sent as another.
    if (this.#isOther(event.data.user_id)) return;
    this.#failures = 0;
    this.#told.clear();
    const serverTime = Date.parse(event.data.server_time);
    this.#ahead = serverTime - Date.now();
    this.#renewal.start(Date.parse(event.data.expires_at) - serverTime);
    // The state first, then whoever waits: what is unsent goes before new commands.
    this.#state.set({ status: "online" });
    this.#options.event(event);
    for (const { resolve } of this.#waiting.splice(0)) if (this.#link) resolve(this.#link);
  }

  #lost(end: End): void {
    const { refused, closing, failed } = end;
    if (failed !== undefined) return this.#noServer(failed);
    if (refused && refused.code !== "token_expired") return this.#refused(refused.code, refused.message);
    if (refused) this.#tell(refused.code, "getToken returned a token that has expired; trying again.", refused.message);
    if (closing && !closing.reconnect) return this.#refused(closing.code, CLOSED);
    this.#later({ ...whyLost(end), after: closing?.retry_after_ms ?? undefined });
  }

  #isOther(user_id: string): boolean {
    const refused = this.#options.refusalOf(user_id);
    if (refused) this.#refused(refused.code, refused.message);
    return refused !== undefined;
  }

  #refused(code: ChatErrorCode, message: string): void {
    this.#leave();
    this.#state.set({ status: "refused", code, message });
    const error = refusal(code, message);
    this.#options.warn("The connection was refused; only connect() tries again.", error);
    this.#refuse(error);
  }

  #refuse(error: ChatError): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #later({ after, ...why }: { code: ChatErrorCode; message: string; after?: number | undefined }): void {
    this.#leave();
    this.#mayHurry = after === undefined;
    const wait = after ?? backoff(this.#failures);
    this.#failures += 1;
    this.#state.set({ status: "offline", ...why, retryAt: Date.now() + wait });
    this.#timer = setTimeout(() => void this.#attempt(), wait);
  }

  /** The network or the window is back: do not wait for the end of the pause. */
  readonly #wake = (): void => {
    const waits = this.#mayHurry && this.#state.value.status === "offline";
    if (waits && document.visibilityState === "visible") void this.#attempt();
  };

  async #refresh(token: string): Promise<number> {
    const user_id = subjectOf(token);
    const other = user_id === undefined ? undefined : this.#options.refusalOf(user_id);
    if (other) {
      this.#refused(other.code, other.message);
      throw other;
    }
    const { expires_at } = await this.command("auth.refresh", { token });
    return Date.parse(expires_at) - (Date.now() + this.#ahead);
  }
}

function whyLost({ refused, closing }: End): { code: ChatErrorCode; message: string } {
  if (refused) return { code: refused.code, message: refused.message };
  return closing ? { code: closing.code, message: CLOSED } : { code: "unreachable", message: LOST };
}

/** The only member that a direct room is asked for is an argument of its own. */
const isDirect = (payload: object): boolean => "type" in payload && payload.type === "direct";
