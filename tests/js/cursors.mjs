// What a client that keeps the rules holds: the highest position of each room it has heard of.
export function hold(cursors, { type, room_id, epoch, offset, data }) {
  const [e, o] = type === "sync.reset" ? [data.epoch, data.offset]
    : type === "room.added" ? [data.room.epoch, data.room.offset]
    : [epoch, offset];
  if (o === undefined || !room_id) return;
  const held = cursors[room_id] ?? [0, 0];
  if (e > held[0] || (e === held[0] && o > held[1])) cursors[room_id] = [e, o];
}
