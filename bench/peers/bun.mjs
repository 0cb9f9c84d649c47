// socket.io on Bun, with the engine that its authors made for Bun's own HTTP server.
//
//   bun bun.mjs      with RTS_PORT, RTS_REDIS_URL, RTS_JWT_SECRET
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { redisAdapter, serveChat } from "./chat.mjs";

const io = new Server({ adapter: await redisAdapter("classic") });
const engine = new Engine({ path: "/socket.io/" });
io.bind(engine);
serveChat(io);
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.RTS_PORT),
  routes: { "/health/live": new Response("ok") },
  ...engine.handler(),
});
