-- Who is typing in a room; told to it, at most once in a while, with the ms that each has left.
-- KEYS: 1-9 of fence.lua, 10 who types, by the end (ms), 11 when the room was told (ms) and what is not told yet.
-- ARGV: user id ('' to tell only), whether he types (1|0), channel, ms that a start lasts, ms between two
-- tellings, most members of a room that is told.
-- Answer: state ('not_found' when the user is no member), ms until the rest may be told (0: no rest).
local now = clock()
local state, head = fence(now)
if state ~= 'warm' then return {state, 0} end
local user, lasts, every = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
if user ~= '' and redis.call('HEXISTS', MEMBERS, user) == 0 then return {'not_found', 0} end
if redis.call('HLEN', MEMBERS) > tonumber(ARGV[6]) then return {state, 0} end
local kept, known = redis.pcall('HMGET', KEYS[11], 'at', 'due'), redis.pcall('ZCARD', KEYS[10])
if kept.err or type(known) == 'table' then return {'broken', 0} end

local due = kept[2]
if user ~= '' then
  if ARGV[2] == '1' then
    redis.call('ZADD', KEYS[10], now + lasts, user)
    redis.call('PEXPIRE', KEYS[10], lasts)
    due = '1'
  elseif redis.call('ZREM', KEYS[10], user) == 1 then
    due = '1'
  end
end
if not due then return {state, 0} end
local at = tonumber(kept[1] or 0)
if now < at + every then
  redis.call('HSET', KEYS[11], 'due', 1)
  redis.call('PEXPIRE', KEYS[11], 2 * lasts)
  return {state, at + every - now}
end

redis.call('ZREMRANGEBYSCORE', KEYS[10], '-inf', now)
local typing, listed = redis.call('ZRANGE', KEYS[10], 0, -1, 'WITHSCORES'), {}
for i = 1, #typing, 2 do
  if redis.call('HEXISTS', MEMBERS, typing[i]) == 1 then
    listed[#listed + 1] = cjson.encode(typing[i]) .. ':' .. (typing[i + 1] - now)
  end
end
redis.call('HDEL', KEYS[11], 'due')
redis.call('HSET', KEYS[11], 'at', now)
redis.call('PEXPIRE', KEYS[11], 2 * lasts)
redis.call('PUBLISH', ARGV[3],
  head.epoch .. ' ' .. head.offset .. ' ~typing.changed {' .. table.concat(listed, ',') .. '}')
return {state, 0}
