// The real socket.io-client, driven line by line: commands as JSON on stdin, everything that
// happens as JSON on stdout, in the order in which the client saw it. Ends when stdin ends.
//
//   {op: "connect", url, namespace, token, cursors, follow?, options?}   follow: keep the cursors
//   {op: "auth", token?, cursors?}             what the auth function answers at the next connect
//   {op: "join", namespace}                    another namespace on the same connection
//   {op: "emit", id, event, data?, timeout}    timeout in ms
//   {op: "drop"}                               break the transport; the client reconnects by itself
//   {op: "close"}
//
//   {kind: "joined", namespace}
//   {kind: "connect", sid} | {kind: "connect_error", message, data, final}
//   {kind: "disconnect", reason} | {kind: "event", name, data} | {kind: "ack", id, answer | error}
import { createInterface } from "node:readline";
import { io } from "socket.io-client";
import { hold } from "./cursors.mjs";

let socket;
const others = {};
const NAMESPACES = { receipt: "/receipts", unread: "/receipts", presence: "/presence", typing: "/presence" };
let auth = {};

const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const operations = {
  connect({ url, namespace, token, cursors, follow, options }) {
    auth = { token, cursors: follow ? { ...cursors } : cursors };
    socket = io(url + namespace, {
      transports: ["websocket"],
      forceNew: true,
      reconnectionDelay: 100,
      reconnectionDelayMax: 1000,
      auth: (done) => done(auth),
      ...options,
    });
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
    const other = socket.io.socket(namespace, { auth: (done) => done({ token: auth.token }) });
    others[namespace] = other;
    other.on("connect", () => tell({ kind: "joined", namespace }));
    other.onAny((name, data) => tell({ kind: "event", name, data }));
    other.connect();
  },
  auth({ token = auth.token, cursors = auth.cursors }) {
    auth = { token, cursors };
  },
  emit({ id, event, data, timeout }) {
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
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  operations[command.op](command);
}
for (const one of [socket, ...Object.values(others)]) one?.close();
