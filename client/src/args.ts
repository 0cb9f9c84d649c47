// What callers without types get wrong: each check returns the value, or throws with the name of the argument.
import { ChatError } from "./error.ts";

/** Users that one connection can watch. */
export const MOST_WATCHED = 500;

const USER_ID = /^[!-~]{1,128}$/;
const ID_FORM = "1 to 128 printable ASCII characters without spaces each";

/** What the server says when a field is wrong. */
const FIELD = "A field is invalid.";

/** Checks a value that is given; `argument` is what the caller knows it as. */
type Check<T> = (argument: string, value: unknown) => T;

/** The items of a list of user ids. Spread unchecked, a text would become one user per character. */
export const userIdsOf: Check<string[]> = (argument, value) => listOf(argument, value, "user ids", isText);

/** What `presence.watch` takes: one id that is none would have it refused for all. */
export const watchedIdsOf: Check<string[]> = (argument, value) => {
  const ids = userIdsOf(argument, value);
  const wrong = ids.find((one) => !USER_ID.test(one));
  if (wrong !== undefined) throw invalid(argument, `user ids, ${ID_FORM}`, wrong, " in it");
  const { size } = new Set(ids);
  if (size > MOST_WATCHED) throw refused(argument, `At most ${MOST_WATCHED} users can be watched, not ${size}.`);
  return ids;
};

/** Files, with a name each: a Blob has none, and the server wants one. */
export const filesOf: Check<File[]> = (argument, value) => listOf(argument, value, "files", isBlob).map(named);

export function objectOf<T>(argument: string, value: T): T & object {
  if (isObject(value)) return value;
  throw invalid(argument, "an object", value);
}

/** An object of the application, as JSON has it: a copy, which stays as it is when the application changes its own. */
export const recordOf: Check<Record<string, unknown>> = (argument, value) => {
  const given = objectOf(argument, value);
  try {
    return objectOf(argument, JSON.parse(JSON.stringify(given))) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof ChatError) throw error;
    throw refused(argument, `Expected an object that JSON can hold: ${(error as Error).message}`);
  }
};

/** May be empty. */
export const textOf: Check<string> = (argument, value) => {
  if (isText(value)) return value;
  throw invalid(argument, "a text", value);
};

/** An id, a role or another name of something. */
export const idOf: Check<string> = (argument, value) => {
  if (isText(value) && value !== "") return value;
  throw invalid(argument, "a text that is not empty", value);
};

export const flagOf: Check<boolean> = (argument, value) => {
  if (typeof value === "boolean") return value;
  throw invalid(argument, "true or false", value);
};

export const seqOf: Check<number> = (argument, value) => {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw invalid(argument, "the seq of a message, which one that is not sent yet does not have", value);
};

export const numberOf: Check<number> = (argument, value) => {
  if (Number.isFinite(value)) return value as number;
  throw invalid(argument, "a number", value);
};

export function functionOf<T>(argument: string, value: T): T {
  if (typeof value === "function") return value;
  throw invalid(argument, "a function", value);
}

/** One of these names. */
export function oneOf<T extends string>(argument: string, value: T, names: Readonly<Record<T, unknown>>): T {
  if (isText(value) && Object.hasOwn(names, value)) return value;
  throw invalid(argument, `one of ${Object.keys(names).join(", ")}`, value);
}

type Fields<T> = { readonly [Name in keyof T]-?: Check<NonNullable<T[Name]>> };

/** An object that has these fields and no others; what is undefined is left out. */
export function fieldsOf<T extends object>(argument: string, value: T, checks: Fields<T>): T {
  const given = Object.entries(objectOf(argument, value)).filter(([, one]) => one !== undefined);
  const checked = given.map(([name, one]) => {
    const check = Object.hasOwn(checks, name) ? (checks as Record<string, Check<unknown>>)[name] : undefined;
    if (check) return [name, check(name, one)];
    throw refused(name, `There is no such field; ${argument} has ${Object.keys(checks).join(", ")}.`);
  });
  return Object.fromEntries(checked) as T;
}

function listOf<T>(argument: string, value: unknown, items: string, fits: (one: unknown) => one is T): T[] {
  if (!Array.isArray(value)) throw invalid(argument, `a list of ${items}`, value);
  return (value as unknown[]).map((one) => {
    if (fits(one)) return one;
    throw invalid(argument, `a list of ${items}`, one, " in it");
  });
}

export const isObject = (one: unknown): one is object =>
  typeof one === "object" && one !== null && !Array.isArray(one);

const isText = (one: unknown): one is string => typeof one === "string";

/** Also one of another window, of which it is no instance. */
const isBlob = (one: unknown): one is Blob =>
  typeof one === "object" && one !== null && "arrayBuffer" in one && "size" in one && "type" in one;

/** What a picture from a canvas, or a recording, is called: `image.png`, `audio.webm`, else `file`. */
function named(blob: Blob): File {
  if ("name" in blob && blob.name !== "") return blob as File;
  const [, kind, format] = /^(image|audio|video)\/(\w+)/.exec(blob.type) ?? [];
  return new File([blob], kind && format ? `${kind}.${format}` : "file", { type: blob.type });
}

/**
 * What the server says of a draft that it cannot take, said before its files are uploaded. `most`: as many files may
 * be, if that is known.
 */
export function sayable(text: string, files: readonly unknown[], most = Infinity): void {
  if (files.length > most) throw refused("files", `Length must be between 0 and ${most}.`, FIELD);
  if (text !== "" && text.trim() === "") throw refused("text", "There is no visible character.", FIELD);
  if (text === "" && files.length === 0) throw refused("text", "A message must not be empty.", FIELD);
}

const invalid = (argument: string, expected: string, value: unknown, where = ""): ChatError =>
  refused(argument, `Expected ${expected}, not ${described(value)}${where}.`);

function refused(argument: string, sentence: string, message = "An argument is invalid."): ChatError {
  const details = { [argument]: [sentence] };
  return new ChatError({ code: "invalid_param", message, retryable: false, details });
}

/** What a wrong value is, in a sentence. */
export function described(value: unknown): string {
  if (isText(value)) return `the text ${JSON.stringify(Array.from(value).slice(0, 40).join(""))}`;
  if (Array.isArray(value)) return "a list";
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  const { name = "Object" } = (value as { constructor?: { name?: string } }).constructor ?? {};
  return name === "Object" || name === "" ? "an object" : `an object of type ${name}`;
}
