import type { Cursor, Member, Role, Room as RoomView } from "../types.js";
import type { RoomChangeKind } from "./changes.ts";
import type { ShownMessage } from "./message.ts";

/** All that is known of a room. Each part is the same object until it changes. */
export interface RoomState {
  readonly room_id: string;
  /** Its name, or of a direct room the other person's; "" while that is not known. */
  readonly title: string;
  /** The other person of a direct room, once known. */
  readonly partner?: string;
  /** The room as the server shows it to this user; undefined until it is known. */
  readonly room: RoomView | undefined;
  /** Whether this user is no member (any more). */
  readonly gone: boolean;
  /** In order; unsent ones last, refused ones where they were refused. Empty until the room is watched. */
  readonly messages: readonly ShownMessage[];
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  readonly loading: boolean;
  /** Complete once the room is watched. */
  readonly members: readonly Member[];
  /** How far the others have come. */
  readonly receipts: readonly Cursor[];
  /** user_ids of others. */
  readonly typing: readonly string[];
  readonly unread: number;
  readonly role: Role | undefined;
  readonly muted: boolean;
  readonly hidden: boolean;
  /** Which of these the server has not answered yet; missing if it has. */
  readonly pending?: readonly RoomChangeKind[];
  readonly frozen: boolean;
  readonly draft: string;
}
