// @ts-check
// Data → words: times, sizes, initials, and the parts of a text.
import { t } from "./strings.js";

const UNITS = ["B", "KB", "MB", "GB"];
const HUES = 12;
const segmenter = new Intl.Segmenter();
const clock = new Intl.DateTimeFormat([], { hour: "numeric", minute: "2-digit" });
const LONGEST_ID = 128;
const USER_ID = /^[!-~]{1,128}$/;
const ROOM_ID = /^[\w-]{1,64}$/;

/** As the server takes it: 1 to 128 printable ASCII characters. @param {string} text */
export const isUserId = (text) => USER_ID.test(text);

/** @param {string} text */
export const isRoomId = (text) => ROOM_ID.test(text);

/** The id at the beginning of what stands behind an at sign: a sign of the sentence may follow it.
 * @param {string} text @param {(user_id: string) => boolean} isKnown */
export function named(text, isKnown) {
  for (let user_id = text.slice(0, LONGEST_ID); user_id; user_id = user_id.slice(0, -1)) {
    if (isKnown(user_id)) return user_id;
    if (!/[^\w-]/.test(user_id.slice(-1))) return undefined;
  }
  return undefined;
}

/** @param {number} count */
export function bytes(count) {
  const unit = count && Math.min(Math.floor(Math.log2(count) / 10), UNITS.length - 1);
  return `${(count / 2 ** (10 * unit)).toFixed(unit && 1)} ${UNITS[unit]}`;
}

/** @param {string | number | Date} time */
export const minute = (time) => clock.format(new Date(time));

/** "Today", "Yesterday" or a date. @param {string | number | Date} time */
export function day(time, now = new Date()) {
  const date = new Date(time);
  const yesterday = new Date(now);
  yesterday.setDate(now.getDate() - 1);
  if (date.toDateString() === now.toDateString()) return t.today;
  if (date.toDateString() === yesterday.toDateString()) return t.yesterday;
  const year = date.getFullYear() === now.getFullYear() ? {} : { year: /** @type {const} */ ("numeric") };
  return date.toLocaleDateString([], { weekday: "short", day: "numeric", month: "short", ...year });
}

/** The minute today, the day before. @param {string} time */
export function shortTime(time) {
  const said = day(time);
  return said === t.today ? minute(time) : said;
}

/** The same in a sentence. @param {string} time */
export function spokenTime(time) {
  const said = day(time);
  return said === t.today ? t.at(minute(time)) : t.dayAt(said, minute(time));
}

/** A text without the characters that control lines or direction, which the server refuses: what holds one is not
 * sent, and must not be drawn backwards here. @param {string} text */
export const visible = (text) => text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "");

/** The visible beginning; whole characters only: an emoji is never cut. @param {string} written @param {number} most */
export function cut(written, most) {
  const text = visible(written);
  if (text.length <= most) return text;
  let [count, end] = [0, 0];
  for (const { index } of segmenter.segment(text)) {
    if (count === most - 1) end = index;
    if (count === most) return `${text.slice(0, end)}…`;
    count += 1;
  }
  return text;
}

/** A text that the server cut by code points: a last emoji that may be in pieces is left out.
 * @param {string} text @param {number} most at which the server cuts */
export function preview(text, most) {
  if (Array.from(text).length < most) return text;
  const characters = Array.from(segmenter.segment(text), ({ segment }) => segment);
  return `${characters.slice(0, -1).join("")}…`;
}

/** One or two letters. @param {string} name */
export function initials(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const letters = words.slice(0, 2).map((word) => [...segmenter.segment(word)][0]?.segment ?? "");
  return letters.join("").toUpperCase() || "#";
}

/** The same for the same id. @param {string} id */
export function hue(id) {
  let hash = 0;
  for (const character of id) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  return hash % HUES;
}

/** @typedef {{ kind: "text" | "link" | "code" | "strong" | "mention", text: string }} Part */

/** Where a link leads. @param {string} written as in the text */
export const hrefOf = (written) => (/^www\./i.test(written) ? `https://${written}` : written);

/** Of three parts at least if none but www says that it is one. @param {string} written */
function isAddress(written) {
  const url = hrefOf(written);
  if (!URL.canParse(url)) return false;
  return url === written || new URL(url).hostname.split(".").filter(Boolean).length > 2;
}

/** The address at the beginning of a text: signs of the sentence behind it are not part of it, nor a bracket
 * that was opened before it. @param {string} begun */
function address(begun) {
  /** @param {string} sign */
  const count = (sign) => begun.split(sign).length;
  /** How many more are closed than opened. @type {Record<string, number>} */
  const unopened = { ")": count(")") - count("("), "]": count("]") - count("[") };
  let end = begun.length;
  for (; end > 0; end -= 1) {
    const sign = begun.charAt(end - 1);
    const left = unopened[sign];
    if (left === undefined ? !"'.,;:!?".includes(sign) : left <= 0) break;
    if (left !== undefined) unopened[sign] = left - 1;
  }
  const written = begun.slice(0, end);
  return isAddress(written) ? written : undefined;
}

const PARTS =
  /(?<link>(?:[Hh]ttps?:\/\/|(?<![\p{L}\p{N}_.@/-])[Ww]{3}\.)[^\s<>"]+)|`(?<code>[^`\n]+)`|(?<![\w*])\*(?<strong>[^*\s](?:[^*\n]*[^*\s])?)\*(?![\w*])|(?<![\w])(?<mention>@[!-~]+)/gu;

/** @param {Record<string, string | undefined>} groups of PARTS @param {readonly string[]} mentions @returns {Part | undefined} */
function partOf({ link, code, strong, mention }, mentions) {
  if (code) return { kind: "code", text: code };
  if (strong) return { kind: "strong", text: strong };
  const url = link && address(link);
  if (url) return { kind: "link", text: url };
  const meant = mention && named(mention.slice(1), (user_id) => mentions.includes(user_id));
  return meant ? { kind: "mention", text: `@${meant}` } : undefined;
}

/**
 * A text as links, `code`, *strong* and the mentions among `names`.
 * @param {string} written @param {readonly string[]} mentions user ids
 * @returns {Part[]} of what is visible
 */
export function parts(written, mentions = []) {
  const text = visible(written);
  /** @type {Part[]} */
  const found = [];
  let end = 0;
  for (const match of text.matchAll(PARTS)) {
    const part = partOf(match.groups ?? {}, mentions);
    if (!part) continue;
    if (match.index > end) found.push({ kind: "text", text: text.slice(end, match.index) });
    found.push(part);
    // Of a link or a mention the match may hold more than belongs to it.
    end = match.index + (part.kind === "link" || part.kind === "mention" ? part.text : match[0]).length;
  }
  if (end < text.length) found.push({ kind: "text", text: text.slice(end) });
  return found;
}
