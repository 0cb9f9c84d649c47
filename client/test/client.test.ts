import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient, webStorage } from "../src/index.ts";

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
    [{ url: "http://[", getToken }, /^url must be/],
    [{ url: `${url}/?room=1`, getToken }, /^url must be/],
    [{ url, getToken, token: "a" }, /^createClient has no option "token"; it has url, getToken, userId, storage, logger\.$/],
    [{ url, getToken, Storage: null }, /^createClient has no option "Storage"/],
    [{ url, getToken, userId: "" }, /^userId must be the id of the user .*, not the text ""\.$/],
    [{ url, getToken, userId: { id: "alice" } }, /^userId must be .*, not an object\.$/],
    [{ url, getToken, storage: webStorage }, /^storage must be indexedDbStorage\(\), .*, not a function\.$/],
    [{ url, getToken, storage: new Map() }, /^storage must be .*, not an object of type Map\.$/],
    [{ url, getToken, storage: "localStorage" }, /^storage must be .*, not the text "localStorage"\.$/],
    [{ url, getToken, storage: null }, /^storage must be .*, not null\.$/],
    [{ url, getToken, logger: { log: () => undefined } }, /^logger must be .* a method warn/],
  ];
  for (const [options, message] of wrong)
    assert.throws(() => createClient(options as never), { name: "TypeError", message });
  createClient({ url: "wss://chat.example.com", getToken });
  createClient({ url: new URL("https://chat.example.com/chat"), getToken });
});
