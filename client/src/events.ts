import type { Events } from "../types.js";

/** Every event of the protocol; the compiler holds the list complete. */
export const EVENTS: Readonly<Record<keyof Events, true>> = {
  "session.ready": true,
  "session.closing": true,
  "room.added": true,
  "room.removed": true,
  "room.created": true,
  "room.updated": true,
  "room.epoch": true,
  "room.state": true,
  "member.added": true,
  "member.removed": true,
  "member.updated": true,
  "message.new": true,
  "message.updated": true,
  "message.deleted": true,
  "message.failed": true,
  "message.status": true,
  "sync.reset": true,
  "receipt.updated": true,
  "unread.changed": true,
  "presence.changed": true,
  "typing.changed": true,
};
