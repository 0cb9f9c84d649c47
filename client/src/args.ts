import { ChatError } from "./error.ts";

/** The items of a list of user ids. Spread unchecked, a text would become one user per character. */
export function userIdsOf(argument: string, value: unknown): string[] {
  return listOf(argument, value, "user ids", (one): one is string => typeof one === "string");
}

export function filesOf(argument: string, value: unknown): File[] {
  return listOf(argument, value, "files", isFile);
}

export function objectOf<T>(argument: string, value: T): T {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw invalid(argument, "an object", value);
}

export function seqOf(argument: string, value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw invalid(argument, "the seq of a message, which one that is not sent yet does not have", value);
}

function listOf<T>(argument: string, value: unknown, items: string, fits: (one: unknown) => one is T): T[] {
  if (!Array.isArray(value)) throw invalid(argument, `a list of ${items}`, value);
  return (value as unknown[]).map((one) => {
    if (fits(one)) return one;
    throw invalid(argument, `a list of ${items}`, one, " in it");
  });
}

/** Also a file of another window, of which it is no instance. */
const isFile = (one: unknown): one is File => typeof one === "object" && one !== null && "arrayBuffer" in one;

function invalid(argument: string, expected: string, value: unknown, where = ""): ChatError {
  const details = { [argument]: [`Expected ${expected}, not ${described(value)}${where}.`] };
  return new ChatError({ code: "invalid_param", message: "An argument is invalid.", retryable: false, details });
}

/** What a wrong value is, in a sentence. */
export function described(value: unknown): string {
  if (typeof value === "string") return `the text ${JSON.stringify(value.slice(0, 40))}`;
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}
