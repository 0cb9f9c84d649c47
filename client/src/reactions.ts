import type { Reaction, ReactionChangeData } from "../types.js";

type Reactions = Readonly<Record<string, Reaction>>;

/** The reactions after one was added or removed; `count` is that of its emoji by then. */
export function reacted(reactions: Reactions, change: ReactionChangeData, count: number): Record<string, Reaction> {
  const { emoji, user_id, on } = change;
  const { [emoji]: before, ...others } = reactions;
  if (count <= 0) return others;
  const users = (before?.user_ids ?? []).filter((one) => one !== user_id);
  return { ...reactions, [emoji]: { count, user_ids: on ? [...users, user_id] : users } };
}
