import type { LogEvent } from "../types.js";
import type { Commander } from "./connection.ts";
import type { RoomCore } from "./room-core.ts";
import type { UserStorage } from "./user-storage.ts";

/** What stands in the storage until the server has it: messages, and changes. */
export type UnsentKind = "outbox" | "change";

/** What a room needs of the client. */
export interface RoomOwner {
  readonly connection: Commander;
  readonly kept: Pick<UserStorage, "storage" | "tab" | "prefix" | "keepDraft">;
  /** The user; "" while it is not known who they are. */
  readonly me: string;
  /** Files that one message may have; undefined before the first session. */
  readonly mostFiles: number | undefined;
  name(user_id: string): string | undefined;
  met(members: readonly { user_id: string; name?: string }[]): void;
  /** The room as the list shows it changed. */
  changed(): void;
  /** The room needs a snapshot. */
  want(core: RoomCore): void;
  /** Something arrived, or was read if `isRead`, that the server does not know yet. */
  report(isRead?: boolean): void;
  /** Events that waited for a snapshot count now. */
  heard(events: readonly LogEvent[]): void;
  warn(message: string, error: unknown): void;
}
