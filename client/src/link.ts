import { Manager, type Socket } from "socket.io-client";
import type {
  Ack,
  AnyEvent,
  Auth,
  Commands,
  ConnectRefusal,
  ErrorCode,
  SessionClosingData,
} from "../types.js";

const ACK_TIMEOUT = 6_000;
const OPENING = 8_000; // ms for the handshake, and as many again for the session behind it

const NAMESPACES = { receipt: "/receipts", unread: "/receipts", presence: "/presence", typing: "/presence" };
type Namespace = "/chat" | "/receipts" | "/presence";

/** Why a link ended. */
export interface End {
  /** The server's CONNECT_ERROR. */
  refused?: { code: ErrorCode; message: string };
  /** The server's session.closing. */
  closing?: SessionClosingData;
  /** Why there was no session, in words of the network. */
  failed?: string;
}

export interface LinkListener {
  auth(): Auth;
  event(event: AnyEvent): void;
  /** Once, whatever ended it. */
  end(why: End): void;
}

/**
 * One WebSocket with the three namespaces, from its opening to its end. It never reconnects and
 * never queues: a new link begins with the cursors of its moment.
 */
export class Link {
  readonly #manager: Manager;
  readonly #sockets: Record<Namespace, Socket>;
  readonly #listener: LinkListener;
  #closing: SessionClosingData | undefined;
  #ended = false;
  #patience: ReturnType<typeof setTimeout> | undefined;

  constructor(url: string, listener: LinkListener) {
    this.#listener = listener;
    const { origin, pathname } = new URL(url);
    const manager = new Manager(origin, {
      path: `${pathname.replace(/\/+$/, "")}/socket.io`,
      transports: ["websocket"],
      reconnection: false,
      autoConnect: false,
      timeout: OPENING,
    });
    manager.on("open", () => this.#expect());
    const open = (namespace: Namespace): Socket => {
      // Cursors count on /chat only, and are those of the moment of its CONNECT.
      const auth = (give: (auth: object) => void) => {
        const { token, cursors } = listener.auth();
        give(namespace === "/chat" ? { token, cursors } : { token });
      };
      const socket = manager.socket(namespace, { auth });
      socket.onAny((_, event: AnyEvent) => this.#hear(event));
      socket.on("disconnect", () => this.#end({}));
      socket.on("connect_error", (error) => this.#end(whyNot(error)));
      return socket;
    };
    this.#manager = manager;
    this.#sockets = { "/chat": open("/chat"), "/receipts": open("/receipts"), "/presence": open("/presence") };
    for (const socket of Object.values(this.#sockets)) socket.connect();
  }

  /**
   * One command and its ack, as it came; undefined if there was none within 6 s or the link ended. A payload that is
   * no JSON is refused here: it could not be sent another time either.
   */
  ask<Name extends keyof Commands>(
    name: Name,
    payload: Commands[Name]["payload"],
  ): Promise<Ack<Commands[Name]["answer"]> | undefined> {
    if (this.#ended) return Promise.resolve(undefined);
    const family = name.slice(0, name.indexOf("."));
    const socket = this.#sockets[(NAMESPACES as Record<string, Namespace>)[family] ?? "/chat"];
    return new Promise((done) => {
      try {
        socket
          .timeout(ACK_TIMEOUT)
          .emit(name, payload, (lost: Error | null, ack: Ack<Commands[Name]["answer"]>) => done(lost ? undefined : ack));
      } catch (error) {
        const message = `${name} cannot be sent: ${(error as Error).message}`;
        done({ ok: false, error: { code: "invalid_param", message, retryable: false } });
      }
    });
  }

  close(): void {
    this.#end({});
  }

  /** What answers a connection without being a chat server may leave it open for ever. */
  #expect(): void {
    this.#patience = setTimeout(() => this.#end({ failed: "no session" }), OPENING);
  }

  #hear(event: AnyEvent): void {
    if (this.#ended) return;
    if (event.type === "session.ready") clearTimeout(this.#patience);
    if (event.type === "session.closing") this.#closing = event.data;
    this.#listener.event(event);
  }

  #end(why: End): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#patience);
    for (const socket of Object.values(this.#sockets)) socket.disconnect();
    (this.#manager as unknown as { _close(): void })._close(); // also while it is still opening
    this.#listener.end(this.#closing ? { ...why, closing: this.#closing } : why);
  }
}

/** Browsers do not tell a page why a WebSocket failed; Node does, as "Unexpected server response: 404". */
function whyNot(error: Error): End {
  const { message, data, description } = error as Error & Partial<ConnectRefusal> & { description?: unknown };
  if (data) return { refused: { code: data.code, message } };
  const detail = (description as { message?: unknown } | undefined)?.message;
  return { failed: typeof detail === "string" && detail ? detail : message };
}
