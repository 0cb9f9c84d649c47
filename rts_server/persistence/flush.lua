-- Cursors that moved long enough ago become records in the outbox, one for each room.
-- KEYS: 1 cursors of the partition not stored yet (`room user`, by the ms they are due), 2 outbox.
-- ARGV: what the names of rooms' keys begin with, most cursors at once. Answer: how many.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.pcall('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
if due.err or #due == 0 then return 0 end
local order, rooms = {}, {}
for _, word in ipairs(due) do
  local room_id, user = word:match('^(%S+) (%S+)$')
  local kept = room_id and redis.pcall('HMGET', ARGV[1] .. room_id .. ':cursors', 'r:' .. user, 'd:' .. user)
  if kept and not kept.err and kept[1] and kept[2] then
    if not rooms[room_id] then rooms[room_id], order[#order + 1] = {}, room_id end
    table.insert(rooms[room_id],
      {user_id = user, read_seq = tonumber(kept[1]), delivered_seq = tonumber(kept[2])})
  end
end
for _, room_id in ipairs(order) do
  local record = '{"v":1,"cursors":' .. cjson.encode({room_id = room_id, members = rooms[room_id]}) .. '}'
  redis.call('XADD', KEYS[2], '*', 'q', 'r', 'r', room_id, 'e', '0:0', 'd', record)
end
redis.call('ZREM', KEYS[1], unpack(due))
return #due
