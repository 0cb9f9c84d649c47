-- Forget dirty cursors that SQS accepted; those that moved since they were read are due again.
-- KEYS: per partition its dirty cursors (sorted set `room user` → ms when due).
-- ARGV: ms until these are due, JSON of what SQS accepted, as cursors_due.lua replied it, then per partition the key
-- prefix of its rooms.
-- Reply: how many were forgotten.
local t = redis.call('TIME')
local due, count = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[1], 0
for _, one in ipairs(cjson.decode(ARGV[2])) do
  local place, word, read, delivered = unpack(one)
  local room_id, user = word:match('^(%S+) (%S+)$')
  local kept = redis.pcall('HMGET', ARGV[place + 2] .. room_id .. ':cursors', 'r:' .. user, 'd:' .. user)
  if not kept.err and (tonumber(kept[1] or 0) > read or tonumber(kept[2] or 0) > delivered) then
    redis.call('ZADD', KEYS[place], 'XX', due, word)
  else
    count = count + redis.call('ZREM', KEYS[place], word)
  end
end
return count
