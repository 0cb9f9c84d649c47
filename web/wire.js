// The connection: a socket.io-client, a fresh token and the current cursors at every connect,
// and commands that are repeated while their refusal says that this may help.

import { io } from "./vendor/socket.io.min.js";

const ACK_TIMEOUT = 6000;
const ATTEMPTS = 6;
const NAMESPACES = {
  receipt: "/receipts",
  unread: "/receipts",
  presence: "/presence",
  typing: "/presence",
};

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export class Refused extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}

async function token(user) {
  const answer = await fetch(`/dev/token?${new URLSearchParams({ user })}`);
  if (!answer.ok) throw new Error(`No token: the server answered ${answer.status}.`);
  return (await answer.json()).token;
}

export class Wire {
  #socket;
  #others = {};

  /** `cursors()` is asked at every connect; `onEvent(event)`, `onState(text, alive)` are told. */
  constructor(user, { cursors, onEvent, onState }) {
    this.ready = false;
    const auth = (done) => {
      token(user).then(
        (fresh) => done({ token: fresh, cursors: cursors() }),
        () => socket.io.engine.close(), // which makes the client try again later
      );
    };
    const socket = (this.#socket = io("/chat", {
      transports: ["websocket"],
      reconnectionDelay: 300,
      reconnectionDelayMax: 5000,
      auth,
    }));
    for (const namespace of ["/receipts", "/presence"]) {
      const other = (this.#others[namespace] = socket.io.socket(namespace, { auth }));
      other.onAny((_, event) => onEvent(event));
    }
    let later = null; // ms, when the server closes for good as far as the client goes, but not as we do
    const again = () => [socket, ...Object.values(this.#others)].forEach((one) => one.connect());
    socket.onAny((name, event) => {
      if (name === "session.ready") this.ready = true;
      if (name === "session.closing") later = event.data.reconnect ? event.data.retry_after_ms : null;
      onEvent(event);
      if (name === "session.ready") onState("connected", true);
    });
    socket.on("disconnect", () => {
      this.ready = false;
      const waits = !socket.active && later !== null;
      if (waits) setTimeout(again, later);
      const closed = waits ? "too many connections, trying again later …" : "closed by the server";
      onState(socket.active ? "reconnecting …" : closed, false);
      later = null;
    });
    socket.on("connect_error", ({ message }) =>
      onState(socket.active ? "no connection, trying again …" : `refused: ${message}`, false),
    );
    onState("connecting …", false);
  }

  /** One command, one answer as it came; no ack counts as a refusal that may be repeated. */
  async ask(name, payload) {
    try {
      const socket = this.#others[NAMESPACES[name.split(".")[0]]] ?? this.#socket;
      return await socket.timeout(ACK_TIMEOUT).emitWithAck(name, payload);
    } catch ({ message }) {
      const error = { code: "no_ack", message, retryable: true, retry_after_ms: 0 };
      return { ok: false, error };
    }
  }

  /** The data of a command that is safe to repeat; throws Refused when repeating did not help. */
  async command(name, payload) {
    for (let attempt = 1; ; attempt += 1) {
      const { ok, data, error } = await this.ask(name, payload);
      if (ok) return data;
      if (!error.retryable || attempt === ATTEMPTS) throw new Refused(error);
      await pause(error.retry_after_ms ?? 250 * 2 ** attempt);
    }
  }
}
