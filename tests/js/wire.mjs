// The client of the page outside a browser: node wire.mjs PORT; its states are lines of stdout.
import { WebSocket } from "ws";

const port = process.argv[2];
globalThis.WebSocket = WebSocket;
const { createClient } = await import("../../web/vendor/rts-chat.min.js");
const client = createClient({ url: `http://127.0.0.1:${port}`, getToken: async () => "any" });
client.connection.subscribe(({ status, code }) => console.log(code ? `${status} ${code}` : status));
client.connect();
