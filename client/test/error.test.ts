import assert from "node:assert/strict";
import { test } from "node:test";
import { argumentsOf, ChatError } from "../src/error.ts";

const refused = (details: Record<string, unknown>) =>
  new ChatError({ code: "invalid_param", message: "A field is invalid.", retryable: false, details });

test("the message of what is invalid names it, and says what is wrong with it", () => {
  const { message } = refused({ name: ["There is no visible character."], "members.0": ["Too long.", "No text."] });
  assert.equal(message, "A field is invalid. name: There is no visible character. members.0: Too long. No text.");
  assert.equal(refused({}).message, "A field is invalid.");
});

test("details have the names of arguments instead of those of the protocol", () => {
  const details = { "user_ids.0": ["a"], new_owner: ["b"], attachments: ["c"], "metadata.my_key": ["d"] };
  assert.deepEqual(argumentsOf({ code: "invalid_param", message: "", retryable: false, details }).details, {
    "userIds.0": ["a"],
    newOwner: ["b"],
    files: ["c"],
    "metadata.my_key": ["d"],
  });
  const member = { code: "invalid_param" as const, message: "", retryable: false, details: { "members.0": ["e"] } };
  assert.deepEqual(argumentsOf(member, { members: "userId" }).details, { userId: ["e"] });
  const other = { code: "conflict" as const, message: "", retryable: false, details: { room_id: "r" } };
  assert.equal(argumentsOf(other), other);
});
