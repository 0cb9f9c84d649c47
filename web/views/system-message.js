// @ts-check
// What a system message says: who did what to whom, or to the chat.
import { t } from "../strings.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../app.js").ShownMessage} ShownMessage */

/** @param {App} app @param {ShownMessage} message */
export function systemSentence(app, { sender_id, text, metadata }) {
  const ids = Array.isArray(metadata.user_ids) ? metadata.user_ids.map(String) : [];
  const people = ids.map((user_id) => (user_id === app.user ? t.youAsObject : app.client.name(user_id))).join(", ");
  const who = app.name(sender_id);
  const { event, role, frozen } = metadata;
  const name = typeof metadata.name === "string" && metadata.name;
  if (event === "member.added") return t.systemAdded(who, people);
  if (event === "member.removed") return ids.includes(sender_id) ? t.systemLeft(who) : t.systemRemoved(who, people);
  if (event === "member.updated") return (t.systemRoles[String(role)] ?? t.systemRole)(who, people);
  if (event !== "room.updated") return text || `${String(event)} ${people}`;
  const said = [name && t.systemRenamed(who, name), frozen !== undefined && (frozen ? t.systemFrozen : t.systemThawed)(who)];
  return said.filter(Boolean).join("; ");
}
