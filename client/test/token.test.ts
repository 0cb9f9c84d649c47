import assert from "node:assert/strict";
import { test } from "node:test";
import { fetchToken, TokenRenewal } from "../src/token.ts";

const silent = () => undefined;

test("a getToken that fails, throws or hangs is a rejection", async () => {
  assert.equal(await fetchToken(() => "a"), "a");
  assert.equal(await fetchToken(() => Promise.resolve("b")), "b");
  const throws = () => {
    throw new Error("no");
  };
  await assert.rejects(fetchToken(throws), /no/);
  await assert.rejects(fetchToken(() => Promise.reject(new Error("away"))), /away/);
  await assert.rejects(
    fetchToken(() => new Promise<string>(silent), 5),
    /does not answer/,
  );
});

test("a getToken that returns no token is a rejection that says what it returned", async () => {
  const wrong: [unknown, RegExp][] = [
    [undefined, /^TypeError: getToken returned undefined: .* a string\.$/],
    [Promise.resolve({ token: "a" }), /^TypeError: getToken returned an object: /],
    ["", /^TypeError: getToken returned the text "": /],
  ];
  for (const [value, error] of wrong) await assert.rejects(fetchToken(() => value as string), error);
});

test("a token is renewed before its end, and the next one before its own", async () => {
  const given: string[] = [];
  let count = 0;
  const renewal = await new Promise<TokenRenewal>((done) => {
    const give = (token: string) => {
      given.push(token);
      if (given.length === 3) setTimeout(() => done(renewal));
      return Promise.resolve(given.length < 3 ? 20 : 1_000);
    };
    const renewal = new TokenRenewal(() => `token ${(count += 1)}`, give, silent, 0);
    renewal.start(20);
  });
  renewal.stop();
  assert.deepEqual(given, ["token 1", "token 2", "token 3"]);
});

test("a getToken that returns the old token again is not asked in a loop", async () => {
  let asked = 0;
  const renewal = new TokenRenewal(
    () => {
      asked += 1;
      return "the same";
    },
    () => Promise.resolve(0),
    silent,
  );
  renewal.start(0);
  await new Promise((done) => setTimeout(done, 200));
  renewal.stop();
  assert.equal(asked, 0);
});

test("a getToken that returns nothing fresher is told once, until it does", async () => {
  const warnings: string[] = [];
  const begun = Date.now();
  const ends = [200, 200, 1_000, 1_000].map((ms) => begun + ms); // the first two as the one before
  const renewal = await new Promise<TokenRenewal>((done) => {
    const give = () => {
      const end = ends.shift() ?? 0;
      if (ends.length === 0) setTimeout(() => done(renewal), 5);
      return Promise.resolve(end - Date.now());
    };
    const warn = (message: string, when: unknown) => void warnings.push(`${message} ${String(when)}`);
    const renewal = new TokenRenewal(() => "token", give, warn, 0);
    renewal.start(200);
  });
  renewal.stop();
  assert.equal(warnings.length, 2);
  assert.match(warnings[0] ?? "", /ends no later than the one in use.* at 20/);
});
