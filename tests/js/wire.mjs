// The page's connection outside a browser: node wire.mjs PORT; its states are lines of stdout.
import { WebSocket } from "ws";

const port = process.argv[2];
globalThis.WebSocket = WebSocket;
globalThis.location = { protocol: "http:", hostname: "127.0.0.1", host: `127.0.0.1:${port}`, port };
globalThis.fetch = async () => ({ ok: true, json: async () => ({ token: "any" }) });
const { Wire } = await import("../../web/wire.js");
new Wire("alice", {
  cursors: () => ({}),
  onEvent: () => {},
  onState: (text) => console.log(text),
});
