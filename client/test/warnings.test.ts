import assert from "node:assert/strict";
import { test } from "node:test";
import { Warnings } from "../src/warnings.ts";

test("what fails again and again is told once, until the next session", () => {
  const told: string[] = [];
  const warnings = new Warnings({ warn: (message, error) => void told.push(`${message} ${String(error)}`) });
  const full = (key: string) => new Error(`Failed to execute 'setItem' on 'Storage': Setting '${key}' exceeded the quota.`);
  for (const key of ["one", "two"]) warnings.warn("What is unsent cannot be stored.", full(key));
  warnings.warn("What is unsent cannot be stored.", new Error("It is gone."));
  assert.equal(told.length, 2);
  warnings.begin();
  warnings.warn("What is unsent cannot be stored.", full("three"));
  assert.equal(told.length, 3);
});
