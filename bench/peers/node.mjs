// socket.io on Node.
//
//   node node.mjs classic|sharded      with RTS_PORT, RTS_REDIS_URL, RTS_JWT_SECRET
import { createServer } from "node:http";
import { Server } from "socket.io";
import { redisAdapter, serveChat } from "./chat.mjs";

const http = createServer((_, response) => response.end("ok"));
serveChat(new Server(http, { transports: ["websocket"], adapter: await redisAdapter(process.argv[2]) }));
http.listen(Number(process.env.RTS_PORT), "127.0.0.1");
