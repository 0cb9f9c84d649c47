import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "../src/index.ts";

const url = "http://127.0.0.1:9";
const getToken = () => "token";

test("options that cannot work are refused at once, in a sentence", () => {
  const wrong: [unknown, RegExp][] = [
    [undefined, /^createClient takes an object with url and getToken, not undefined\.$/],
    [{}, /^url must be the address of the server, .*, not undefined\.$/],
    [{ url: "not a url", getToken }, /^url must be .*, not the text "not a url"\.$/],
    [{ url: "localhost:8000", getToken }, /^url must be .*, not the text "localhost:8000"\.$/],
    [{ url }, /^getToken must be a function .*, not undefined\.$/],
    [{ url, getToken: "token" }, /^getToken must be a function .*, not the text "token"\.$/],
  ];
  for (const [options, message] of wrong)
    assert.throws(() => createClient(options as never), { name: "TypeError", message });
  createClient({ url: "wss://chat.example.com", getToken });
});
