// The real socket.io-client, driven line by line: commands as JSON on stdin, everything that
// happens as JSON on stdout, in the order in which the client saw it. One client after another;
// ends when stdin ends.
//
//   {op: "connect", url, namespace, token, cursors, follow?, options?}   follow: keep the cursors
//   {op: "auth", token?, cursors?}             what the auth function answers at the next connect
//   {op: "join", namespace}                    another namespace on the same connection
//   {op: "emit", id, event, data?, timeout}    timeout in ms
//   {op: "drop"}                               break the transport; the client reconnects by itself
//   {op: "close"}
//   {op: "end"}                                close everything, and be as new for the next client
//
//   {kind: "joined", namespace}
//   {kind: "connect", sid} | {kind: "connect_error", message, data, final}
//   {kind: "ended"}                            the last line of a client
//   {kind: "disconnect", reason} | {kind: "event", name, data} | {kind: "ack", id, answer | error}
import { createInterface } from "node:readline";
import { io } from "socket.io-client";
import { hold } from "./cursors.mjs";

const PATIENCE = 10000; // ms for the close of a connection to arrive

let socket;
let others = {};
let opened = [];
let client = 0;
const NAMESPACES = { receipt: "/receipts", unread: "/receipts", presence: "/presence", typing: "/presence" };
let auth = {};

const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");

// What an ended client still hears is nothing to the next one.
function teller() {
  const mine = client;
  return (line) => {
    if (mine === client) write(line);
  };
}

function opens(one) {
  opened.push(one);
  return one;
}

function closed(ws) {
  if (!ws || ws.readyState === ws.CLOSED) return undefined;
  return new Promise((done) => {
    ws.addEventListener("close", done);
    setTimeout(done, PATIENCE).unref();
  });
}

const operations = {
  connect({ url, namespace, token, cursors, follow, options }) {
    const tell = teller();
    auth = { token, cursors: follow ? { ...cursors } : cursors };
    socket = opens(
      io(url + namespace, {
        transports: ["websocket"],
        forceNew: true,
        reconnectionDelay: 100,
        reconnectionDelayMax: 1000,
        auth: (done) => done(auth),
        ...options,
      }),
    );
    socket.on("connect", () => tell({ kind: "connect", sid: socket.id }));
    socket.on("connect_error", ({ message, data }) =>
      tell({ kind: "connect_error", message, data, final: !socket.active }),
    );
    socket.on("disconnect", (reason) => tell({ kind: "disconnect", reason }));
    socket.onAny((name, data) => {
      if (follow) hold(auth.cursors, data);
      tell({ kind: "event", name, data });
    });
  },
  join({ namespace }) {
    const tell = teller();
    const other = opens(
      socket.io.socket(namespace, { auth: (done) => done({ token: auth.token }) }),
    );
    others[namespace] = other;
    other.on("connect", () => tell({ kind: "joined", namespace }));
    other.onAny((name, data) => tell({ kind: "event", name, data }));
    other.connect();
  },
  auth({ token = auth.token, cursors = auth.cursors }) {
    auth = { token, cursors };
  },
  emit({ id, event, data, timeout }) {
    const tell = teller();
    const args = data === undefined ? [] : [data];
    (others[NAMESPACES[event.split(".")[0]]] ?? socket)
      .timeout(timeout)
      .emit(event, ...args, (error, answer) =>
        tell(error ? { kind: "ack", id, error: error.message } : { kind: "ack", id, answer }),
      );
  },
  drop() {
    socket.io.engine.close();
  },
  close() {
    socket.close();
  },
  async end() {
    client += 1;
    const ended = opened.map((one) => closed(one.io.engine?.transport?.ws));
    for (const one of opened) one.close();
    [socket, others, opened, auth] = [undefined, {}, [], {}];
    await Promise.all(ended);
    write({ kind: "ended" });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  operations[command.op](command);
}
for (const one of opened) one.close();
