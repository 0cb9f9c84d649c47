// All that one signed-in user knows, without DOM and without wire: events and answers go in,
// what to show, what to fetch again and what to send comes out.
import { Room } from "./room.js";

const MOST_CURSORS = 500;
const MOST_WATCHED = 500;

export class State {
  constructor(me) {
    this.me = me;
    this.rooms = new Map();
    this.names = new Map();
    this.presences = new Map();
    this.typing = new Map();
  }

  /** Apply any event of the server. */
  apply(event) {
    const ephemeral = EPHEMERAL[event.type];
    if (ephemeral) return void ephemeral(this, event);
    const gone = event.type === "member.removed";
    for (const member of event.data.members ?? []) {
      this.#meet(event.room_id, member);
      if (gone) this.#room(event.room_id).members.delete(member.user_id);
    }
    if (event.offset !== undefined) this.#room(event.room_id).apply(event, this.me);
  }

  /** Take a room object of an answer or of room.added; returns the Room. */
  learn(view) {
    const room = this.#room(view.room_id);
    room.learn(view, this.me);
    return room;
  }

  /** Take a page of member.list. */
  meet(room_id, members) {
    for (const member of members) this.#meet(room_id, member);
  }

  /** Forget a room that is not, or no longer, ours. */
  forget(room_id) {
    this.rooms.delete(room_id);
  }

  /** The rooms to show: those not hidden. */
  shown() {
    return this.list().filter(({ summary }) => !summary.hidden);
  }

  /** Where a reconnect goes on: {room_id: [epoch, offset, read_seq, delivered_seq]}. */
  cursors() {
    return Object.fromEntries(
      this.list()
        .slice(0, MOST_CURSORS)
        .map(({ room_id, cursor, read_seq, delivered_seq }) => [
          room_id,
          [...cursor, read_seq, delivered_seq],
        ]),
    );
  }

  /** The known rooms, last activity first. */
  list() {
    const known = [...this.rooms.values()].filter(({ summary }) => summary);
    return known.sort((one, other) => activity(other).localeCompare(activity(one)));
  }

  /** Rooms whose snapshot must be fetched again. */
  stale() {
    const unknown = [...this.rooms.values()].filter((room) => !room.summary && room.early.length);
    return [...unknown, ...this.list().filter(({ stale }) => stale)];
  }

  /** Direct rooms whose other person is not known yet. */
  nameless() {
    return this.list().filter(
      ({ summary, members }) => summary.type === "direct" && members.size < 2,
    );
  }

  unread() {
    const heard = this.list().filter(({ summary }) => !summary.muted && !summary.hidden);
    return heard.reduce((total, { unread }) => total + unread, 0);
  }

  /** Everybody else whose presence is of interest, as many as one may watch. */
  others() {
    const people = this.list().flatMap(({ members }) => [...members.keys()]);
    return [...new Set(people)].filter((user_id) => user_id !== this.me).slice(0, MOST_WATCHED);
  }

  /** Take the answer of presence.watch. */
  present(presences) {
    for (const one of presences) if (!one.error) this.presences.set(one.user_id, one);
  }

  /** The other person of a direct room, as far as known. */
  partner({ summary, members }) {
    if (summary.type !== "direct") return undefined;
    return [...members.keys()].find((user_id) => user_id !== this.me);
  }

  /** Who else is typing in a room. */
  typists({ room_id }) {
    return (this.typing.get(room_id) ?? []).filter((user_id) => user_id !== this.me);
  }

  /** The name of a user: what a member record said, else his id. */
  name(user_id) {
    return this.names.get(user_id) ?? user_id;
  }

  /** The name of a room: its own, or in a direct room the other person's. */
  title({ summary, members }) {
    if (summary.name) return summary.name;
    const others = [...members.keys()].filter((user_id) => user_id !== this.me);
    return others.map((user_id) => this.name(user_id)).join(", ") || "…";
  }

  #room(room_id) {
    if (!this.rooms.has(room_id)) this.rooms.set(room_id, new Room(room_id));
    return this.rooms.get(room_id);
  }

  #meet(room_id, member) {
    this.#room(room_id).members.set(member.user_id, member);
    if (member.name) this.names.set(member.user_id, member.name);
  }
}

const activity = ({ summary }) => summary.last_message?.created_at ?? summary.created_at;

const EPHEMERAL = {
  "session.ready"(state, { data }) {
    for (const [room_id, recovered] of Object.entries(data.recovered)) {
      if (!recovered) state.rooms.get(room_id)?.reset();
    }
  },
  "room.added"(state, { data }) {
    state.learn(data.room);
  },
  "room.removed"(state, { room_id }) {
    state.forget(room_id);
  },
  "room.state"(state, { room_id, data }) {
    state.rooms.get(room_id)?.settle(data);
  },
  "receipt.updated"(state, { room_id, data }) {
    state.rooms.get(room_id)?.receipts(data.cursors);
  },
  "unread.changed"(state, { room_id, data }) {
    const room = state.rooms.get(room_id);
    if (!room) return;
    room.unread = data.unread;
    room.read_seq = Math.max(room.read_seq, data.read_seq);
    room.told_seq = Math.max(room.told_seq, data.read_seq);
  },
  "presence.changed"(state, { data }) {
    state.presences.set(data.user_id, data);
  },
  "typing.changed"(state, { room_id, data }) {
    state.typing.set(room_id, data.user_ids);
  },
  "sync.reset"(state, { room_id, data }) {
    const room = state.rooms.get(room_id);
    if (!room) return;
    room.reset([data.epoch, data.offset]);
    room.stale = true;
  },
  "message.status"(state, { room_id, data }) {
    state.rooms.get(room_id)?.delivery.set(data.client_msg_id, data.status);
  },
};
