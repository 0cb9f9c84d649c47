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

const NAMESPACES = { receipt: "/receipts", unread: "/receipts", presence: "/presence", typing: "/presence" };
type Namespace = "/chat" | "/receipts" | "/presence";

/** Why a link ended. */
export interface End {
  /** The server's CONNECT_ERROR. */
  refused?: { code: ErrorCode; message: string };
  /** The server's session.closing. */
  closing?: SessionClosingData;
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

  constructor(url: string, listener: LinkListener) {
    this.#listener = listener;
    const manager = new Manager(url, {
      transports: ["websocket"],
      reconnection: false,
      autoConnect: false,
    });
    const open = (namespace: Namespace): Socket => {
      // Cursors count on /chat only, and are those of the moment of its CONNECT.
      const auth = (give: (auth: object) => void) => {
        const { token, cursors } = listener.auth();
        give(namespace === "/chat" ? { token, cursors } : { token });
      };
      const socket = manager.socket(namespace, { auth });
      socket.onAny((_, event: AnyEvent) => this.#hear(event));
      socket.on("disconnect", () => this.#end({}));
      socket.on("connect_error", (error) => this.#end(refusedBy(error)));
      return socket;
    };
    this.#manager = manager;
    this.#sockets = { "/chat": open("/chat"), "/receipts": open("/receipts"), "/presence": open("/presence") };
    for (const socket of Object.values(this.#sockets)) socket.connect();
  }

  /** One command and its ack, as it came; undefined if there was none within 6 s or the link ended. */
  async ask<Name extends keyof Commands>(
    name: Name,
    payload: Commands[Name]["payload"],
  ): Promise<Ack<Commands[Name]["answer"]> | undefined> {
    if (this.#ended) return undefined;
    const family = name.slice(0, name.indexOf("."));
    const namespace = (NAMESPACES as Record<string, Namespace>)[family] ?? "/chat";
    try {
      return (await this.#sockets[namespace]
        .timeout(ACK_TIMEOUT)
        .emitWithAck(name, payload)) as Ack<Commands[Name]["answer"]>;
    } catch {
      return undefined;
    }
  }

  close(): void {
    this.#end({});
  }

  #hear(event: AnyEvent): void {
    if (this.#ended) return;
    if (event.type === "session.closing") this.#closing = event.data;
    this.#listener.event(event);
  }

  #end(why: End): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const socket of Object.values(this.#sockets)) socket.disconnect();
    (this.#manager as unknown as { _close(): void })._close(); // also while it is still opening
    this.#listener.end(this.#closing ? { ...why, closing: this.#closing } : why);
  }
}

function refusedBy(error: Error): End {
  const { message, data } = error as Error & Partial<ConnectRefusal>;
  return data ? { refused: { code: data.code, message } } : {};
}
