// Samples for the tests of web/state.js.
import { State } from "../../web/state.js";

export const T = "2030-01-01T00:00:00.000Z";

export const view = (more = {}) => ({
  room_id: "r",
  type: "group",
  name: "Room",
  metadata: {},
  created_at: T,
  created_by: "bob",
  version: 1,
  member_count: 2,
  frozen: false,
  seq: 0,
  epoch: 1,
  offset: 1,
  role: "member",
  read_seq: 0,
  unread: 0,
  ...more,
});

export const event = (type, epoch, offset, data) => ({
  type,
  ts: T,
  room_id: "r",
  actor_id: "bob",
  epoch,
  offset,
  data,
});

export const message = (seq, more = {}) => ({
  message_id: `m${seq}`,
  client_msg_id: `c${seq}`,
  room_id: "r",
  seq,
  epoch: 1,
  sender_id: "bob",
  type: "text",
  text: `text ${seq}`,
  attachments: [],
  mentions: [],
  reactions: {},
  metadata: {},
  version: 1,
  created_at: T,
  ...more,
});

export const heard = (epoch, offset, seq, more = {}) =>
  event("message.new", epoch, offset, { message: message(seq, { epoch, ...more }) });

export function opened(more) {
  const state = new State("alice");
  const room = state.learn(view(more));
  room.hold();
  room.page({ messages: [], has_more: false });
  return { state, room };
}

export const positions = (state) =>
  Object.fromEntries(Object.entries(state.cursors()).map(([id, cursor]) => [id, cursor.slice(0, 2)]));
export const ids = (room) => room.rows("alice").map(({ message_id }) => message_id);
export const marks = (room) => room.rows("alice").map(({ mark }) => mark);
