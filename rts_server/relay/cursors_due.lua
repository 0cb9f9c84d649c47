-- Read moved cursors that are due.
-- KEYS: per partition its dirty cursors (sorted set `room user` → ms when due).
-- ARGV: cursors at most, then per partition the key prefix of its rooms.
-- Reply: per cursor the place of its partition in KEYS, `room user`, read, delivered; then the places of partitions
-- with dirty cursors, due or not.
-- Cursors that are not there any more, as the member left or the room's keys expired, are forgotten.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local left, found = tonumber(ARGV[1]), {}

local function read(place, dirty, prefix)
  if left == 0 then return end
  local due = redis.pcall('ZRANGEBYSCORE', dirty, '-inf', now, 'LIMIT', 0, left)
  if due.err then return end
  for _, word in ipairs(due) do
    local room_id, user = word:match('^(%S+) (%S+)$')
    local kept = room_id and redis.pcall('HMGET', prefix .. room_id .. ':cursors', 'r:' .. user, 'd:' .. user)
    if kept and not kept.err and kept[1] and kept[2] then
      found[#found + 1] = {place, word, tonumber(kept[1]), tonumber(kept[2])}
      left = left - 1
    else
      redis.call('ZREM', dirty, word)
    end
  end
end

local dirty_places = {}
for place, dirty in ipairs(KEYS) do
  local count = redis.pcall('ZCARD', dirty)  -- an error, as a table, if it is of another type
  if type(count) == 'number' and count > 0 then
    dirty_places[#dirty_places + 1] = place
    read(place, dirty, ARGV[place + 1])
  end
end
return {found, dirty_places}
