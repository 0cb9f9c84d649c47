-- Write the cursors that are due to the outbox, as one record per room.
-- KEYS: per partition its dirty cursors (sorted set `room user` → ms when due) and its outbox.
-- ARGV: 1 cursors per partition at most, then per partition the key prefix of its rooms.
-- Reply: the number of cursors written.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local function flush(dirty, outbox, prefix)
  local due = redis.pcall('ZRANGEBYSCORE', dirty, '-inf', now, 'LIMIT', 0, ARGV[1])
  if due.err or #due == 0 then return 0 end
  local order, rooms = {}, {}
  for _, word in ipairs(due) do
    local room_id, user = word:match('^(%S+) (%S+)$')
    local kept = room_id and redis.pcall('HMGET', prefix .. room_id .. ':cursors', 'r:' .. user, 'd:' .. user)
    if kept and not kept.err and kept[1] and kept[2] then
      if not rooms[room_id] then rooms[room_id], order[#order + 1] = {}, room_id end
      table.insert(rooms[room_id],
        {user_id = user, read_seq = tonumber(kept[1]), delivered_seq = tonumber(kept[2])})
    end
  end
  for _, room_id in ipairs(order) do
    local record = '{"v":1,"cursors":' .. cjson.encode({room_id = room_id, members = rooms[room_id]}) .. '}'
    redis.call('XADD', outbox, '*', 'q', 'r', 'r', room_id, 'e', '0:0', 'd', record)
  end
  redis.call('ZREM', dirty, unpack(due))
  return #due
end

local count = 0
for i = 1, #KEYS, 2 do count = count + flush(KEYS[i], KEYS[i + 1], ARGV[(i + 3) / 2]) end
return count
