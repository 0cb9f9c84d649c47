// The package in a Node process of a test: lines of JSON come in, each a function body to run, and
// one line goes out for each.
//
//   {id, code}  →  {id, value} | {id, error: {message, code}}
//
// The code sees `chat` (what the package exports), `backend` (rts-chat/server), `clients` (by name),
// `kept` (its own object) and `asked` (the names of all commands that went out, in order).
import { createInterface } from "node:readline";
import * as chat from "../src/index.ts";
import { Link } from "../src/link.ts";
import * as backend from "../src/server.ts";

type Body = (...args: unknown[]) => Promise<unknown>;
// eslint-disable-next-line @typescript-eslint/no-empty-function
const AsyncFunction = (async () => {}).constructor as new (...parts: string[]) => Body;

const clients: Record<string, chat.Client> = {};
const kept: Record<string, unknown> = {};
const unhandled: string[] = [];
const asked: string[] = [];

// eslint-disable-next-line @typescript-eslint/unbound-method -- it gets its this below
const { ask } = Link.prototype;
Link.prototype.ask = function (this: Link, name, payload) {
  asked.push(name);
  return ask.call(this, name, payload);
};

process.on("unhandledRejection", (error) => unhandled.push(String(error)));

async function run({ id, code }: { id: number; code: string }): Promise<void> {
  let answer: object;
  try {
    const body = new AsyncFunction("chat", "clients", "kept", "unhandled", "asked", "backend", code);
    answer = { id, value: (await body(chat, clients, kept, unhandled, asked, backend)) ?? null };
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    answer = { id, error: { message, code } };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

for await (const line of createInterface({ input: process.stdin })) void run(JSON.parse(line) as never);
process.exit();
